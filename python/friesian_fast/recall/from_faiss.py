"""Takes the lists of an index that Faiss has built already."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall.arguments import check_norms, check_vectors, whole_number
from friesian_fast.recall.build import MOST_SEED, import_faiss, inverted_lists, write_layout


def layout_of(index: Any, ids: NDArray[np.int64] | Sequence[str] | None, path: Path, seed: int) -> Path:
    """Write the layout of a Faiss index; see `IvfIndex.from_faiss`. Returns the layout's path."""
    faiss = import_faiss()
    seed = whole_number("seed", seed, 0, MOST_SEED)
    if isinstance(index, faiss.Index):  # what was wrapped, or read from a file
        index = faiss.downcast_index(index)
    decode = _decoder(faiss, index)
    if index.ntotal == 0:
        raise InvalidInputError("the Faiss index holds no vectors")
    metrics = {faiss.METRIC_INNER_PRODUCT: "ip", faiss.METRIC_L2: "l2"}
    if index.metric_type not in metrics:
        raise InvalidInputError(
            f"the Faiss index has metric type {index.metric_type}; only METRIC_INNER_PRODUCT and METRIC_L2 can be taken"
        )
    centroids = index.quantizer.reconstruct_n(0, index.nlist)
    offsets, members = inverted_lists(faiss, index)
    vectors = np.concatenate([decode(i, centroids[i]) for i in range(index.nlist) if index.invlists.list_size(i)])
    layout = path.with_suffix(".ivf")
    check_vectors(vectors)
    check_norms(vectors)
    write_layout(faiss, layout, metrics[index.metric_type], centroids, offsets, vectors, _named(members, ids), seed)
    return layout


def _named(members: NDArray[np.int64], ids: Any) -> NDArray[np.int64] | Sequence[str]:
    """The ids of the rows: Faiss's own, or those that its numbers stand for."""
    if len(np.unique(members)) != len(members):
        raise InvalidInputError("the Faiss index holds an id more than once; ids must be unique")
    if ids is None:
        return members
    if members.min() < 0 or members.max() >= len(ids):
        raise InvalidInputError(
            f"the Faiss index numbers its vectors {members.min()} to {members.max()}, but there are {len(ids)} ids"
        )
    if len(set(ids.tolist() if isinstance(ids, np.ndarray) else ids)) != len(ids):
        raise InvalidInputError("ids holds an id more than once; ids must be unique")
    if isinstance(ids, np.ndarray) and ids.dtype.kind in "iu":
        return np.ascontiguousarray(ids[members], np.int64)
    return [ids[i] for i in members.tolist()]


def _decoder(faiss: Any, index: Any) -> Any:
    """A function from a list's number and centroid to its vectors."""
    kinds = (faiss.IndexIVFFlat, faiss.IndexIVFScalarQuantizer, faiss.IndexIVFPQ)
    if type(index) not in kinds:
        raise InvalidInputError(
            f"from_faiss takes an IndexIVFFlat, IndexIVFScalarQuantizer or IndexIVFPQ, got {type(index).__name__}; "
            "build the index again from its vectors with IvfIndex.build"
        )

    def codes_of(i: int) -> NDArray[np.uint8]:
        size = index.invlists.list_size(i)
        raw: NDArray[np.uint8] = faiss.rev_swig_ptr(index.invlists.get_codes(i), size * index.code_size)
        return raw.reshape(size, index.code_size)

    def decode(i: int, centroid: NDArray[np.float32]) -> NDArray[np.float32]:
        codes = codes_of(i)
        values: NDArray[np.float32]
        if isinstance(index, faiss.IndexIVFFlat):
            values = codes.view(np.float32)
            return values
        quantiser = index.sq if isinstance(index, faiss.IndexIVFScalarQuantizer) else index.pq
        values = quantiser.decode(np.ascontiguousarray(codes))
        if index.by_residual:
            values += centroid
        return values

    return decode
