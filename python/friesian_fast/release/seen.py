"""What each user had before: a row set of a release, read light at serving."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.spec import Column, RowSet
from friesian_fast.store import RowCodec, RowStore

SEEN = "seen"
# 1 + the position in the item index: 0 fills a list up.
PLACE = "place"


def seen_row_set(user: RowSet, longest: int) -> RowSet:
    """The row set of users with at most `longest` items each."""
    return RowSet(
        name=SEEN,
        id_column=user.id_column,
        id_type=user.id_type,
        columns=(Column(name=PLACE, type="int32", kind="list", length=max(longest, 1)),),
    )


class SeenStore:
    """What users had seen. Safe to use from many threads.

    A list is decoded into as much room as its own user's row needs: the row set's length is that of the user who has
    seen most, and would cost every other one's requests.

    Parameters
    ----------
    store : RowStore
        Of the row set ``seen``.
    tag : bytes
        ``FeatureSpec.row_tag("seen")``.
    """

    def __init__(self, store: RowStore, tag: bytes) -> None:
        self._store = store
        self._tag = tag
        self._codecs: dict[int, RowCodec] = {}

    def positions(self, user: Any) -> NDArray[np.uint32]:
        """The positions in the item index of what one user had seen; empty for an unknown user.

        Parameters
        ----------
        user : ndarray of int64 or list of str, length 1

        Returns
        -------
        ndarray of uint32, shape (n,)
        """
        (row,) = self._store.get(user)
        if not row:
            return np.empty(0, np.uint32)
        places = self._codec(len(row)).decode([row], ids=user).columns[PLACE][0]
        positions: NDArray[np.uint32] = places[places > 0].astype(np.uint32) - np.uint32(1)
        return positions

    def close(self) -> None:
        """Let go of the row store."""
        self._store.close()

    def _codec(self, row_bytes: int) -> RowCodec:
        """One for rows of up to the next power of two: a packed row is longer than its list's elements."""
        row_set = self._store.row_set
        length = min(1 << (row_bytes // 4).bit_length(), row_set.columns[0].length)
        codec = self._codecs.get(length)
        if codec is None:
            columns = (replace(row_set.columns[0], length=length),)
            codec = self._codecs[length] = RowCodec(replace(row_set, columns=columns), self._tag)
        return codec
