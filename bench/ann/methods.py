"""Ours and the peers of the search benchmark: how each is built, and the settings it is searched with.

A method yields `Point`s: a setting, and a call from queries (float32, C-contiguous) to ids. What takes long to build
is kept under the bench's cache directory. A peer that is not installed, or does not run on this CPU, is left out and
named.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

K = 100
NPROBES = tuple(int(8 * 2 ** (step / 4)) for step in range(33))  # four to a doubling, to 2048
# Of normalised vectors; 0 leaves out no list.
MARGINS = (0.0, 0.12, 0.14, 0.155, 0.17, 0.185, 0.2, 0.22, 0.25, 0.3, 0.36, 0.5)
WIDTHS = (100, 110, 120, 130, 150, 170, 200, 240, 300, 380, 450, 550, 700, 800, 900, 1000, 1200, 1500, 2000, 2500)
Search = Callable[[NDArray[np.float32]], NDArray[Any]]


@dataclass(frozen=True)
class Point:
    """One setting of one method."""

    method: str
    setting: str
    search: Search


@dataclass(frozen=True)
class Data:
    """What is searched; all of it normalised, so inner product, cosine and distance agree on the order."""

    vectors: NDArray[np.float32]
    cache: Path
    nlists: tuple[int, ...]
    threads: int
    huge_pages: bool = False  # of our index

    def kept(
        self, name: str, build: Callable[[], Any], write: Callable[[Any, str], None], read: Callable[[str], Any]
    ) -> Any:
        """What `build` gives, from the cache when it is there."""
        path = self.cache / name
        if not path.exists():
            print(f"building {name}", flush=True)
            part = path.with_name(f"part.{name}")  # one that was stopped half-way is not taken for whole
            write(build(), str(part))
            part.rename(path)
        return read(str(path))


def faiss_module(data: Data) -> Any:
    faiss = importlib.import_module("faiss")
    faiss.omp_set_num_threads(data.threads)
    return faiss


def lists(data: Data, nlist: int) -> Any:
    """The IVFFlat index whose centroids every inverted-file method shares, ours as well."""
    faiss = faiss_module(data)

    def build() -> Any:
        index = faiss.index_factory(data.vectors.shape[1], f"IVF{nlist},Flat", faiss.METRIC_INNER_PRODUCT)
        index.cp.spherical, index.cp.max_points_per_centroid, index.cp.niter = True, 64, 10
        index.train(data.vectors)
        index.add(data.vectors)
        return index

    return data.kept(f"ivf{nlist}.idx", build, faiss.write_index, faiss.read_index)


def probes(nlist: int) -> list[int]:
    """Numbers of lists to search."""
    return [nprobe for nprobe in NPROBES if nprobe <= nlist]


def ours(data: Data, method: str = "friesian_fast", margins: Sequence[float] = MARGINS) -> Iterator[Point]:
    from friesian_fast.recall import IvfIndex

    for nlist in data.nlists:
        path = data.cache / f"ours{nlist}.ivf"
        if not path.exists():
            IvfIndex.from_faiss(lists(data, nlist), path=path)
        index = IvfIndex.open(path, huge_pages=data.huge_pages)
        for nprobe in probes(nlist)[:: 4 if len(margins) > 1 else 1]:  # margins have the steps between
            for rerank in (150, 200, 300, 400, 600, 1000):
                for margin in margins:
                    setting = f"nlist {nlist} nprobe {nprobe} margin {margin} rerank {rerank}"
                    yield Point(method, setting, _ours(index, nprobe, margin, rerank))


def without_margin(data: Data) -> Iterator[Point]:
    """The same index beside itself: what leaving out the lists that lie far off gains."""
    return ours(data, "friesian_fast, no margin", (0.0,))


def _ours(index: Any, nprobe: int, margin: float, rerank: int) -> Search:
    return lambda queries: index.search(queries, K, nprobe=nprobe, margin=margin, rerank=rerank)[0]


def _faiss(index: Any, parameters: Any, *parts: Any) -> Search:
    """A search; `parts` are what Faiss holds by pointer only, and must live as long."""
    return lambda queries, parts=parts: index.search(queries, K, params=parameters)[1]  # type: ignore[misc]


def faiss_flat(data: Data) -> Iterator[Point]:
    faiss = faiss_module(data)
    for nlist in data.nlists:
        index = lists(data, nlist)
        for nprobe in probes(nlist):
            yield Point(
                "faiss IVFFlat",
                f"nlist {nlist} nprobe {nprobe}",
                _faiss(index, faiss.SearchParametersIVF(nprobe=nprobe)),
            )


def _recoded(data: Data, nlist: int, codes: str) -> Any:
    """The same lists with other codes."""
    faiss = faiss_module(data)
    dim = data.vectors.shape[1]

    def build() -> Any:
        base = lists(data, nlist)  # kept while its quantizer is cloned
        quantizer = faiss.clone_index(base.quantizer)
        metric = faiss.METRIC_INNER_PRODUCT
        if codes == "PQfs":
            index = faiss.IndexIVFPQFastScan(quantizer, dim, nlist, dim // 2, 4, metric)
        else:
            kind = {"SQ8": faiss.ScalarQuantizer.QT_8bit, "SQfp16": faiss.ScalarQuantizer.QT_fp16}[codes]
            index = faiss.IndexIVFScalarQuantizer(quantizer, dim, nlist, kind, metric)
        index.train(data.vectors[:: max(1, len(data.vectors) // 100_000)])
        index.add(data.vectors)
        return index

    return data.kept(f"ivf{nlist}.{codes}.idx", build, faiss.write_index, faiss.read_index)


def faiss_sq(data: Data) -> Iterator[Point]:
    faiss = faiss_module(data)
    for codes in ("SQ8", "SQfp16"):
        for nlist in data.nlists:
            index = _recoded(data, nlist, codes)
            for nprobe in probes(nlist):
                parameters = faiss.SearchParametersIVF(nprobe=nprobe)
                yield Point(f"faiss IVF-{codes}", f"nlist {nlist} nprobe {nprobe}", _faiss(index, parameters))


def _flat(data: Data) -> Any:
    """The vectors themselves, which all refined lists share."""
    flat = faiss_module(data).IndexFlatIP(data.vectors.shape[1])
    flat.add(data.vectors)
    return flat


def _refined(data: Data, method: str, nlist: int, base: Any, flat: Any) -> Iterator[Point]:
    faiss = faiss_module(data)
    index = faiss.IndexRefine(base, flat)
    for nprobe in probes(nlist):
        for factor in (2, 3, 4, 5, 6, 8, 10, 12, 16):
            inner = faiss.SearchParametersIVF(nprobe=nprobe)
            if isinstance(base, faiss.IndexPreTransform):
                inner = faiss.SearchParametersPreTransform(index_params=inner)
            parameters = faiss.IndexRefineSearchParameters(k_factor=factor, base_index_params=inner)
            search = _faiss(index, parameters, base, flat, inner)
            yield Point(method, f"nlist {nlist} nprobe {nprobe} k_factor {factor}", search)


def faiss_pq(data: Data) -> Iterator[Point]:
    flat = _flat(data)
    for nlist in data.nlists:
        yield from _refined(data, "faiss IVF-PQfs+RFlat", nlist, _recoded(data, nlist, "PQfs"), flat)


def faiss_opq(data: Data) -> Iterator[Point]:
    flat = _flat(data)
    for nlist in data.nlists:
        yield from _refined(data, "faiss OPQ+PQfs+RFlat", nlist, _rotated(data, nlist), flat)


def _rotated(data: Data, nlist: int) -> Any:
    """Lists of PQ codes behind a learned rotation, with centroids of their own."""
    faiss = faiss_module(data)
    dim = data.vectors.shape[1]

    def build() -> Any:
        index = faiss.index_factory(dim, f"OPQ{dim // 2},IVF{nlist},PQ{dim // 2}x4fs", faiss.METRIC_INNER_PRODUCT)
        inner = faiss.downcast_index(index.index)
        inner.cp.max_points_per_centroid = 40
        index.train(data.vectors[:: max(1, len(data.vectors) // 200_000)])
        index.add(data.vectors)
        return index

    return data.kept(f"opq{nlist}.idx", build, faiss.write_index, faiss.read_index)


def faiss_hnsw(data: Data) -> Iterator[Point]:
    faiss = faiss_module(data)

    def build() -> Any:
        index = faiss.IndexHNSWFlat(data.vectors.shape[1], 32, faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = 120
        index.add(data.vectors)
        return index

    index = data.kept("hnsw32.idx", build, faiss.write_index, faiss.read_index)
    for width in WIDTHS:
        yield Point("faiss HNSW32", f"ef {width}", _faiss(index, faiss.SearchParametersHNSW(efSearch=width)))


def hnswlib(data: Data) -> Iterator[Point]:
    module = importlib.import_module("hnswlib")
    n, dim = data.vectors.shape

    def build() -> Any:
        index = module.Index(space="ip", dim=dim)
        index.init_index(max_elements=n, M=24, ef_construction=120)
        index.add_items(data.vectors, num_threads=data.threads)
        return index

    def read(path: str) -> Any:
        index = module.Index(space="ip", dim=dim)
        index.load_index(path)
        return index

    index = data.kept("hnswlib24.bin", build, lambda made, path: made.save_index(path), read)

    def at(width: int) -> Search:
        def search(queries: NDArray[np.float32]) -> NDArray[Any]:
            index.set_ef(width)
            return index.knn_query(queries, K, num_threads=1)[0]

        return search

    for width in WIDTHS:
        yield Point("hnswlib M24", f"ef {width}", at(width))


def usearch(data: Data) -> Iterator[Point]:
    module = importlib.import_module("usearch.index")
    n, dim = data.vectors.shape

    def make() -> Any:
        return module.Index(ndim=dim, metric="ip", dtype="f16", connectivity=32, expansion_add=120)

    def build() -> Any:
        index = make()
        index.add(np.arange(n), data.vectors, threads=data.threads)
        return index

    def read(path: str) -> Any:
        index = make()
        index.load(path)
        return index

    index = data.kept("usearch32.bin", build, lambda made, path: made.save(path), read)

    def at(width: int) -> Search:
        def search(queries: NDArray[np.float32]) -> NDArray[Any]:
            index.expansion_search = width
            return np.atleast_2d(index.search(queries, K, threads=1).keys)

        return search

    for width in WIDTHS:
        yield Point("usearch f16", f"ef {width}", at(width))


def scann(data: Data) -> Iterator[Point]:
    for leaves in data.nlists:
        searcher = _scann_searcher(data, leaves)
        for to_search in probes(leaves):
            for reorder in (100, 200, 400, 800, 1600):
                setting = f"leaves {leaves} searched {to_search} reorder {reorder}"
                yield Point("ScaNN", setting, _scann(searcher, to_search, reorder))


def _scann_searcher(data: Data, leaves: int) -> Any:
    module = importlib.import_module("scann").scann_ops_pybind

    def build() -> Any:
        return (
            module.builder(data.vectors, K, "dot_product")
            .tree(num_leaves=leaves, num_leaves_to_search=64, training_sample_size=min(len(data.vectors), 250_000))
            .score_ah(2, anisotropic_quantization_threshold=0.2)
            .reorder(200)
            .build()
        )

    def write(made: Any, path: str) -> None:
        Path(path).mkdir(exist_ok=True)
        made.serialize(path, relative_path=True)

    return data.kept(f"scann{leaves}", build, write, module.load_searcher)


def _scann(searcher: Any, to_search: int, reorder: int) -> Search:
    options = {"pre_reorder_num_neighbors": reorder, "leaves_to_search": to_search}

    def search(queries: NDArray[np.float32]) -> NDArray[Any]:
        if len(queries) == 1:
            return searcher.search(queries[0], K, **options)[0][None]
        return searcher.search_batched(queries, K, **options)[0]

    return search


def svs(data: Data) -> Iterator[Point]:
    module = importlib.import_module("svs")
    types = module.DataType

    def build() -> Any:
        parameters = module.VamanaBuildParameters(alpha=0.95, graph_max_degree=48, window_size=96)
        return module.Vamana.build(parameters, data.vectors, module.DistanceType.MIP, num_threads=data.threads)

    def write(made: Any, path: str) -> None:
        Path(path).mkdir(exist_ok=True)
        made.save(*(f"{path}/{name}" for name in ("config", "graph", "data")))

    folder = data.kept("svs", build, write, str)
    floats = module.VectorDataLoader(f"{folder}/data", types.float32)
    halves = data.kept(
        "svs.hvecs",
        lambda: data.vectors.astype(np.float16),
        module.write_vecs,
        lambda path: module.VectorDataLoader(path, types.float16),
    )
    loaders = {"SVS f16": lambda: halves, "SVS f32": lambda: floats}
    if "GenuineIntel" in Path("/proc/cpuinfo").read_text():  # elsewhere they would end this process
        loaders |= {
            "SVS LVQ4x8": lambda: module.LVQLoader(floats, primary=4, residual=8),
            "SVS LVQ8": lambda: module.LVQLoader(floats, primary=8),
            "SVS LeanVec 64, LVQ8": lambda: module.LeanVecLoader(floats, data.vectors.shape[1] // 2),
        }
    else:
        print("left out: SVS LVQ and LeanVec: they run on Intel's processors only", flush=True)
    for name, loader in loaders.items():
        graph = module.GraphLoader(f"{folder}/graph")
        index = module.Vamana(f"{folder}/config", graph, loader(), module.DistanceType.MIP, num_threads=1)
        for width in WIDTHS:
            yield Point(name, f"window {width}", _svs(module, index, width))


def _svs(module: Any, index: Any, width: int) -> Search:
    parameters = index.search_parameters
    parameters.buffer_config = module.SearchBufferConfig(width)

    def search(queries: NDArray[np.float32]) -> NDArray[Any]:
        index.search_parameters = parameters
        return index.search(queries, K)[0]

    return search


METHODS: dict[str, Callable[[Data], Iterator[Point]]] = {
    "ours": ours,
    "without_margin": without_margin,
    "faiss_flat": faiss_flat,
    "faiss_sq": faiss_sq,
    "faiss_pq": faiss_pq,
    "faiss_opq": faiss_opq,
    "faiss_hnsw": faiss_hnsw,
    "hnswlib": hnswlib,
    "usearch": usearch,
    "scann": scann,
    "svs": svs,
}
