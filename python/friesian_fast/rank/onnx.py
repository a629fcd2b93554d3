"""Rankers on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import MissingExtraError, ReleaseError
from friesian_fast.rank.head import head_rows, put_first
from friesian_fast.rank.model import ModelRanker, Port, require_file
from friesian_fast.spec import FeatureSpec

_TYPES = {
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(float)": "float32",
    "tensor(double)": "float64",
}


# What a model has beside a spec's inputs, and answers, whose head is scored apart.
HEAD_INPUT = "friesian/head"
HEAD_OUTPUTS = ("friesian/scores", "friesian/best", "friesian/exact")


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
        self._outputs = [output.name for output in self._session.get_outputs()]
        super().__init__(path, spec, _ports(self._session), self._outputs)
        self.warm_up()

    def _run(self, inputs: Mapping[str, NDArray[Any]], rows: int, shown: int | None) -> NDArray[Any]:
        scores: NDArray[Any] = self._session.run(self._outputs, dict(inputs))[0]
        return scores


class OnnxHeadRanker(ModelRanker):
    """Runs an ONNX file that scores all rows with few bits and, in the same run, the head with more.

    Such a file is made by `friesian publish` (`friesian_fast.release.int8`). It takes one input more, the number of
    rows in the head, and answers the scores of all rows, the positions of the head, and the head's scores; `put_first`
    says what becomes of them. Where it is not said how many scores will be looked at, all rows are the head. Safe to
    call from many threads at once.

    Parameters
    ----------
    path : path
    spec : FeatureSpec
    threads : int, default 1
        Threads of one call.

    Raises
    ------
    NotFoundError, ReleaseError
        If the file is not there, or is no such model.
    SchemaMismatchError
        If the model's other inputs are not the spec's.
    MissingExtraError
        If ONNX Runtime is not installed.
    """

    def __init__(self, path: str | Path, spec: FeatureSpec, *, threads: int = 1) -> None:
        path = Path(path)
        self._session = _load(path, threads)
        ports = _ports(self._session)
        self._outputs = [output.name for output in self._session.get_outputs()]
        if ports.pop(HEAD_INPUT, None) is None or len(self._outputs) != len(HEAD_OUTPUTS):
            raise ReleaseError(f"{path} does not score the best rows again; publish again, which makes such a model")
        super().__init__(path, spec, ports, self._outputs[:1])
        self.warm_up()

    def _run(self, inputs: Mapping[str, NDArray[Any]], rows: int, shown: int | None) -> NDArray[Any]:
        head = np.array([head_rows(shown, rows)])
        scores, best, exact = self._session.run(self._outputs, {**inputs, HEAD_INPUT: head})
        sound = np.isfinite(scores).all()  # else the caller says what is wrong
        return put_first(scores, best, exact) if sound else scores


def _ports(session: Any) -> dict[str, Port]:
    return {value.name: Port(_TYPES.get(value.type, value.type), len(value.shape)) for value in session.get_inputs()}


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
