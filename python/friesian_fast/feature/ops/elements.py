"""The elements of list columns of one length, as matrices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import numeric


def list_matrix(array: Any, name: str, width: int | None) -> tuple[Any, Any]:
    """The lists that are not null as rows of a float64 matrix, and which of their elements are not null (None: all).

    Raises
    ------
    InvalidInputError
        If the elements are no numbers, or the lists are not all of length `width`, or without it of one length.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    known = array.drop_null() if array.null_count else array
    lengths = pc.unique(pc.list_value_length(known)).to_pylist()
    wanted = width if width is not None else lengths[0] if lengths else 0
    require_one_length(name, lengths, wanted)
    flat = numeric(pc.list_flatten(known), name)
    values = flat.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False).reshape(len(known), wanted)
    return values, np.asarray(flat.is_valid()).reshape(len(known), wanted) if flat.null_count else None


def require_one_length(name: str, lengths: Iterable[int], wanted: int) -> None:
    """The lists of the column must all have that length."""
    wrong = [length for length in lengths if length != wanted]
    if wrong:
        raise InvalidInputError(
            f"column '{name}' has a list of {wrong[0]} elements where {wanted} are expected; "
            "all its lists must have the same length to be scaled"
        )
