"""What a search may answer: conditions, allow and deny lists, what each user has seen; compiled to a bitmap."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.columns import Bitmap, ItemColumns, bits_at, full_bitmap
from friesian_fast.recall.predicates import Predicate, predicate_from_json

if TYPE_CHECKING:
    from friesian_fast.recall.index import IvfIndex

Ids: TypeAlias = "NDArray[np.int64] | Sequence[str] | Sequence[int] | Sequence[int | str]"
Positions: TypeAlias = "NDArray[np.uint32]"
_MISSING = np.uint32(0xFFFFFFFF)
# Of the bitmaps that queries with lists of their own need, so many bytes are made at a time.
_BITMAP_BYTES = 1 << 24
# Comparing a row costs as much as scanning the codes of so many.
ROW_COST = 4


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Filter:
    """What a search may answer; all parts must hold. Ids that are not in the index are passed over.

    Parameters
    ----------
    where : Predicate or str, optional
        On the index's `columns`; as an object, or as the text that `predicate_from_json` reads.
    allow : ids, optional
        Only these; an empty list allows nothing.
    deny : ids, optional
        None of these.
    seen : sequence of ids, optional
        One list per query: what that query's user is not shown.
    """

    where: Predicate | str | None = None
    allow: Ids | None = None
    deny: Ids | None = None
    seen: Sequence[Ids] | None = None

    def __post_init__(self) -> None:
        if self.where is not None and not isinstance(self.where, (Predicate, str)):
            raise InvalidInputError(
                f"filter.where is a condition made with col(...), or its JSON text, got {type(self.where).__name__}"
            )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CompiledFilter:
    """A filter for one index, ready to be searched with any number of times. Made by `IvfIndex.compile`.

    Parameters
    ----------
    bitmap : ndarray of uint64
        Bit p % 64 of word p / 64 says whether the vector at position p may be answered.
    lists : ndarray of uint64
        A bit for each list that holds such a vector.
    allowed : int
        How many may be answered.
    hidden : sequence of ndarray of uint32, optional
        One per query: positions that are left out besides.
    """

    bitmap: Bitmap
    lists: Bitmap
    allowed: int
    hidden: Sequence[Positions] | None = None

    def hiding(self, hidden: Sequence[Positions]) -> CompiledFilter:
        """The same with positions that each query leaves out."""
        return replace(self, hidden=hidden)

    def lets_through(self, positions: Positions) -> NDArray[np.bool_]:
        """Which positions the only query may be answered; none behind the end."""
        free = bits_at(self.bitmap, positions)
        return free if self.hidden is None else free & ~np.isin(positions, self.hidden[0])


def compile_filter(
    index: IvfIndex,
    native: _core.IvfLayout,
    condition: Filter | Predicate,
    within: CompiledFilter | None = None,
) -> CompiledFilter:
    """See `IvfIndex.compile`."""
    given = Filter(where=condition) if isinstance(condition, Predicate) else condition
    if not isinstance(given, Filter):
        raise InvalidInputError(f"a filter is a condition on columns, a Filter or a compiled one, got {condition!r}")
    given = with_normal_ids(given, index.string_ids)
    seen = None if given.seen is None else [_found(index.positions(ids)) for ids in given.seen]
    hidden = seen if within is None else _hidden_by_both(within.hidden, seen)
    if within is not None and given.where is None and given.allow is None and given.deny is None:
        return replace(within, hidden=hidden)
    bitmap = full_bitmap(len(index)) if within is None else within.bitmap
    if given.where is not None:
        bitmap = bitmap & _columns(index).compile(_condition(given.where))
    if given.allow is not None:
        bitmap = bitmap & _bitmap_at(index.positions(given.allow), len(index))
    if given.deny is not None:
        bitmap = bitmap & ~_bitmap_at(index.positions(given.deny), len(index))
    return CompiledFilter(
        bitmap=bitmap,
        lists=_core.bitmap_lists(native, bitmap),
        allowed=_core.bitmap_count(bitmap),
        hidden=hidden,
    )


def search_filtered(
    index: IvfIndex,
    native: _core.IvfLayout,
    queries: NDArray[np.float32],
    k: int,
    nprobe: int | None,
    rerank: int | None,
    threads: int,
    level: str | None,
    condition: Filter | Predicate | CompiledFilter,
) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """See `IvfIndex.search`."""
    compiled = condition if isinstance(condition, CompiledFilter) else compile_filter(index, native, condition)
    if compiled.hidden is not None and len(compiled.hidden) != len(queries):
        raise InvalidInputError(f"there are {len(compiled.hidden)} lists of seen items, but {len(queries)} queries")
    if nprobe is None:
        nprobe = lists_for(index, compiled, k)
        if compiled.allowed <= index.exact_share * len(index):
            rerank = None  # every row that is left is compared
    step = len(queries) if compiled.hidden is None else max(1, _BITMAP_BYTES // max(compiled.bitmap.nbytes, 1))
    parts = []
    for first in range(0, max(len(queries), 1), max(step, 1)):
        bitmaps = _bitmaps(compiled, first, min(first + step, len(queries)))
        parts.append(
            as_table(
                *native.search(
                    queries[first : first + step],
                    k,
                    nprobe,
                    rerank,
                    threads,
                    level=level,
                    allowed=bitmaps,
                    allowed_lists=compiled.lists,
                    exact=index.exact_scan if _is_wide(index, compiled) else None,
                )
            )
        )
    return parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))  # type: ignore


def lists_for(index: IvfIndex, compiled: CompiledFilter, k: int) -> int:
    """Lists to probe under a filter; all of them, which is exact, where it lets few vectors through.

    The k best of a share s lie about as deep as the k / s best of all, but a list holds more of what lies deeper: lists
    that grow as 1 / sqrt(s) measured more than the recall without a filter, at half the cost of 1 / s. Lists without an
    allowed vector are passed over and not counted. What a user has seen lies near the query more often than not: the
    k best of the rest may lie as deep as all of that, which is deeper than was tuned for when there are many.
    """
    if compiled.allowed <= index.exact_share * len(index):
        return index.nlist
    hidden = max(map(len, compiled.hidden), default=0) if compiled.hidden is not None else 0
    deeper = max(1.0, (k + hidden) / index.tuned_k) if hidden else 1.0
    return min(index.nlist, math.ceil(index.nprobe * deeper * math.sqrt(len(index) / compiled.allowed)))


def as_table(ids: Any, scores: NDArray[np.float32]) -> tuple[NDArray[Any], NDArray[np.float32]]:
    """String ids, which the core gives as one list, in the shape of the scores."""
    if isinstance(ids, list):
        table = np.empty(len(ids), object)
        table[:] = ids
        ids = table.reshape(scores.shape)
    return ids, scores


def find_positions(table: _core.IdPositions, ids: Ids, strings: bool) -> Positions:
    """See `IvfIndex.positions`."""
    return table.find(_normal(ids, strings), strings)


def with_normal_ids(given: Filter, strings: bool) -> Filter:
    """The same filter with ids as an index takes them.

    Raises
    ------
    InvalidInputError
        If an id is not of the index's type, or is text that UTF-8 cannot encode; it names the field.
    """

    def normal(field: str, ids: Ids) -> NDArray[np.int64] | list[str]:
        found = _normal(ids, strings, f"filter.{field}: ")
        try:
            "".join(found if isinstance(found, list) else ()).encode()
        except UnicodeEncodeError as error:
            raise InvalidInputError(f"filter.{field} holds half of a surrogate pair: {error}") from error
        return found

    return replace(
        given,
        allow=None if given.allow is None else normal("allow", given.allow),
        deny=None if given.deny is None else normal("deny", given.deny),
        seen=None if given.seen is None else [normal("seen", ids) for ids in given.seen],
    )


def _normal(ids: Ids, strings: bool, what: str = "") -> NDArray[np.int64] | list[str]:
    if strings:
        given: list[Any] = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        for value in given:
            if not isinstance(value, str):
                raise InvalidInputError(f"{what}id {value!r} is not a string, which the ids of this index are")
        return given
    try:
        array = np.asarray(ids) if len(ids) else np.empty(0, np.int64)
    except ValueError as error:  # lists of different lengths
        raise InvalidInputError(f"{what}the ids of this index are int64, got what is no array: {error}") from error
    if array.ndim != 1 or array.dtype.kind not in "iu" or not np.can_cast(array.dtype, np.int64):
        raise InvalidInputError(f"{what}the ids of this index are int64, got {array.dtype} of shape {array.shape}")
    return np.ascontiguousarray(array, np.int64)


def align_columns(index: IvfIndex, ids: Ids, columns: Mapping[str, Any]) -> ItemColumns:
    """See `IvfIndex.align`."""
    positions = index.positions(ids)
    if len(positions) != len(index):
        raise InvalidInputError(f"there are {len(positions)} ids of item columns, but {len(index)} vectors")
    if (positions == _MISSING).any():
        unknown = ids[int(np.argmax(positions == _MISSING))]
        raise InvalidInputError(f"id {unknown!r} of the item columns has no vector")
    order = np.full(len(index), -1)
    order[positions] = np.arange(len(index))
    if (order < 0).any():
        raise InvalidInputError("an id of the item columns is there twice")
    return ItemColumns.from_arrow(columns).select(order)


def _bitmap_at(positions: Positions, rows: int) -> Bitmap:
    bitmap = np.zeros(-(-rows // 64), np.uint64)
    found = _found(positions)
    np.bitwise_or.at(bitmap, found >> 6, np.uint64(1) << (found & 63).astype(np.uint64))
    return bitmap


def _bitmaps(compiled: CompiledFilter, first: int, end: int) -> Bitmap:
    """One for all queries where they agree, else one for each of queries [first, end)."""
    if compiled.hidden is None:
        return compiled.bitmap
    rows = np.repeat(compiled.bitmap[None], end - first, axis=0)
    for row, hidden in zip(rows, compiled.hidden[first:end], strict=True):
        np.bitwise_and.at(row, hidden >> 6, ~(np.uint64(1) << (hidden & 63).astype(np.uint64)))
    return rows


def _is_wide(index: IvfIndex, compiled: CompiledFilter) -> bool:
    """Whether scanning the codes of all costs less than comparing the rows that are allowed."""
    return compiled.allowed * ROW_COST > len(index)


def _columns(index: IvfIndex) -> ItemColumns:
    if index.columns is None:
        raise InvalidInputError(
            f"{index.path} has no item columns to filter by; attach some with index.with_columns(...), or publish them "
            "with the release"
        )
    return index.columns


def _condition(where: Predicate | str) -> Predicate:
    return predicate_from_json(where, "filter.where") if isinstance(where, str) else where


def _hidden_by_both(one: Sequence[Positions] | None, other: Sequence[Positions] | None) -> Sequence[Positions] | None:
    """What either leaves out, query by query."""
    if one is None or other is None:
        return other if one is None else one
    if len(one) != len(other):
        raise InvalidInputError(f"filter.seen has lists for {len(other)} queries, the filter around it for {len(one)}")
    return [np.union1d(*pair) for pair in zip(one, other, strict=True)]


def _found(positions: Positions) -> Positions:
    found: Positions = positions[positions != _MISSING]
    return found
