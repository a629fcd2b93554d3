"""What callers pass: checked before it reaches Faiss or the core, so that an error names the argument."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.ids import quoted

# Squared distances of two vectors so long, and products, stay far inside float32, sums over many of them too.
LARGEST_NORM = 1e18
_INT64 = 1 << 63


def integer(name: str, value: Any) -> int:
    """An integer of Python or NumPy, however large, as Python's own.

    Raises
    ------
    InvalidInputError
        If it is none (neither 2.0 nor True is); it names the argument.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, bool):
        raise InvalidInputError(f"{name} must be a whole number, got {quoted(value)}")
    return number


def whole_number(name: str, value: Any, least: int = -_INT64, most: int = _INT64 - 1) -> int:
    """The same within a range, by default that of int64."""
    number = integer(name, value)
    if not least <= number <= most:
        raise InvalidInputError(f"{name} must be in [{least}, {most}], got {quoted(value)}")
    return number


def optional_number(name: str, value: Any) -> int | None:
    """The same of an argument that may be left out."""
    return None if value is None else whole_number(name, value)


def length(name: str, value: Any) -> float:
    """A real number that is finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InvalidInputError(f"{name} must be a number, got {quoted(value)}")
    if not 0 <= value < float("inf"):
        raise InvalidInputError(f"{name} must be finite and not negative, got {quoted(value)}")
    return float(value)


def check_vectors(vectors: NDArray[np.float32]) -> None:
    """Refuse what is no matrix of finite float32."""
    if not isinstance(vectors, np.ndarray) or vectors.dtype != np.float32 or vectors.ndim != 2:
        got = f"{vectors.dtype} of shape {vectors.shape}" if isinstance(vectors, np.ndarray) else type(vectors).__name__
        raise InvalidInputError(f"vectors must be a float32 array of shape (n, d), got {got}")
    if vectors.size == 0:
        raise InvalidInputError(f"there are no vectors to index: shape {vectors.shape}")
    finite = np.isfinite(vectors).all(axis=1)
    if not finite.all():
        raise InvalidInputError(f"vector {int(np.argmin(finite))} holds NaN or infinity")


def check_norms(vectors: NDArray[np.float32]) -> None:
    """Refuse finite vectors that are so long that their products and distances are not."""
    norms = norms_of(vectors)
    if norms.max() > LARGEST_NORM:
        longest = int(np.argmax(norms))
        raise InvalidInputError(
            f"vector {longest} has norm {norms[longest]:.3g}; above {LARGEST_NORM:g} scores leave float32: scale the "
            "vectors down or leave it out"
        )


def norms_of(vectors: NDArray[np.float32]) -> NDArray[np.float64]:
    """The length of each, which float64 holds whatever float32 says."""
    norms: NDArray[np.float64] = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))
    return norms


def check_queries(queries: Any) -> None:
    """Refuse what is no array; the core checks the rest."""
    if not isinstance(queries, np.ndarray):
        raise InvalidInputError(f"queries must be a float32 array of shape (n, d), got {type(queries).__name__}")
