"""What each user had before: a row set of a release, read light at serving."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.spec import Column, RowSet
from friesian_fast.store import RowStore

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


def seen_positions(store: RowStore, user: Any) -> NDArray[np.uint32]:
    """The positions in the item index of what one user had; empty for an unknown user."""
    places = store.decode(user).columns[PLACE][0]
    positions: NDArray[np.uint32] = places[places > 0].astype(np.uint32) - np.uint32(1)
    return positions
