"""What a search may answer: conditions, allow and deny lists, what each user has seen; compiled to a bitmap."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.columns import Bitmap, full_bitmap
from friesian_fast.recall.predicates import Predicate

if TYPE_CHECKING:
    from friesian_fast.recall.index import IvfIndex

Ids: TypeAlias = "NDArray[np.int64] | Sequence[str] | Sequence[int]"
Positions: TypeAlias = "NDArray[np.uint32]"
_MISSING = np.uint32(0xFFFFFFFF)
# Of the bitmaps that queries with lists of their own need, so many bytes are made at a time.
_BITMAP_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filter:
    """What a search may answer; all parts must hold. Ids that are not in the index are passed over.

    Parameters
    ----------
    where : Predicate, optional
        On the index's `columns`.
    allow : ids, optional
        Only these; an empty list allows nothing.
    deny : ids, optional
        None of these.
    seen : sequence of ids, optional
        One list per query: what that query's user is not shown.
    """

    where: Predicate | None = None
    allow: Ids | None = None
    deny: Ids | None = None
    seen: Sequence[Ids] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompiledFilter:
    """A filter for one index, ready to be searched with any number of times. Made by `IvfIndex.compile`.

    Parameters
    ----------
    bitmap : ndarray of uint64
        Bit p % 64 of word p / 64 says whether the vector at position p may be answered.
    allowed : int
        How many may.
    hidden : sequence of ndarray of uint32, optional
        One per query: positions that are left out besides.
    """

    bitmap: Bitmap
    allowed: int
    hidden: Sequence[Positions] | None = None

    def hiding(self, hidden: Sequence[Positions]) -> CompiledFilter:
        """The same with positions that each query leaves out."""
        return replace(self, hidden=hidden)


def compile_filter(index: IvfIndex, condition: Filter | Predicate) -> CompiledFilter:
    """See `IvfIndex.compile`."""
    given = Filter(where=condition) if isinstance(condition, Predicate) else condition
    if not isinstance(given, Filter):
        raise InvalidInputError(f"a filter is a condition on columns, a Filter or a compiled one, got {condition!r}")
    bitmap = full_bitmap(len(index)) if given.where is None else _columns(index).compile(given.where)
    if given.allow is not None:
        bitmap = bitmap & positions_bitmap(index.positions(given.allow), len(index))
    if given.deny is not None:
        bitmap = bitmap & ~positions_bitmap(index.positions(given.deny), len(index))
    hidden = None if given.seen is None else [_found(index.positions(ids)) for ids in given.seen]
    return CompiledFilter(bitmap=bitmap, allowed=_core.bitmap_count(bitmap), hidden=hidden)


def positions_bitmap(positions: Positions, rows: int) -> Bitmap:
    """The bits at some positions; those that were not found are passed over."""
    bitmap = np.zeros(-(-rows // 64), np.uint64)
    found = _found(positions)
    np.bitwise_or.at(bitmap, found >> 6, np.uint64(1) << (found & np.uint32(63)).astype(np.uint64))
    return bitmap


def bitmaps(compiled: CompiledFilter, first: int, end: int) -> Bitmap:
    """The bitmaps of queries [first, end), shape (end - first, words); one shared of shape (words,) where all agree."""
    if compiled.hidden is None:
        return compiled.bitmap
    rows = np.repeat(compiled.bitmap[None], end - first, axis=0)
    for row, hidden in zip(rows, compiled.hidden[first:end], strict=True):
        np.bitwise_and.at(row, hidden >> 6, ~(np.uint64(1) << (hidden & np.uint32(63)).astype(np.uint64)))
    return rows


def chunk_of(compiled: CompiledFilter) -> int:
    """How many queries are searched at a time, so that their bitmaps stay small."""
    return max(1, _BITMAP_BYTES // max(compiled.bitmap.nbytes, 1))


def _columns(index: IvfIndex) -> Any:
    if index.columns is None:
        raise InvalidInputError(
            f"{index.path} has no item columns to filter by; attach some with index.with_columns(...), or publish them "
            "with the release"
        )
    return index.columns


def _found(positions: Positions) -> Positions:
    return positions[positions != _MISSING]
