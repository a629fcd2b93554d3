"""What a search may answer: conditions, allow and deny lists, what each user has seen; compiled to a bitmap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.columns import Bitmap, ItemColumns, bits_at, bits_of, full_bitmap
from friesian_fast.recall.depth import as_table, search_filled
from friesian_fast.recall.filter_depth import FilterDepth
from friesian_fast.recall.ids import Ids, as_ids, quoted
from friesian_fast.recall.predicates import Predicate, predicate_from_json

if TYPE_CHECKING:
    from friesian_fast.recall.index import IvfIndex

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
    index : int
        The fingerprint of that index: positions mean nothing in another.
    bitmap : ndarray of uint64
        Bit p % 64 of word p / 64 says whether the vector at position p may be answered.
    lists : ndarray of uint64
        A bit for each list that holds such a vector.
    allowed : int
        How many may be answered.
    hidden : sequence of ndarray of uint32, optional
        One per query: positions that are left out besides.
    """

    index: int
    bitmap: Bitmap
    lists: Bitmap
    allowed: int
    hidden: Sequence[Positions] | None = None

    def hiding(self, hidden: Sequence[Positions]) -> CompiledFilter:
        """The same with positions that each query leaves out besides."""
        return replace(self, hidden=_hidden_by_both(self.hidden, hidden))

    def lets_through(self, positions: Positions) -> NDArray[np.bool_]:
        """Which positions the only query may be answered; none behind the end."""
        free = bits_at(self.bitmap, positions)
        return free if self.hidden is None else free & ~np.isin(positions, self.hidden[0])

    def positions(self) -> Positions:
        """All that the only query may be answered, rising."""
        all_free: Positions = np.flatnonzero(bits_of(self.bitmap, 64 * len(self.bitmap))).astype(np.uint32)
        return all_free if self.hidden is None else np.setdiff1d(all_free, self.hidden[0])


def compile_filter(
    index: IvfIndex,
    native: _core.IvfLayout,
    condition: Filter | Predicate,
    within: CompiledFilter | None = None,
) -> CompiledFilter:
    """See `IvfIndex.compile`."""
    given = Filter(where=condition) if isinstance(condition, Predicate) else condition
    if not isinstance(given, Filter):
        raise InvalidInputError(
            f"a filter is a condition on columns, a Filter or a compiled one, got {quoted(condition)}"
        )
    given = with_normal_ids(given, index.string_ids)
    if within is not None:
        _check_index(index, native, within)
    seen = None if given.seen is None else [_found(index.positions(ids)) for ids in given.seen]
    hidden = seen if within is None else _hidden_by_both(within.hidden, seen)
    if within is not None and given.where is None and given.allow is None and given.deny is None:
        return replace(within, hidden=hidden)
    bitmap = full_bitmap(len(index)) if within is None else within.bitmap
    if given.where is not None:
        bitmap = bitmap & _meeting(index, given.where)
    if given.allow is not None:
        bitmap = bitmap & _bitmap_at(index.positions(given.allow), len(index))
    if given.deny is not None:
        bitmap = bitmap & ~_bitmap_at(index.positions(given.deny), len(index))
    return CompiledFilter(
        index=native.fingerprint,
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
    _check_index(index, native, compiled)
    if compiled.hidden is not None and len(compiled.hidden) != len(queries):
        raise InvalidInputError(f"there are {len(compiled.hidden)} lists of seen items, but {len(queries)} queries")
    by_default = nprobe is None
    reach = None
    if nprobe is None:
        nprobe, enough, reach = depth_for(index, compiled, k)
        if enough is None or rerank is None:
            rerank = enough
        else:
            reach = None
    search = partial(
        native.search,
        threads=threads,
        level=level,
        allowed_lists=compiled.lists,
        exact=index.exact_scan if _is_wide(index, compiled) else None,
    )
    step = len(queries) if compiled.hidden is None else max(1, _BITMAP_BYTES // max(compiled.bitmap.nbytes, 1))
    parts = []
    for first in range(0, max(len(queries), 1), max(step, 1)):
        some, bitmaps = queries[first : first + step], _bitmaps(compiled, first, min(first + step, len(queries)))
        if by_default:
            parts.append(search_filled(search, some, k, nprobe, rerank, native, bitmaps, reach))
        else:
            parts.append(as_table(*search(some, k, nprobe, rerank, allowed=bitmaps)))
    return parts[0] if len(parts) == 1 else tuple(map(np.concatenate, zip(*parts, strict=True)))  # type: ignore


def _check_index(index: IvfIndex, native: _core.IvfLayout, compiled: CompiledFilter) -> None:
    if compiled.index != native.fingerprint:
        raise InvalidInputError(f"the filter was compiled for another index than {index.path}; compile it again")


def depth_for(index: IvfIndex, compiled: CompiledFilter, k: int) -> FilterDepth:
    """How deep to search under a filter; exactly where it lets few vectors through."""
    return index.filter_depth(compiled.allowed, k, _most_hidden(compiled))


def _most_hidden(compiled: CompiledFilter) -> int:
    return max(map(len, compiled.hidden), default=0) if compiled.hidden is not None else 0


def find_positions(table: _core.IdPositions, ids: Ids, strings: bool) -> Positions:
    """See `IvfIndex.positions`."""
    return table.find(as_ids(ids, _id_type(strings)), strings)


def with_normal_ids(given: Filter, strings: bool) -> Filter:
    """The same filter with ids as an index takes them.

    Raises
    ------
    InvalidInputError
        If an id is not of the index's type, or is text that UTF-8 cannot encode; it names the field.
    """

    if given.seen is not None and (isinstance(given.seen, str) or not isinstance(given.seen, (Sequence, np.ndarray))):
        raise InvalidInputError(f"filter.seen is a list of lists of ids, got {quoted(given.seen)}")
    for one in () if given.seen is None else given.seen:
        if isinstance(one, (str, int, np.generic)):
            raise InvalidInputError(f"filter.seen is a list of lists of ids, one a query, but holds {quoted(one)}")

    def normal(field: str, ids: Ids) -> NDArray[np.int64] | list[str]:
        found = as_ids(ids, _id_type(strings), f"filter.{field}: ")
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


def _id_type(strings: bool) -> Literal["int64", "string"]:
    return "string" if strings else "int64"


def align_columns(index: IvfIndex, ids: Ids, columns: Mapping[str, Any]) -> ItemColumns:
    """See `IvfIndex.align`."""
    positions = index.positions(ids)
    if len(positions) != len(index):
        raise InvalidInputError(f"there are {len(positions)} ids of item columns, but {len(index)} vectors")
    if (positions == _MISSING).any():
        unknown = ids[int(np.argmax(positions == _MISSING))]
        raise InvalidInputError(f"id {quoted(unknown)} of the item columns has no vector")
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


def _meeting(index: IvfIndex, where: Predicate | str) -> Bitmap:
    condition = predicate_from_json(where, "filter.where") if isinstance(where, str) else where
    try:
        return _columns(index).compile(condition)
    except InvalidInputError as error:
        raise InvalidInputError(f"filter.where: {error}") from error
    except RecursionError as error:
        raise InvalidInputError("filter.where is nested too deep") from error


def _columns(index: IvfIndex) -> ItemColumns:
    if index.columns is None:
        raise InvalidInputError(
            f"{index.path} has no item columns to filter by; attach some with index.with_columns(...), or publish them "
            "with the release"
        )
    return index.columns


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
