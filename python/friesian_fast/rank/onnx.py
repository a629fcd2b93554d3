"""A ranker on ONNX Runtime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError, MissingExtraError, NotFoundError, ReleaseError, SchemaMismatchError
from friesian_fast.spec import Column, FeatureSpec

_ONNX_TYPES = {
    "int32": "tensor(int32)",
    "int64": "tensor(int64)",
    "float32": "tensor(float)",
    "float64": "tensor(double)",
}


class OnnxRanker:
    """Runs an exported model; safe to call from many threads at once.

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
    """

    def __init__(self, path: str | Path, spec: FeatureSpec, *, threads: int = 1) -> None:
        self._path = Path(path)
        self._columns = {value.name: spec.input_column(value) for value in spec.model_inputs}
        self._session = _load(self._path, threads)
        self._check_inputs()
        outputs = self._session.get_outputs()
        if len(outputs) != 1:
            names = ", ".join(output.name for output in outputs)
            raise ReleaseError(f"{self._path} has {len(outputs)} outputs ({names}); a ranker has one score per row")
        self._outputs = [outputs[0].name]
        # One row of zeros: an output of the wrong shape is found now, and the first request finds a warm model.
        self.score({name: np.zeros(_shape(1, column), column.type) for name, column in self._columns.items()})

    def score(self, inputs: Mapping[str, NDArray[Any]]) -> NDArray[np.float32]:
        """One score for each row.

        Parameters
        ----------
        inputs : mapping of str to array, shape (n,) for scalars and (n, length) for fixed columns and lists
            By model-input name, of the spec's types.

        Returns
        -------
        array of float32, shape (n,)

        Raises
        ------
        InvalidInputError
            If an input is missing, too many, of another type or shape, or holds a value the model refuses.
        ReleaseError
            If the model's answer is not one finite number for each row.
        """
        rows = self._check(inputs)
        if rows == 0:
            return np.empty(0, np.float32)
        try:
            scores = self._session.run(self._outputs, dict(inputs))[0]
        except Exception as error:  # the runtime's exceptions have no common base but this
            raise InvalidInputError(f"{self._path} refuses these {rows} rows: {error}") from error
        if scores.size != rows:
            raise ReleaseError(f"{self._path} answered shape {scores.shape} for {rows} rows; publish a sound ranker")
        flat: NDArray[np.float32] = scores.reshape(rows).astype(np.float32, copy=False)
        if not np.isfinite(flat).all():
            bad = int(np.count_nonzero(~np.isfinite(flat)))
            raise ReleaseError(
                f"{self._path}: {bad} of {rows} scores are NaN or infinite; look for such values in the features, "
                "or publish a sound ranker"
            )
        return flat

    def _check_inputs(self) -> None:
        found = {value.name: value for value in self._session.get_inputs()}
        if found.keys() != self._columns.keys():
            raise SchemaMismatchError(
                f"{self._path} takes other inputs than the spec says: too many "
                f"{sorted(found.keys() - self._columns.keys())}, missing {sorted(self._columns.keys() - found.keys())}"
            )
        for name, column in self._columns.items():
            if found[name].type != _ONNX_TYPES[column.type]:
                raise SchemaMismatchError(
                    f"{self._path}: input '{name}' is {found[name].type}, but column '{column.name}' is {column.type}"
                )
            rank, wanted = len(found[name].shape), len(_shape(1, column))
            if rank != wanted:
                raise SchemaMismatchError(
                    f"{self._path}: input '{name}' has {rank} dimensions, but column '{column.name}' of kind "
                    f"'{column.kind}' gives {wanted}"
                )

    def _check(self, inputs: Mapping[str, NDArray[Any]]) -> int:
        if inputs.keys() != self._columns.keys():
            raise InvalidInputError(
                f"the inputs are not the model's: too many {sorted(inputs.keys() - self._columns.keys())}, "
                f"missing {sorted(self._columns.keys() - inputs.keys())}"
            )
        rows: int = next(iter(inputs.values())).shape[0]
        for name, column in self._columns.items():
            array = inputs[name]
            if array.dtype != column.type or array.shape != _shape(rows, column):
                raise InvalidInputError(
                    f"input '{name}' is {array.dtype} of shape {array.shape}; it must be {column.type} of shape "
                    f"{_shape(rows, column)}"
                )
        return rows


def _shape(rows: int, column: Column) -> tuple[int, ...]:
    return (rows,) if column.kind == "scalar" else (rows, column.length)


def _load(path: Path, threads: int) -> Any:
    if not path.is_file():
        raise NotFoundError(f"there is no model at {path}; training exports it and `friesian publish` copies it")
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("ranking with ONNX Runtime", "serve") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: they are raised anyway
    try:
        return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # as above
        raise ReleaseError(f"{path} is no model that ONNX Runtime takes: {error}") from error
