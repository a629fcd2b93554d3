"""Search over an inverted-file index, memory-mapped."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast.errors import InvalidInputError, NotFoundError

Metric = Literal["ip", "cosine", "l2"]


class IvfIndex:
    """The nearest of many vectors, found in the lists nearest to a query.

    Made by `build` or `open`. Safe to use from many threads; the GIL is not held while searching.

    Attributes
    ----------
    path : Path
        The layout file.
    nprobe : int
        How many lists a search probes when it does not say.
    """

    def __init__(self, path: Path, native: _core.IvfLayout) -> None:
        self.path = path
        self._native = native
        self.nprobe = native.nprobe

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
            If the vectors are not finite float32, ids are repeated, or the numbers do not fit.
        MissingExtraError
            If faiss-cpu is not installed.
        """
        from friesian_fast.recall.build import build_index

        return cls.open(build_index(vectors, ids, path=Path(path), metric=metric, nlist=nlist, seed=seed))

    @classmethod
    def open(cls, path: str | Path, *, verify: bool = False) -> IvfIndex:
        """Map a layout file.

        Parameters
        ----------
        path : path
            The ``.ivf`` file.
        verify : bool, default False
            Read the whole file and compare its checksums; a release's manifest does so already.

        Raises
        ------
        NotFoundError
            If there is no such file.
        InvalidInputError
            If it is not a layout, truncated or altered.
        """
        if not Path(path).is_file():
            raise NotFoundError(f"there is no index layout at {path}")
        return cls(Path(path), _core.IvfLayout(str(path), verify))

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
    def metric(self) -> str:
        """``ip``, ``cosine`` or ``l2``."""
        return self._native.metric

    @property
    def string_ids(self) -> bool:
        """Whether ids are strings."""
        return self._native.string_ids

    def search(
        self, queries: NDArray[np.float32], k: int, *, nprobe: int | None = None, level: str | None = None
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        """Find the best k vectors for each query.

        Exact over the lists probed. Equal scores are ordered by position in the layout, so the answer is the
        same every time.

        Parameters
        ----------
        queries : ndarray of float32, shape (n, d)
            C-contiguous and finite.
        k : int
        nprobe : int, optional
            Lists to probe, at most `nlist`, which searches everything; by default `self.nprobe`.
        level : str, optional
            Instruction-set level, for tests.

        Returns
        -------
        ids : ndarray of int64 or of object (str), shape (n, k)
            Best first; -1 or None where fewer than k were found.
        scores : ndarray of float32, shape (n, k)
            -inf where fewer than k were found.

        Raises
        ------
        InvalidInputError
            If a query has another dtype or shape or is not finite, k < 1, or nprobe is out of range.
        """
        ids, scores = self._native.search(queries, k, self.nprobe if nprobe is None else nprobe, level=level)
        if isinstance(ids, list):
            table = np.empty(len(ids), object)
            table[:] = ids
            ids = table.reshape(scores.shape)
        return ids, scores

    def tune(self, recall: float = 0.95, k: int = 100, *, queries: NDArray[np.float32]) -> tuple[int, float]:
        """Choose the fewest lists that reach a recall, and keep the number in the layout file.

        Parameters
        ----------
        recall : float, default 0.95
            Share of the exact best k that must be found, over all queries; in (0, 1].
        k : int, default 100
        queries : ndarray of float32, shape (n, d)
            Like those to come, n >= 1.

        Returns
        -------
        nprobe : int
        recall : float
            What was measured at this nprobe against exact search.

        Raises
        ------
        InvalidInputError
            If `recall`, `k` or `queries` cannot be used.

        Notes
        -----
        More lists never lose a true neighbour, so recall rises with nprobe and bisection finds the least.
        """
        if not 0 < recall <= 1:
            raise InvalidInputError(f"recall must be in (0, 1], got {recall}")
        exact, _ = self.search(queries, k, nprobe=self.nlist)
        if exact.size == 0:
            raise InvalidInputError("tuning needs at least one query")
        truth = [frozenset(row) - {-1, None} for row in exact.tolist()]
        low, high, measured = 1, self.nlist, 1.0
        while low < high:
            middle = (low + high) // 2
            reached = self._recall(queries, k, middle, truth)
            if reached >= recall:
                high, measured = middle, reached
            else:
                low = middle + 1
        _core.store_nprobe(str(self.path), high)
        self.nprobe = high
        return high, measured

    def _recall(self, queries: NDArray[np.float32], k: int, nprobe: int, truth: list[frozenset[Any]]) -> float:
        found, _ = self.search(queries, k, nprobe=nprobe)
        hits = sum(len(best.intersection(row)) for best, row in zip(truth, found.tolist(), strict=True))
        return hits / sum(len(best) for best in truth)
