"""What every row store can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.spec import RowSet
from friesian_fast.store.codec import RowBatch, Rows

Ids: TypeAlias = "NDArray[Any] | Sequence[int] | Sequence[str]"


class RowStore(Protocol):
    """Packed rows by id: a mapped file or Redis."""

    @property
    def row_set(self) -> RowSet:
        """What the rows hold."""
        ...

    def decode(self, ids: Ids) -> Rows:
        """Rows of these ids, in their order; ids without a row are not `found`."""
        ...

    def find(self, ids: Ids) -> RowBatch:
        """The same rows, still packed: decoded where they are needed."""
        ...

    def get(self, ids: Ids) -> list[bytes | None]:
        """Packed rows of these ids, in their order."""
        ...

    def close(self) -> None:
        """Give up connections and mappings; the store cannot be used afterwards."""
        ...


def normal_ids(ids: Ids, row_set: RowSet) -> NDArray[np.int64] | list[str]:
    """Ids as the stores take them.

    Parameters
    ----------
    ids : array or sequence, length n
    row_set : RowSet

    Returns
    -------
    ndarray of int64, shape (n,), or list of str
        By the row set's id type.

    Raises
    ------
    InvalidInputError
        If an id is not of that type.
    """
    if row_set.id_type == "string":
        strings: list[Any] = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        for i, value in enumerate(strings):
            if not isinstance(value, str):
                raise InvalidInputError(f"ids of row set '{row_set.name}' are strings, but id {i} is {value!r}")
        return strings
    if isinstance(ids, np.ndarray) and ids.dtype == np.int64 and ids.ndim == 1 and ids.flags.c_contiguous:
        return ids  # what servers pass, without the checks below, which take longer than a look-up
    array = np.asarray(ids)
    if array.size == 0:
        return np.empty(0, np.int64)
    if array.ndim != 1 or array.dtype.kind not in "iu" or not np.can_cast(array.dtype, np.int64):
        raise InvalidInputError(
            f"ids of row set '{row_set.name}' are int64, but these are {array.dtype} of shape {array.shape}"
        )
    return np.ascontiguousarray(array, np.int64)
