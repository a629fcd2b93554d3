"""What a nearline step proposes to each user, and its values of each pair: a row set, read light at serving."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.release.manifest import MAX_CANDIDATES
from friesian_fast.spec import CANDIDATE, PLACE, Column, FeatureSpec, RowSet
from friesian_fast.store import MappedRowStore, RowStore

SCORE = "score"
_CELLS = 1 << 20  # decoded at once where all lists are checked


def candidate_row_set(user: RowSet, columns: Iterable[str], longest: int) -> RowSet:
    """The row set of users with at most `longest` candidates each, and these values of every candidate.

    Raises
    ------
    InvalidInputError
        If the lists are too long, or a column has the name of one that every such row set has.
    """
    if not 1 <= longest <= MAX_CANDIDATES:
        raise InvalidInputError(
            f"lists of {longest} candidates cannot be served; a user may have 1 to {MAX_CANDIDATES}"
        )
    values = [Column(name=name, type="float32", kind="list", length=longest) for name in (SCORE, *columns)]
    return RowSet(
        name=CANDIDATE,
        id_column=user.id_column,
        id_type=user.id_type,
        columns=(Column(name=PLACE, type="int32", kind="list", length=longest), *values),
    )


def candidate_columns(row_set: RowSet) -> list[str]:
    """The values of each pair, besides its score.

    Raises
    ------
    InvalidInputError
        If the row set is not as `candidate_row_set` makes it.
    """
    names = [column.name for column in row_set.columns if column.name not in (PLACE, SCORE)]
    wanted = candidate_row_set(row_set, names, row_set.columns[0].length)
    if row_set != wanted:
        raise InvalidInputError(
            f"row set '{CANDIDATE}' has the columns {_described(row_set)}; it must have {_described(wanted)}"
        )
    return names


def takes_score(spec: FeatureSpec) -> bool:
    """Whether an input of the ranker is fed by the candidates' score."""
    return any((value.row_set, value.column) == (CANDIDATE, SCORE) for value in spec.model_inputs)


def check_lists(store: MappedRowStore) -> None:
    """Read every list: an item that stands in one twice would be served twice.

    Raises
    ------
    InvalidInputError
        Names the first such user.
    """
    ids, columns = store.ids(), store.row_set.columns
    step = max(_CELLS // (len(columns) * columns[0].length), 1)
    for start in range(0, len(ids), step):
        block = ids[start : start + step]
        places = np.sort(store.decode(block).columns[PLACE], axis=1)
        twice = (places[:, 1:] == places[:, :-1]) & (places[:, 1:] != 0)
        if twice.any():
            row, place = np.argwhere(twice)[0]
            raise InvalidInputError(f"the list of user {block[row]} holds place {places[row, place]} twice")


def _described(row_set: RowSet) -> str:
    return ", ".join(f"{column.name} ({column.kind} of {column.length} {column.type})" for column in row_set.columns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposals:
    """The candidates of one user, best first.

    Parameters
    ----------
    positions : ndarray of uint32, shape (n,)
        In the item index.
    scores : ndarray of float32, shape (n,)
    columns : mapping of name to ndarray of float32, shape (n,)
    """

    positions: NDArray[np.uint32]
    scores: NDArray[np.float32]
    columns: Mapping[str, NDArray[np.float32]]


class CandidateStore:
    """Each user's candidates. Safe to use from many threads.

    Parameters
    ----------
    store : RowStore
        Of the row set ``candidate``. A place is 1 + the position in the item index: 0 fills a list up.
    score : bool, default False
        Whether the columns hold the score too, for a ranker that takes it.
    """

    def __init__(self, store: RowStore, *, score: bool = False) -> None:
        self._store = store
        self._names = [*([SCORE] if score else []), *candidate_columns(store.row_set)]

    def of(self, user: Any) -> Proposals | None:
        """The candidates of one user; None if none were computed.

        Parameters
        ----------
        user : ndarray of int64 or list of str, length 1
        """
        rows = self._store.decode(user)
        places = rows.columns[PLACE][0]
        count = int(np.count_nonzero(places))
        if count == 0:
            return None
        return Proposals(
            positions=places[:count].astype(np.uint32) - np.uint32(1),
            scores=rows.columns[SCORE][0][:count],
            columns={name: rows.columns[name][0][:count] for name in self._names},
        )

    def defaults(self, count: int) -> dict[str, NDArray[np.float32]]:
        """The values of items that were not computed for a user: 0."""
        return {name: np.zeros(count, np.float32) for name in self._names}

    def close(self) -> None:
        """Let go of the row store."""
        self._store.close()
