"""The models that other runtimes than the reference run, made from the ONNX file that training exported."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from friesian_fast.errors import NotFoundError
from friesian_fast.rank import RUNTIMES
from friesian_fast.release.int8 import write_int8
from friesian_fast.release.products import is_transposed, large_products

Rows = Mapping[str, NDArray[Any]]


def write_model(runtime: str, trained: Path, directory: Path, file: str, requests: Sequence[Rows]) -> Path:
    """Write what a runtime runs, unless it is there.

    Parameters
    ----------
    runtime : str
    trained : Path
        The directory of ``ranker.onnx``.
    directory : Path
        The release's directory of models, which holds ``ranker.onnx``.
    file : str
        The name to write.
    requests : sequence of mapping of str to array
        Real inputs, by which weights are rounded and ranges are found.

    Raises
    ------
    UnsupportedRuntimeError
        If the model has nothing that the runtime could quantise.
    NotFoundError
        If training left no SavedModel.
    """
    path, model = directory / file, directory / "ranker.onnx"
    if path.exists():
        return path
    if file == "saved_model":
        if not (trained / file).is_dir():
            raise NotFoundError(f"there is no {trained / file}; export it with friesian_fast.train.export.save_serving")
        shutil.copytree(trained / file, path)
    elif RUNTIMES[runtime].package == "onnxruntime":
        write_int8(model, path, requests, exact=runtime.endswith("+fp32"))
    else:
        _quantise_static(model, path, requests)
    return path


def _quantise_static(model: Path, path: Path, requests: Sequence[Rows]) -> None:
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            self._left = iter(requests)

        def get_next(self) -> dict[str, NDArray[Any]] | None:
            found = next(self._left, None)
            return None if found is None else dict(found)

    with _large_products(model) as (prepared, names):
        quantize_static(
            prepared,
            path,
            Reader(),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=names,
            op_types_to_quantize=["MatMul"],
        )


@contextlib.contextmanager
def _large_products(path: Path) -> Iterator[tuple[Any, list[str]]]:
    """The model with its large products as named MatMuls, which both quantisers know, and their names.

    The quantisers advise at length on the root logger; nothing of it concerns who publishes.
    """
    import onnx
    from onnx import helper, numpy_helper

    model = onnx.load(path)
    large = {product.node.output[0]: product for product in large_products(model.graph)}
    nodes: list[Any] = []
    names: list[str] = []
    for node in model.graph.node:
        product = large.get(node.output[0])
        if product is None:
            nodes.append(node)
            continue
        names.append(f"large_product_{len(names)}")
        output = f"{node.output[0]}/product" if product.bias else node.output[0]
        weights = node.input[1]
        if is_transposed(node):
            weights = f"{node.output[0]}/weights"
            model.graph.initializer.append(numpy_helper.from_array(product.weights, weights))
        nodes.append(helper.make_node("MatMul", [node.input[0], weights], [output], name=names[-1]))
        if product.bias:
            nodes.append(helper.make_node("Add", [output, product.bias], list(node.output), name=f"{names[-1]}/bias"))
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield model, names
    finally:
        logger.setLevel(level)
