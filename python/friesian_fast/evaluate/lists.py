"""Ranked lists and what was relevant, as arrays: users are rows 0..n-1, items are numbers 0..m-1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError

PADDING = -1  # where a list has no more items


@dataclass(frozen=True, slots=True)
class Relevant:
    """The distinct items that are relevant to each user, user after user.

    Parameters
    ----------
    starts : int64 ndarray of shape (n + 1,)
        User u's items are ``items[starts[u]:starts[u + 1]]``.
    items : int64 ndarray of shape (pairs,)
        Ascending within a user.
    """

    starts: NDArray[np.int64]
    items: NDArray[np.int64]

    @classmethod
    def from_pairs(cls, user: NDArray[Any], item: NDArray[Any], *, users: int) -> Relevant:
        """From pairs in any order.

        Parameters
        ----------
        user, item : ndarray of int, shape (pairs,)
        users : int
            Number of users n; those without a pair have no positives.

        Raises
        ------
        InvalidInputError
            If a pair occurs twice or a number is out of range.
        """
        user, item = _pairs(user, item, users, "the relevant items")
        order = np.lexsort((item, user))
        user, item = user[order], item[order]
        _refuse_twice(user, item, "the relevant items")
        return cls(starts_of(user, users), item)

    @property
    def totals(self) -> NDArray[np.int64]:
        """How many items are relevant to each user, int64 of shape (n,)."""
        return np.diff(self.starts)

    @property
    def users(self) -> NDArray[np.int64]:
        """The user of each pair, int64 of shape (pairs,)."""
        return np.repeat(np.arange(len(self.starts) - 1), self.totals)

    def of_items(self, keep: NDArray[np.bool_]) -> Relevant:
        """Only the items marked in `keep`, bool of shape (m,); users whose items all go stay, without positives."""
        kept = keep[self.items]
        return Relevant(starts_of(self.users[kept], len(self.starts) - 1), self.items[kept])

    def hits(self, lists: NDArray[Any]) -> NDArray[np.bool_]:
        """Which places of the lists hold a relevant item.

        Parameters
        ----------
        lists : ndarray of int, shape (n, k)
            Each user's items, best first, -1 behind the last.

        Returns
        -------
        bool ndarray of shape (n, k)

        Raises
        ------
        InvalidInputError
            If `lists` is not such an array, or names an item twice for one user.
        """
        require_lists(lists)
        if len(lists) != len(self.starts) - 1:
            raise InvalidInputError(f"there are {len(lists)} lists for {len(self.starts) - 1} users; give one per user")
        if not len(self.items) or not lists.size:
            return np.zeros(lists.shape, np.bool_)
        width = max(int(self.items.max()), int(lists.max())) + 1
        known = self.users * width + self.items
        asked = np.arange(len(lists))[:, None] * width + lists
        at = np.minimum(np.searchsorted(known, asked), len(known) - 1)
        found: NDArray[np.bool_] = (known[at] == asked) & (lists != PADDING)
        return found


def top_lists(user: NDArray[Any], item: NDArray[Any], score: NDArray[Any], *, users: int, k: int) -> NDArray[np.int64]:
    """The `k` best scored items of each user; of equal scores the smaller item number comes first.

    Parameters
    ----------
    user, item : ndarray of int, shape (pairs,)
    score : ndarray of float, shape (pairs,)
        Finite.
    users : int
        Number of users n.
    k : int

    Returns
    -------
    int64 ndarray of shape (n, k)
        Best first; a user with fewer than k items has -1 behind them.

    Raises
    ------
    InvalidInputError
        If a pair occurs twice, a score is not finite or a number is out of range.
    """
    if k < 1:
        raise InvalidInputError(f"k is {k}; a list needs at least 1 place")
    user, item = _pairs(user, item, users, "the predictions")
    score = np.asarray(score, np.float64)
    if score.shape != user.shape:
        raise InvalidInputError(f"there are {score.size} scores for {user.size} pairs; give one per pair")
    if not np.isfinite(score).all():
        row = int(np.argmin(np.isfinite(score)))
        raise InvalidInputError(f"score {score[row]} in row {row} of the predictions; scores must be finite")
    order = np.lexsort((item, user))
    _refuse_twice(user[order], item[order], "the predictions")
    order = np.lexsort((item, -score, user))
    user, item = user[order], item[order]
    place = np.arange(len(user)) - starts_of(user, users)[user]
    lists = np.full((users, k), PADDING, np.int64)
    lists[user[place < k], place[place < k]] = item[place < k]
    return lists


def require_lists(lists: NDArray[Any]) -> None:
    """Refuse what is not an array of ranked lists.

    Raises
    ------
    InvalidInputError
        If it is not two-dimensional, not of integers, has -1 before an item or an item twice in a row.
    """
    if lists.ndim != 2 or not np.issubdtype(lists.dtype, np.integer):
        raise InvalidInputError(
            f"lists are {lists.dtype} of shape {lists.shape}; they must be integers of shape (n, k)"
        )
    if (lists < PADDING).any():
        raise InvalidInputError(f"item number {int(lists.min())} in the lists; items are numbered from 0, -1 pads")
    late = (lists[:, :-1] == PADDING) & (lists[:, 1:] != PADDING)
    if late.any():
        row = int(np.argmax(late.any(axis=1)))
        raise InvalidInputError(f"the list in row {row} has padding (-1) before an item; put it behind the last item")
    ordered = np.sort(lists, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] != PADDING)
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise InvalidInputError(f"item {ordered[row, column]} is twice in the list of row {row}; list an item once")


def starts_of(groups: NDArray[Any], count: int) -> NDArray[np.int64]:
    """Where each of `count` groups starts in ascending group numbers, and the end; int64 of shape (count + 1,)."""
    return np.concatenate([[0], np.cumsum(np.bincount(groups, minlength=count))]).astype(np.int64)


def _pairs(
    user: NDArray[Any], item: NDArray[Any], users: int, what: str
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    user, item = np.asarray(user), np.asarray(item)
    if user.shape != item.shape or user.ndim != 1:
        raise InvalidInputError(f"{what}: users have shape {user.shape}, items {item.shape}; both must be (pairs,)")
    for name, values, end in (("user", user, users), ("item", item, None)):
        if values.size and not np.issubdtype(values.dtype, np.integer):
            raise InvalidInputError(f"{what}: {name} numbers are {values.dtype}; they must be integers")
        if values.size and (values.min() < 0 or (end is not None and values.max() >= end)):
            bad = int(values.min() if values.min() < 0 else values.max())
            raise InvalidInputError(f"{what}: {name} number {bad} is out of range; number them from 0")
    return user.astype(np.int64), item.astype(np.int64)


def _refuse_twice(user: NDArray[np.int64], item: NDArray[np.int64], what: str) -> None:
    """Of pairs ordered by user and item."""
    twice = (user[1:] == user[:-1]) & (item[1:] == item[:-1])
    if twice.any():
        row = int(np.argmax(twice))
        raise InvalidInputError(f"{what}: user {user[row]} has item {item[row]} twice; keep each pair once")
