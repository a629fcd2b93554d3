"""A ranker on OpenVINO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError, MissingExtraError, ReleaseError, UnsupportedRuntimeError
from friesian_fast.rank.model import ModelRanker, Port, require_file, tail
from friesian_fast.rank.openvino_core import openvino_core
from friesian_fast.rank.openvino_split import split_at_large_product
from friesian_fast.spec import Column, FeatureSpec

# A number of rows that OpenVINO has not seen costs it milliseconds. So there is one compiled model for each of these,
# which share the weights' memory; calls are filled up to the next one, and longer ones run in pieces of the last.
_SIZES = (16, 64, 128, 256, 384)

_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "int8": "INT8"}
_TYPES = {"i32": "int32", "i64": "int64", "f32": "float32", "f64": "float64"}


class OpenvinoRanker(ModelRanker):
    """Runs an ONNX file or an OpenVINO IR; safe to call from many threads at once.

    Calls for a like number of rows take turns: a server uses more cores by more processes.

    Parameters
    ----------
    path : path
        An ONNX file, or the ``.xml`` of an IR with its ``.bin`` beside it.
    spec : FeatureSpec
    precision : {"fp32", "bf16", "int8"}, default "fp32"
        Of the large products; the rest is fp32. "bf16" rounds what the file holds as it is loaded, from the first
        large product on; "int8" needs a file that is quantised.
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
        core, model = _load(path, precision)
        # A port has several names once its conversion is folded away; the node keeps the input's own.
        found = {
            port.get_node().get_friendly_name(): Port(_type(port), port.get_partial_shape().rank.get_length())
            for port in model.inputs
        }
        super().__init__(path, spec, found, [str(number) for number in range(len(model.outputs))])
        columns = {value.name: spec.input_column(value) for value in spec.model_inputs}
        parts = (split_at_large_product(model) if precision == "bf16" else None) or (model,)
        self._models = {size: _SizedModel(_compile(core, path, parts, size, threads), size, columns) for size in _SIZES}
        self.warm_up()

    def warm_up(self) -> None:
        """Run every size once."""
        super().warm_up()
        for model in self._models.values():
            model.warm_up()

    def _run(self, inputs: Mapping[str, NDArray[Any]], rows: int, shown: int | None) -> NDArray[Any]:
        last = _SIZES[-1]
        if rows > last:
            pieces = [
                self._run(
                    {name: array[start : start + last] for name, array in inputs.items()},
                    min(last, rows - start),
                    shown,
                )
                for start in range(0, rows, last)
            ]
            return np.concatenate(pieces)
        size = next(size for size in _SIZES if rows <= size)
        return self._models[size].run(inputs, rows)


class _SizedModel:
    """The model for one number of rows, in one part or two, and what earlier calls left for the next ones."""

    def __init__(self, parts: Sequence[Any], size: int, columns: Mapping[str, Column]) -> None:
        self._parts = parts
        self._size = size
        self._columns = columns
        self._idle: list[tuple[list[Any], _Arrays]] = []

    def warm_up(self) -> None:
        self._idle.append(self._new_requests())
        self.run(_Arrays(self._columns, 1).by_name, 1)

    def run(self, inputs: Mapping[str, NDArray[Any]], rows: int) -> NDArray[Any]:
        try:
            requests, arrays = self._idle.pop()
        except IndexError:
            requests, arrays = self._new_requests()
        try:
            arrays.fill(inputs, rows)
            for request in requests:
                request.infer()
            # An answer that does not follow the number of rows is the caller's to refuse, so it goes there whole.
            answer = requests[-1].get_output_tensor(0).data
            scores: NDArray[Any] = (answer[:rows] if answer.shape[:1] == (self._size,) else answer).copy()
            if len(scores) == rows:
                scores[arrays.unsound(rows)] = np.nan
            return scores
        finally:
            self._idle.append((requests, arrays))

    def _new_requests(self) -> tuple[list[Any], _Arrays]:
        """One request for each part, which reads what the one before writes; the first reads the arrays."""
        import openvino

        requests = [part.create_infer_request() for part in self._parts]
        arrays = _Arrays(self._columns, self._size)
        for port in self._parts[0].inputs:
            array = arrays.by_name[port.get_node().get_friendly_name()]
            requests[0].set_tensor(port, openvino.Tensor(array, shared_memory=True))
        for before, after in pairwise(range(len(requests))):
            for number, port in enumerate(self._parts[after].inputs):
                requests[after].set_tensor(port, requests[before].get_output_tensor(number))
        return requests, arrays


class _Arrays:
    """The inputs of so many rows, where a request reads them. What is alike stands together: one look checks it all.

    OpenVINO reads zeros for an id outside of a table, and some of its operations answer numbers for NaN; the score
    would be wrong and look right.
    """

    def __init__(self, columns: Mapping[str, Column], size: int) -> None:
        ids = {name: column.size for name, column in columns.items() if _is_id(column) and column.size is not None}
        numbers = [name for name, column in columns.items() if (column.type, column.kind) == ("float32", "scalar")]
        self._names = list(ids)
        self._ids = np.zeros((len(ids), size), np.int32)
        self._sizes = np.array(list(ids.values()), np.uint32)[:, None]
        self._numbers = np.zeros((len(numbers), size), np.float32)
        together = dict(zip([*ids, *numbers], [*self._ids, *self._numbers], strict=True))
        self.by_name = {
            name: together[name] if name in together else np.zeros((size, *tail(column)), column.type)
            for name, column in columns.items()
        }
        apart = {name: array for name, array in self.by_name.items() if name not in together}
        self._others = {name: limit for name in apart if (limit := columns[name].size)}
        self._other_numbers = [array for array in apart.values() if array.dtype.kind == "f"]

    def unsound(self, rows: int) -> NDArray[np.bool_]:
        """Of each row, whether it holds NaN or infinity."""
        bad: NDArray[np.bool_] = np.logical_or.reduce(~np.isfinite(self._numbers[:, :rows]), axis=0)
        for array in self._other_numbers:
            bad |= ~np.isfinite(array[:rows].reshape(rows, -1)).all(axis=1)
        return bad

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


def _is_id(column: Column) -> bool:
    return column.type == "int32" and column.kind == "scalar"


def _refuse(name: str, values: NDArray[Any], size: int) -> NoReturn:
    raise InvalidInputError(f"input '{name}' holds ids from {values.min()} to {values.max()}; it has {size} values")


def _type(port: Any) -> str:
    name = str(port.get_element_type().get_type_name())
    return _TYPES.get(name, name)


def _load(path: Path, precision: str) -> tuple[Any, Any]:
    """OpenVINO's core, and the model."""
    require_file(path)
    try:
        core = openvino_core()
    except ImportError as error:
        raise MissingExtraError("ranking with OpenVINO", "openvino") from error
    if _CAPABILITIES[precision] not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UnsupportedRuntimeError(f"this CPU has no {precision} that OpenVINO uses")
    try:
        return core, core.read_model(path)
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise ReleaseError(f"{path} is no model that OpenVINO takes: {error}") from error


def _compile(core: Any, path: Path, parts: Sequence[Any], size: int, threads: int) -> list[Any]:
    """The parts for a number of rows; of two, the second in bf16."""
    compiled = []
    for part, hint in zip(parts, ("f32", "bf16"), strict=False):
        # One stream runs in the thread that calls; several would hand each call to another thread.
        settings = {
            "INFERENCE_PRECISION_HINT": hint,
            "NUM_STREAMS": 1,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,  # a server's threads go where the system puts them
        }
        try:
            part.reshape({port: [size, *list(port.get_partial_shape())[1:]] for port in part.inputs})
            compiled.append(core.compile_model(part, "CPU", settings))
        except Exception as error:  # as above
            raise ReleaseError(f"{path} is no model that OpenVINO runs on {size} rows: {error}") from error
    return compiled
