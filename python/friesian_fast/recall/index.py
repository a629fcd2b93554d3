"""Search over an inverted-file index, memory-mapped."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.recall.arguments import check_queries, length, optional_number, whole_number
from friesian_fast.recall.columns import ItemColumns
from friesian_fast.recall.depth import as_table, fill_short, search_depth, search_filled
from friesian_fast.recall.exact import exact_is_faster, exact_scan
from friesian_fast.recall.filter_depth import filter_depths
from friesian_fast.recall.filters import (
    CompiledFilter,
    Filter,
    align_columns,
    compile_filter,
    find_positions,
    search_filtered,
)
from friesian_fast.recall.ids import Ids
from friesian_fast.recall.predicates import Predicate
from friesian_fast.recall.tuning import Tuning, choose_depth

Metric = Literal["ip", "cosine", "l2"]


class IvfIndex:
    """The nearest of many vectors, found in the lists nearest to a query.

    Made by `build` or `open`. Safe to use from many threads; the GIL is not held while searching.

    Attributes
    ----------
    path : Path
        The layout file.
    exact_scan : ExactScan or None
        Codes that make an exact search cheaper, where that is what a search does by default.
    filter_depth : callable
        How deep a search under a filter goes by default; see `filter_depths`.
    """

    def __init__(self, path: Path, native: _core.IvfLayout, *, huge_pages: bool = False) -> None:
        self.path = path
        self._huge_pages = huge_pages
        self._columns: ItemColumns | None = None
        self._take(native)

    def _take(self, native: _core.IvfLayout) -> None:
        """Search this one from now on."""
        self._native = native
        self._tuned_k = native.depth[2]
        rows = search_depth(native.depth, native.nlist, len(native), len(native), self._tuned_k)[1]
        # None has the core take what tuning stored.
        self._default_nprobe = native.nlist if rows is None else None
        self._positions: _core.IdPositions | None = None
        self.exact_scan = exact_scan(native)
        self.filter_depth = filter_depths(native)

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.float32],
        ids: NDArray[np.int64] | Sequence[str],
        *,
        path: str | Path,
        metric: Metric = "ip",
        nlist: int | None = None,
        seed: int = 0,
    ) -> IvfIndex:
        """Train and write an index; needs faiss-cpu.

        Parameters
        ----------
        vectors : ndarray of float32, shape (n, d)
        ids : ndarray of int64, shape (n,), or sequence of str
            Unique.
        path : path
            Where the standard Faiss file goes; the layout stands beside it with the suffix ``.ivf``.
            With string ids the Faiss file numbers the vectors 0..n-1 in the order given.
        metric : {"ip", "cosine", "l2"}, default "ip"
            Inner product; cosine (vectors and queries are normalised, a zero vector scores 0); or squared
            distance, whose scores are negative, so that more is better here too.
        nlist : int, optional
            Number of lists; by default about 4 √n, and no more than one per 39 vectors.
        seed : int, default 0
            Of the k-means; the same input and seed give the same lists.

        Returns
        -------
        IvfIndex
            Opened.

        Raises
        ------
        InvalidInputError
            If the vectors are not finite float32 or, but for cosine, longer than 10^18; ids are repeated; or the
            numbers do not fit.
        MissingExtraError
            If faiss-cpu is not installed.
        """
        from friesian_fast.recall.build import build_index

        written = build_index(vectors, ids, path=Path(path), metric=metric, nlist=nlist, seed=seed)
        return cls.open(written, verify=False)

    @classmethod
    def from_faiss(
        cls,
        index: Any,
        *,
        path: str | Path,
        ids: NDArray[np.int64] | Sequence[str] | None = None,
        seed: int = 0,
    ) -> IvfIndex:
        """Take the lists, centroids and vectors of an index that Faiss has built; needs faiss-cpu.

        Parameters
        ----------
        index : faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer or faiss.IndexIVFPQ
            Of inner products or squared distances. What a quantiser has lost stays lost: scores are those of
            the vectors as the index decodes them.
        path : path
            The layout goes there, with the suffix ``.ivf``; the Faiss index itself is not written.
        ids : ndarray of int64 or sequence of str, optional
            ``ids[i]`` is the id of the vector that Faiss numbers i; by default Faiss's numbers.
        seed : int, default 0
            Of the product quantiser.

        Returns
        -------
        IvfIndex
            Opened.

        Raises
        ------
        InvalidInputError
            If the index is of another type or metric, is empty, or `ids` do not fit.
        MissingExtraError
            If faiss-cpu is not installed.
        """
        from friesian_fast.recall.from_faiss import layout_of

        return cls.open(layout_of(index, ids, Path(path), seed), verify=False)

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = True, huge_pages: bool = False) -> IvfIndex:
        """Map a layout file.

        Parameters
        ----------
        path : path
            The ``.ivf`` file.
        verify : bool, default True
            Read the whole file and compare its checksums. Without, an altered file gives wrong answers; for a file
            that was checked already, as `open_release` does.
        huge_pages : bool, default False
            Copy the file into huge pages instead of mapping it: searches in an index far larger than the caches
            are faster, for memory that no other process shares.

        Raises
        ------
        NotFoundError
            If there is no such file.
        InvalidInputError
            If it is not a layout, truncated or altered.
        """
        if not Path(path).is_file():
            raise NotFoundError(f"there is no index layout at {path}")
        return cls(Path(path), _core.IvfLayout(str(path), verify, huge_pages), huge_pages=huge_pages)

    def __len__(self) -> int:
        return len(self._native)

    @property
    def dim(self) -> int:
        """Length of a vector."""
        return self._native.dim

    @property
    def nlist(self) -> int:
        """Number of lists."""
        return self._native.nlist

    @property
    def nprobe(self) -> int:
        """How many lists a search probes when it does not say, and has no `margin`; above `tuned_k` in proportion."""
        return self._native.depth[0]

    @property
    def rerank(self) -> int:
        """How many candidates' rows a search compares when it does not say; more in proportion above `tuned_k`."""
        return self._native.depth[1]

    @property
    def tuned_k(self) -> int:
        """The k that `nprobe` and `rerank` were chosen for."""
        return self._tuned_k

    @property
    def most_lists(self) -> int:
        """With a `margin`, how many lists a search probes at most when it does not say."""
        return self._native.margin[0]

    @property
    def margin(self) -> float:
        """How far off the lists may lie that are probed for at most `tuned_k` answers without a filter; 0 is any."""
        return self._native.margin[1]

    @property
    def exact_share(self) -> float:
        """A filter that lets at most this share of the vectors through is searched exactly."""
        return self._native.exact_share

    @property
    def metric(self) -> str:
        """``ip``, ``cosine`` or ``l2``."""
        return self._native.metric

    @property
    def string_ids(self) -> bool:
        """Whether ids are strings."""
        return self._native.string_ids

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        nprobe: int | None = None,
        rerank: int | None = None,
        margin: float = 0.0,
        threads: int = 1,
        filter: Filter | Predicate | CompiledFilter | None = None,
        level: str | None = None,
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Find the best k vectors for each query.

        The lists nearest to a query are scanned by four-bit codes; the rows of the best candidates, in half
        precision, give the scores. A search that compares every row, or every row that a filter lets through, is
        exact: its answer is that of brute force over the vectors as they were given. Equal scores are ordered by
        position in the layout, so the answer is the same every time.

        Parameters
        ----------
        queries : ndarray of float32, shape (n, d)
            C-contiguous and finite.
        k : int
            At most 2^20, and n k at most 2^28.
        nprobe : int, optional
            Lists to probe, at most `nlist`; by default what `tune` chose, and more in proportion when k is above
            `self.tuned_k`; a query that they leave with fewer than k, though more may be answered, is then searched
            again, exactly. `nlist` without `rerank` compares every row and is exact.
        rerank : int, optional
            Candidates whose rows are compared, at least k of them; by default `self.rerank`, or in proportion
            when k is above `self.tuned_k`.
        margin : float, default 0
            With `nprobe` and without a filter: of these lists, those that lie more than this beyond the mean of the
            best four are left out. A length in the unit of the vectors: by which a centroid may be farther away, or,
            for inner products, its part along the query shorter. 0 leaves out none.
        threads : int, default 1
            Share the queries of a batch.
        filter : Filter, Predicate or CompiledFilter, optional
            What may be answered. A filter that lets few vectors through, at most `exact_share` of them, makes the
            search exact; a wider one makes it probe more lists and compare more rows, unless `nprobe` is given.
        level : str, optional
            Instruction-set level, for tests. The candidates are the same at each; scores differ by rounding.

        Returns
        -------
        ids : ndarray of int64 or of object (str), shape (n, k)
            Best first; -1 or None where fewer than k were found.
        scores : ndarray of float32, shape (n, k)
            -inf where fewer than k were found.

        Raises
        ------
        InvalidInputError
            If a query has another dtype or shape, is not finite or is too long for its scores to be; if k, nprobe,
            rerank or threads is no whole number, or one of these or margin out of range; or if the filter was
            compiled for another index.
        """
        check_queries(queries)
        k, threads = whole_number("k", k), whole_number("threads", threads)
        nprobe, rerank = optional_number("nprobe", nprobe), optional_number("rerank", rerank)
        margin = length("margin", margin)
        if margin and (nprobe is None or filter is not None):
            raise InvalidInputError("margin goes with nprobe, and without a filter")
        native = self._native
        if filter is not None:
            return search_filtered(self, native, queries, k, nprobe, rerank, threads, level, filter)
        if nprobe is None and k > self._tuned_k:
            search = partial(native.search, threads=threads, level=level, exact=self.exact_scan)
            nprobe, enough = search_depth(native.depth, self.nlist, len(self), len(self), k)
            return search_filled(search, queries, k, nprobe, enough if rerank is None else rerank, native)
        found = native.search(
            queries,
            k,
            self._default_nprobe if nprobe is None else nprobe,
            rerank,
            threads,
            level=level,
            exact=self.exact_scan,
            margin=margin,
        )
        if nprobe is not None or (len(queries) == 1 and found[1][0, -1] > -np.inf):
            return as_table(*found)
        search = partial(native.search, threads=threads, level=level, exact=self.exact_scan)
        return fill_short(as_table(*found), search, queries, k, native)

    @property
    def columns(self) -> ItemColumns | None:
        """The item columns that filters compare, if there are any."""
        return self._columns

    def with_columns(self, columns: ItemColumns) -> IvfIndex:
        """The same index with item columns to filter by, which stand in its order; see `align`.

        Raises
        ------
        InvalidInputError
            If they are not as many rows as there are vectors.
        """
        if columns.rows != len(self):
            raise InvalidInputError(f"there are {columns.rows} rows of item columns, but {len(self)} vectors")
        other = copy.copy(self)
        other._columns = columns
        return other

    def positions(self, ids: Ids) -> NDArray[np.uint32]:
        """Where ids stand in the layout.

        Parameters
        ----------
        ids : ndarray of int64 or sequence of int, or sequence of str, shape (n,)

        Returns
        -------
        ndarray of uint32, shape (n,)
            2^32 - 1 for an id that is not there.

        Raises
        ------
        InvalidInputError
            If an id is of another type than the index's.
        """
        if self._positions is None:
            self._positions = _core.IdPositions(self._native)  # made twice at worst, and then equal
        return find_positions(self._positions, ids, self.string_ids)

    def ids_at(self, positions: NDArray[np.uint32]) -> NDArray[np.int64] | list[str]:
        """Which ids stand at places in the layout.

        Parameters
        ----------
        positions : ndarray of uint32, shape (n,)

        Returns
        -------
        ndarray of int64, shape (n,), or list of str

        Raises
        ------
        InvalidInputError
            If there is no such place.
        """
        return self._native.ids_at(positions)

    def align(self, ids: Ids, columns: Mapping[str, Any]) -> ItemColumns:
        """Item columns in the order of the layout; needs pyarrow.

        Parameters
        ----------
        ids : ids, shape (n,)
            Each of the index once, in any order.
        columns : mapping of name to pyarrow Array, shape (n,)

        Raises
        ------
        InvalidInputError
            If an id is missing, unknown or repeated, or a column cannot be used.
        """
        return align_columns(self, ids, columns)

    def prefer_exact(self, k: int = 100, *, queries: NDArray[np.float32]) -> bool:
        """Time searches as they are now against exact ones, and keep what is faster in the layout file.

        For a small catalogue, after `tune`; not worth trying above some 100,000 vectors.

        Parameters
        ----------
        k : int, default 100
        queries : ndarray of float32, shape (n, d)
            Like those to come, n >= 1.

        Returns
        -------
        bool
            Whether searches are exact from now on.
        """
        check_queries(queries)
        k = whole_number("k", k)
        if self.nprobe < self.nlist and exact_is_faster(self, self._native, queries, k):
            _core.store_depth(str(self.path), self.nlist, self.rerank, self.tuned_k, 1.0)
            self._take(_core.IvfLayout(str(self.path), False, self._huge_pages))
        return self.nprobe == self.nlist

    def compile(self, filter: Filter | Predicate, *, within: CompiledFilter | None = None) -> CompiledFilter:
        """Prepare a filter that many searches share.

        Parameters
        ----------
        filter : Filter or Predicate
        within : CompiledFilter, optional
            Of this index: what it leaves out stays left out.

        Raises
        ------
        InvalidInputError
            If the index has no columns, or not that column, or it is compared with a value of another kind, or an id
            is of another type.
        """
        return compile_filter(self, self._native, filter, within)

    def tune(self, recall: float = 0.95, k: int = 100, *, queries: NDArray[np.float32]) -> Tuning:
        """Choose the cheapest depth that reaches a recall, and keep it in the layout file.

        Parameters
        ----------
        recall : float, default 0.95
            Share of the exact best k that must be found, over all queries; in (0, 1].
        k : int, default 100
        queries : ndarray of float32, shape (n, d)
            Like those to come, n >= 1.

        Returns
        -------
        Tuning
            Lists probed, the margin, candidates compared, and the recall measured against exact search.

        Raises
        ------
        InvalidInputError
            If `recall`, `k` or `queries` cannot be used.

        Notes
        -----
        Cost is counted in bytes of memory traffic, so the choice is the same on every machine. Where an exact
        search is the cheapest, or nothing else reaches the recall, nprobe is `nlist`. A margin is kept where it finds
        as much as without for less; filters, and more than `k` answers, are searched without.
        """
        check_queries(queries)
        recall, k = length("recall", recall), whole_number("k", k)
        if not 0 < recall <= 1:
            raise InvalidInputError(f"recall must be in (0, 1], got {recall}")
        tuning, share = choose_depth(self._native, recall, k, queries, self.exact_scan)
        _core.store_depth(str(self.path), tuning.nprobe, tuning.rerank, k, share, tuning.most_lists, tuning.margin)
        self._take(_core.IvfLayout(str(self.path), False, self._huge_pages))
        return tuning
