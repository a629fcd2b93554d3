"""Trains an index with Faiss and writes it twice: as a standard file and as the layout to search."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from friesian_fast import _core
from friesian_fast._files import replacing, sync
from friesian_fast.errors import InvalidInputError, MissingExtraError
from friesian_fast.recall.arguments import check_norms, check_vectors, norms_of, whole_number
from friesian_fast.recall.ids import quoted
from friesian_fast.recall.index import Metric

# K-means wants this many vectors a list; with fewer the lists are mostly noise.
VECTORS_PER_LIST = 39
CODE_BITS = 4
# More points than this do not make the 16 entries of a code better.
POINTS_PER_CODE = 4096
# Faiss keeps a seed in a C int.
MOST_SEED = (1 << 31) - 1
# Until `tune` has measured: candidates per answer, and the k they are for.
FIRST_RERANK, FIRST_K = 5, 100


def default_nlist(n: int) -> int:
    """About 4 √n lists, but no more than one per 39 vectors, and at least one."""
    return max(1, min(round(4 * math.sqrt(n)), n // VECTORS_PER_LIST))


def build_index(
    vectors: NDArray[np.float32],
    ids: NDArray[np.int64] | Sequence[str],
    *,
    path: Path,
    metric: Metric,
    nlist: int | None,
    seed: int,
) -> Path:
    """Write the Faiss file and the layout; see `IvfIndex.build`. Returns the layout's path."""
    faiss = import_faiss()
    check_vectors(vectors)
    numbers, strings = _checked_ids(ids, len(vectors))
    if metric not in get_args(Metric):
        raise InvalidInputError(f"metric must be one of {get_args(Metric)}, got '{metric}'")
    if metric != "cosine":
        check_norms(vectors)
    seed = whole_number("seed", seed, 0, MOST_SEED)
    lists = default_nlist(len(vectors)) if nlist is None else whole_number("nlist", nlist)
    if not 1 <= lists <= len(vectors):
        raise InvalidInputError(f"nlist must be in [1, {len(vectors)}], the number of vectors, got {nlist}")
    layout = path.with_suffix(".ivf")
    if layout == path:
        raise InvalidInputError(f"{path} is the Faiss file and must not end in .ivf, the suffix of the layout")
    data = _normalised(vectors) if metric == "cosine" else np.ascontiguousarray(vectors)
    index = _trained(faiss, data, metric, lists, seed)
    index.add_with_ids(data, numbers)
    with replacing(path) as partial:
        faiss.write_index(index, str(partial))
        sync(partial)
    offsets, members = inverted_lists(faiss, index)
    order = np.argsort(numbers, kind="stable")
    positions = order[np.searchsorted(numbers, members, sorter=order)]
    listed: Any = numbers[positions] if strings is None else [strings[i] for i in positions.tolist()]
    write_layout(faiss, layout, metric, index.quantizer.reconstruct_n(0, lists), offsets, data[positions], listed, seed)
    return layout


def write_layout(
    faiss: Any,
    path: Path,
    metric: str,
    centroids: NDArray[np.float32],
    offsets: NDArray[np.uint64],
    vectors: NDArray[np.float32],
    ids: NDArray[np.int64] | Sequence[str],
    seed: int,
) -> None:
    """Quantise what is left of the vectors beside their centroids, and write the layout, whole or not at all.

    `vectors` and `ids` stand list after list.
    """
    nlist = len(centroids)
    begins = offsets.astype(np.int64)
    owner = np.repeat(np.arange(nlist), begins[1:] - begins[:-1])
    if metric != "l2":
        centroids = centroids * np.float32(_length(vectors, centroids, owner))
    codebook, codes = _quantised(faiss, vectors - centroids[owner], seed)
    strings = not isinstance(ids, np.ndarray)
    depth = (_first_nprobe(nlist), FIRST_RERANK * FIRST_K, FIRST_K)
    with replacing(path) as partial:
        _core.write_ivf_layout(str(partial), metric, depth, centroids, offsets, codebook, codes, vectors, ids, strings)


def _length(vectors: NDArray[np.float32], centroids: NDArray[np.float32], owner: NDArray[np.int64]) -> float:
    """What to multiply centroids by so that the least is left of the vectors.

    Those of products are trained as directions, of length 1, whatever the vectors' is. A common factor does not change
    which of them are best for a query.
    """
    directions = centroids[owner]
    along, square = (
        float(np.einsum("ij,ij->", directions, other, dtype=np.float64)) for other in (vectors, directions)
    )
    return along / square if along > 0 and square > 0 else 1.0


def _quantised(faiss: Any, residuals: NDArray[np.float32], seed: int) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """A four-bit product quantiser of two dimensions a code: its codebook (m, 16, 2), and one code a byte (n, m)."""
    n, dim = residuals.shape
    pairs = (dim + 1) // 2
    padded = np.zeros((n, pairs * 2), np.float32)
    padded[:, :dim] = residuals
    quantiser = faiss.ProductQuantizer(pairs * 2, pairs, CODE_BITS)
    quantiser.cp.seed = seed
    quantiser.cp.min_points_per_centroid = 1
    quantiser.cp.max_points_per_centroid = POINTS_PER_CODE
    sample = np.random.default_rng(seed).permutation(n)[: POINTS_PER_CODE << CODE_BITS]
    # Faiss wants a point for each of the 16 entries; a catalogue of fewer gives its own again.
    points = np.resize(padded[np.sort(sample)], (max(len(sample), 1 << CODE_BITS), pairs * 2))
    quantiser.train(points)
    codebook = faiss.vector_to_array(quantiser.centroids).reshape(pairs, 1 << CODE_BITS, 2)
    packed = quantiser.compute_codes(padded)
    codes = np.empty((n, packed.shape[1] * 2), np.uint8)
    codes[:, 0::2] = packed & 15
    codes[:, 1::2] = packed >> 4
    return codebook, np.ascontiguousarray(codes[:, :pairs])


def import_faiss() -> Any:
    """faiss-cpu, or an error that says how to install it."""
    try:
        import faiss
    except ImportError as error:
        raise MissingExtraError("building an index", "recall") from error
    return faiss


def _first_nprobe(nlist: int) -> int:
    """Until `tune` has measured: a sixteenth of the lists, and everything when there are few."""
    return min(nlist, max(16, nlist // 16))


def _checked_ids(ids: Any, n: int) -> tuple[NDArray[np.int64], list[str] | None]:
    """The ids as Faiss keeps them, and the strings if they are strings."""
    strings: list[str] | None = None
    if isinstance(ids, (str, bytes)) or not hasattr(ids, "__iter__"):
        raise InvalidInputError(f"ids must be an int64 array or strings, got {quoted(ids)}")
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu" and np.can_cast(ids.dtype, np.int64):
        keys, numbers = ids.tolist(), np.ascontiguousarray(ids, np.int64)
    else:
        keys = strings = ids.tolist() if isinstance(ids, np.ndarray) else list(ids)
        numbers = np.arange(len(strings), dtype=np.int64)
        for i, key in enumerate(strings):
            if not isinstance(key, str):
                raise InvalidInputError(f"ids must be an int64 array or strings, but id {i} is {key!r}")
    if isinstance(ids, np.ndarray) and ids.ndim != 1:
        raise InvalidInputError(f"ids must have shape (n,), got {ids.shape}")
    if len(keys) != n:
        raise InvalidInputError(f"there are {len(keys)} ids, but {n} vectors")
    if len(set(keys)) != n:
        seen: set[Any] = set()
        twice = next(key for key in keys if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidInputError(f"id {twice!r} is there twice; ids must be unique")
    return numbers, strings


def _normalised(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    norms = norms_of(vectors)
    scale = np.divide(1.0, norms, out=np.zeros_like(norms), where=norms > 0)
    return np.ascontiguousarray(vectors * scale[:, None], np.float32)


def _trained(faiss: Any, data: NDArray[np.float32], metric: Metric, nlist: int, seed: int) -> Any:
    dim = data.shape[1]
    quantizer = faiss.IndexFlatL2(dim) if metric == "l2" else faiss.IndexFlatIP(dim)
    kind = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
    index = faiss.IndexIVFFlat(quantizer, dim, nlist, kind)
    index.cp.seed = seed
    index.cp.spherical = metric != "l2"
    index.cp.min_points_per_centroid = 1  # a small catalogue is not worth a warning
    index.train(data)
    return index


def inverted_lists(faiss: Any, index: Any) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """Where each list begins, and the Faiss ids in them, list after list."""
    lists = index.invlists
    sizes = [lists.list_size(i) for i in range(index.nlist)]
    offsets = np.zeros(index.nlist + 1, np.uint64)
    np.cumsum(sizes, out=offsets[1:])
    parts = [faiss.rev_swig_ptr(lists.get_ids(i), size) for i, size in enumerate(sizes) if size > 0]
    return offsets, np.concatenate(parts)
