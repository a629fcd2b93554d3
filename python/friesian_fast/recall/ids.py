"""Ids and other values of callers: as an index takes them, and as errors quote them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError

Ids: TypeAlias = "NDArray[np.int64] | Sequence[str] | Sequence[int] | Sequence[int | str]"

_QUOTED = 100


def as_ids(values: Ids, id_type: Literal["int64", "string"], what: str = "") -> NDArray[np.int64] | list[str]:
    """Ids as stores and indexes take them.

    Parameters
    ----------
    values : ids, shape (n,)
        With a length and an order: no set, no generator, and not one string.
    id_type : {"int64", "string"}
    what : str, optional
        Stands before what errors say.

    Raises
    ------
    InvalidInputError
        If it is no list, or a value is not of that type; it names the first.
    """
    if isinstance(values, (str, bytes, Mapping)) or not (hasattr(values, "__len__") and hasattr(values, "__getitem__")):
        raise InvalidInputError(f"{what}ids come as a list, got {quoted(values)}")
    if isinstance(values, np.ndarray):
        if values.ndim != 1:
            raise InvalidInputError(f"{what}ids come as a list, got an array of shape {values.shape}")
        if id_type == "int64" and values.dtype.kind in "iu" and np.can_cast(values.dtype, np.int64):
            return np.ascontiguousarray(values, np.int64)
    listed: list[Any] = values.tolist() if isinstance(values, np.ndarray) else list(values)
    wanted = (int, np.integer) if id_type == "int64" else str
    wrong = {kind for kind in set(map(type, listed)) if not issubclass(kind, wanted) or kind is bool}
    if wrong:
        first = next(value for value in listed if type(value) in wrong)
        raise InvalidInputError(f"{what}id {quoted(first)} is not of type {id_type}, which the ids here are")
    if id_type == "string":
        return listed
    try:
        return np.array(listed, np.int64)
    except OverflowError as error:
        first = next(value for value in listed if not -(1 << 63) <= value < 1 << 63)
        raise InvalidInputError(f"{what}id {quoted(first)} does not fit into 64 bits") from error


def quoted(value: object) -> str:
    """A caller's value for an error: short, and without a look into what may be nested without end."""
    if isinstance(value, str):
        return repr(value) if len(value) <= _QUOTED else f"{value[:_QUOTED]!r}..."
    if isinstance(value, int) and value.bit_length() > _QUOTED:
        return f"an integer of {value.bit_length()} bits"  # Python refuses to print the longest
    if value is None or isinstance(value, (bool, int, float, np.generic)):
        return repr(value)[:_QUOTED]
    return f"a {type(value).__name__}"
