"""A ranker on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from friesian_fast.errors import MissingExtraError, ReleaseError
from friesian_fast.rank.model import ModelRanker, Port, require_file
from friesian_fast.spec import FeatureSpec

_TYPES = {
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


class OnnxRanker(ModelRanker):
    """Runs an ONNX file; safe to call from many threads at once.

    Parameters
    ----------
    path : path
        The ONNX file. Its inputs must be those of the spec, by name, type and shape; its output one score per row.
    spec : FeatureSpec
    threads : int, default 1
        Threads of one call. Servers keep 1: their requests already run beside each other.

    Raises
    ------
    NotFoundError, ReleaseError
        If the file is not there, or is no model that the runtime takes.
    SchemaMismatchError
        If the model's inputs are not the spec's.
    MissingExtraError
        If ONNX Runtime is not installed.
    """

    def __init__(self, path: str | Path, spec: FeatureSpec, *, threads: int = 1) -> None:
        path = Path(path)
        self._session = _load(path, threads)
        inputs = {
            value.name: Port(_TYPES.get(value.type, value.type), len(value.shape))
            for value in self._session.get_inputs()
        }
        self._outputs = [output.name for output in self._session.get_outputs()]
        super().__init__(path, spec, inputs, self._outputs)
        self.warm_up()

    def _run(self, inputs: Mapping[str, NDArray[Any]], rows: int) -> NDArray[Any]:
        scores: NDArray[Any] = self._session.run(self._outputs, dict(inputs))[0]
        return scores


def _load(path: Path, threads: int) -> Any:
    require_file(path)
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("ranking with ONNX Runtime", "serve") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 4  # fatal ones: errors are raised, and each refused request would write a line
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise ReleaseError(f"{path} is no model that ONNX Runtime takes: {error}") from error
