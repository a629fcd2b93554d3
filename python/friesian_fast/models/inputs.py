"""Named model inputs, and the checks that their columns fit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Categorical:
    """A model input of integer ids.

    Parameters
    ----------
    name : str
        Of the input, and of the column that feeds it.
    size : int
        The ids lie in ``[0, size)``; a vocabulary of n values with 0 for "unknown" has size n + 1.
    """

    name: str
    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise InvalidInputError(f"input '{self.name}' has size {self.size}; it must be at least 1")


def require_unique(names: Iterable[str], model: str) -> None:
    """Refuse a name that two inputs of one model share."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInputError(f"the {model} model has two inputs named '{name}'; rename one")
        seen.add(name)


def seed_stream(seed: int) -> Iterator[int]:
    """Independent seeds for a model's initialisers and dropouts, the same for the same `seed`."""
    sequence = np.random.SeedSequence(seed)
    while True:
        yield int(sequence.spawn(1)[0].generate_state(1)[0] >> 1)


def check_columns(
    columns: Mapping[str, NDArray[np.generic]],
    categorical: Iterable[Categorical],
    continuous: Iterable[str],
    *,
    where: str,
) -> None:
    """Check that the columns are what a model was built for, before hours go into training.

    Parameters
    ----------
    columns : mapping of str to ndarray, shape (n,)
    categorical : iterable of Categorical
        Columns of ids; each must lie in ``[0, size)``.
    continuous : iterable of str
        Columns of numbers; each must be finite.
    where : str
        What the columns were read from; for the error texts.

    Raises
    ------
    InvalidInputError
        Naming the first column that is missing, out of range or not finite, with the value and its row.
    """
    for field in categorical:
        ids = _column(columns, field.name, where)
        bad = np.flatnonzero((ids < 0) | (ids >= field.size))
        if bad.size:
            raise InvalidInputError(
                f"{where}: column '{field.name}' holds id {ids[bad[0]]} in row {bad[0]}, outside [0, {field.size}); "
                "the table and the sizes come from different runs of preprocessing, run it again"
            )
    for name in continuous:
        values = _column(columns, name, where)
        bad = np.flatnonzero(~np.isfinite(values))
        if bad.size:
            raise InvalidInputError(
                f"{where}: column '{name}' holds {values[bad[0]]} in row {bad[0]} ({bad.size} such rows); "
                "fill or drop them in preprocessing"
            )


def _column(columns: Mapping[str, NDArray[np.generic]], name: str, where: str) -> NDArray[np.float64]:
    if name not in columns:
        raise InvalidInputError(f"{where}: there is no column '{name}'; it has {', '.join(sorted(columns))}")
    values: NDArray[np.float64] = columns[name]  # type: ignore[assignment]
    return values
