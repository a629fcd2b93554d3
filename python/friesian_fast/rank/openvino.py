"""A ranker on OpenVINO."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError, MissingExtraError, ReleaseError, UnsupportedRuntimeError
from friesian_fast.rank.model import ModelRanker, Port, require_file, tail
from friesian_fast.spec import Column, FeatureSpec

# A new number of rows costs OpenVINO milliseconds of preparation, so calls are padded to one of these sizes, each
# prepared when the ranker is opened; beyond the last one to a multiple of it.
_SIZES = (1, 16, 32, 64, 128, 256, 512, 1024)

# By precision: the hint, and the capability that a CPU must report to have it.
_PRECISIONS = {"fp32": ("f32", "FP32"), "bf16": ("bf16", "BF16"), "int8": ("f32", "INT8")}
_TYPES = {"i32": "int32", "i64": "int64", "f32": "float32", "f64": "float64"}


class OpenvinoRanker(ModelRanker):
    """Runs an OpenVINO IR or an ONNX file; safe to call from many threads at once.

    As many calls run at once as there are cores; further ones wait.

    Parameters
    ----------
    path : path
        The ``.xml`` of an IR (its ``.bin`` beside it), or an ONNX file.
    spec : FeatureSpec
    precision : {"fp32", "bf16", "int8"}, default "fp32"
        Of the large products. "bf16" rounds what the file holds as it is loaded; "int8" needs a file that is quantised.
    threads : int, default 1
        Threads of one call.

    Raises
    ------
    NotFoundError, ReleaseError
        If the file is not there, or is no model that the runtime takes.
    SchemaMismatchError
        If the model's inputs are not the spec's.
    MissingExtraError
        If OpenVINO is not installed.
    UnsupportedRuntimeError
        If this CPU does not have the precision.
    """

    def __init__(self, path: str | Path, spec: FeatureSpec, *, precision: str = "fp32", threads: int = 1) -> None:
        path = Path(path)
        self._compiled = _load(path, precision, threads)
        # A port has several names once its conversion is folded away; the node keeps the input's own.
        ports = {port.get_node().get_friendly_name(): port for port in self._compiled.inputs}
        found = {
            name: Port(_TYPES.get(port.get_element_type().get_type_name(), str(port.get_element_type())),
                       port.get_partial_shape().rank.get_length())
            for name, port in ports.items()
        }  # fmt: skip
        super().__init__(path, spec, found, [str(number) for number in range(len(self._compiled.outputs))])
        self._columns = {value.name: spec.input_column(value) for value in spec.model_inputs}
        self._ports = ports
        self._idle: list[_Slot] = []
        self.warm_up()

    def warm_up(self) -> None:
        """Prepare every size, so that no request pays for it."""
        for size in _SIZES:
            arrays = _Arrays(self._columns, 1)
            self.score({name: np.repeat(array, size, axis=0) for name, array in arrays.by_name.items()})

    def _run(self, inputs: Mapping[str, NDArray[Any]], rows: int) -> NDArray[Any]:
        try:
            slot = self._idle.pop()
        except IndexError:
            slot = _Slot(self._compiled.create_infer_request(), self._ports, self._columns)
        try:
            return slot.run(inputs, rows)
        finally:
            self._idle.append(slot)


class _Arrays:
    """The inputs of so many rows, where a request reads them. Ids stand together: one look checks them all.

    OpenVINO reads zeros for an id outside of a table; the score would be wrong and look right.
    """

    def __init__(self, columns: Mapping[str, Column], size: int) -> None:
        ids = {name: column.size for name, column in columns.items() if _is_id(column) and column.size is not None}
        self._names = list(ids)
        self._ids = np.zeros((len(ids), size), np.int32)
        self._sizes = np.array(list(ids.values()), np.uint32)[:, None]
        self.by_name = {
            name: self._ids[self._names.index(name)] if name in ids else np.zeros((size, *tail(column)), column.type)
            for name, column in columns.items()
        }
        self._others = {name: column.size for name, column in columns.items() if column.size and name not in ids}

    def fill(self, inputs: Mapping[str, NDArray[Any]], rows: int) -> None:
        """Copy the inputs; rows of an earlier call may follow them, which no other row looks at."""
        for name, array in self.by_name.items():
            array[:rows] = inputs[name]
        outside = (self._ids[:, :rows].view(np.uint32) >= self._sizes).any(axis=1)  # a negative id is a huge one
        if outside.any():
            number = int(np.argmax(outside))
            _refuse(self._names[number], self._ids[number, :rows], int(self._sizes[number, 0]))
        for name, size in self._others.items():
            values = self.by_name[name][:rows]
            if values.min() < 0 or values.max() >= size:
                _refuse(name, values, size)


class _Slot:
    """What one call at a time uses: a request, and for each number of rows the arrays it reads."""

    def __init__(self, request: Any, ports: Mapping[str, Any], columns: Mapping[str, Column]) -> None:
        self._request = request
        self._ports = ports
        self._columns = columns
        self._arrays: dict[int, _Arrays] = {}
        self._bound = 0

    def run(self, inputs: Mapping[str, NDArray[Any]], rows: int) -> NDArray[Any]:
        size = _padded(rows)
        if size not in self._arrays:
            self._arrays[size] = _Arrays(self._columns, size)
        arrays = self._arrays[size]
        arrays.fill(inputs, rows)
        if self._bound != size:
            self._bind(arrays)
            self._bound = size
        self._request.infer()
        scores: NDArray[Any] = self._request.get_output_tensor(0).data
        # An answer that does not follow the number of rows is the caller's to refuse, so it goes there whole.
        return scores[:rows].copy() if scores.shape[:1] == (size,) else scores.copy()

    def _bind(self, arrays: _Arrays) -> None:
        import openvino

        for name, array in arrays.by_name.items():
            self._request.set_tensor(self._ports[name], openvino.Tensor(array, shared_memory=True))


def _is_id(column: Column) -> bool:
    return column.type == "int32" and column.kind == "scalar"


def _refuse(name: str, values: NDArray[Any], size: int) -> NoReturn:
    raise InvalidInputError(f"input '{name}' holds ids from {values.min()} to {values.max()}; it has {size} values")


def _padded(rows: int) -> int:
    for size in _SIZES:
        if rows <= size:
            return size
    return -(-rows // _SIZES[-1]) * _SIZES[-1]


def _load(path: Path, precision: str, threads: int) -> Any:
    require_file(path)
    try:
        import openvino
    except ImportError as error:
        raise MissingExtraError("ranking with OpenVINO", "openvino") from error
    hint, capability = _PRECISIONS[precision]
    core = openvino.Core()
    if capability not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UnsupportedRuntimeError(f"this CPU has no {precision} that OpenVINO uses")
    streams = max(1, len(os.sched_getaffinity(0)) // threads) if hasattr(os, "sched_getaffinity") else 1
    settings = {
        "INFERENCE_PRECISION_HINT": hint,
        "NUM_STREAMS": streams,
        "INFERENCE_NUM_THREADS": streams * threads,
        "ENABLE_CPU_PINNING": False,  # a server's threads go where the system puts them
    }
    try:
        return core.compile_model(core.read_model(path), "CPU", settings)
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise ReleaseError(f"{path} is no model that OpenVINO takes: {error}") from error
