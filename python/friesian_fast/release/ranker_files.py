"""The models that other runtimes than the reference run, made from the ONNX file that training exported."""

from __future__ import annotations

import contextlib
import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import NotFoundError, UnsupportedRuntimeError
from friesian_fast.rank import RUNTIMES
from friesian_fast.rank.model import LARGE_PRODUCT

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
        Real inputs; static quantisation takes its ranges from them.

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
        _quantise_dynamic(model, path)
    else:
        _quantise_static(model, path, requests)
    return path


def _quantise_dynamic(model: Path, path: Path) -> None:
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with _large_products(model) as (prepared, names):
        quantize_dynamic(
            prepared,
            path,
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_quantize=names,
            op_types_to_quantize=["MatMul"],
        )


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
    from onnx import helper

    model = onnx.load(path)
    weights = {weight.name: int(np.prod(weight.dims)) for weight in model.graph.initializer}
    nodes, names = [], []
    for number, node in enumerate(model.graph.node):
        large = node.op_type in ("Gemm", "MatMul") and weights.get(node.input[1], 0) >= LARGE_PRODUCT
        if not large or (node.op_type == "Gemm" and (node.attribute or len(node.input) != 3)):
            nodes.append(node)
            continue
        names.append(f"large_product_{number}")
        output = node.output[0] if node.op_type == "MatMul" else f"{node.output[0]}/product"
        nodes.append(helper.make_node("MatMul", list(node.input[:2]), [output], name=names[-1]))
        if node.op_type == "Gemm":
            nodes.append(helper.make_node("Add", [output, node.input[2]], list(node.output), name=f"{names[-1]}/bias"))
    if not names:
        raise UnsupportedRuntimeError("the model has no product large enough to quantise")
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield model, names
    finally:
        logger.setLevel(level)
