"""A ranker on TensorFlow."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from friesian_fast.errors import MissingExtraError, ReleaseError
from friesian_fast.rank.model import ModelRanker, Port, require_file
from friesian_fast.spec import FeatureSpec

_SIGNATURE = "serving_default"


class SavedModelRanker(ModelRanker):
    """Runs the signature `serving_default` of a SavedModel; safe to call from many threads at once.

    Importing TensorFlow takes seconds and hundreds of megabytes, so it happens here and not at the module's import.

    Parameters
    ----------
    path : path
        The SavedModel's directory.
    spec : FeatureSpec
    threads : int, default 1
        Threads of one call, for the whole process and only if TensorFlow has not run yet.

    Raises
    ------
    NotFoundError, ReleaseError
        If the directory is not there, or holds no model with that signature.
    SchemaMismatchError
        If the model's inputs are not the spec's.
    MissingExtraError
        If TensorFlow is not installed.
    """

    def __init__(self, path: str | Path, spec: FeatureSpec, *, threads: int = 1) -> None:
        path = Path(path)
        self._tensorflow, self._model = _load(path, threads)
        self._answer = self._model.signatures[_SIGNATURE]
        found = {
            name: Port(value.dtype.name, value.shape.rank)
            for name, value in self._answer.structured_input_signature[1].items()
        }
        super().__init__(path, spec, found, list(self._answer.structured_outputs))
        self.warm_up()

    def _run(self, inputs: Mapping[str, NDArray[Any]], rows: int, shown: int | None) -> NDArray[Any]:
        constant = self._tensorflow.constant
        (scores,) = self._answer(**{name: constant(values) for name, values in inputs.items()}).values()
        found: NDArray[Any] = scores.numpy()
        return found


def _load(path: Path, threads: int) -> tuple[Any, Any]:
    require_file(path)
    try:
        import tensorflow
    except ImportError as error:
        raise MissingExtraError("ranking with TensorFlow", "train") from error
    with contextlib.suppress(RuntimeError):  # it has run already, with the threads it has
        tensorflow.config.threading.set_intra_op_parallelism_threads(threads)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    try:
        model = tensorflow.saved_model.load(path)
    except Exception as error:  # the runtime's exceptions have no common base but this
        raise ReleaseError(f"{path} is no SavedModel that TensorFlow takes: {error}") from error
    if _SIGNATURE not in model.signatures:
        raise ReleaseError(f"{path} has no signature '{_SIGNATURE}' but {sorted(model.signatures)}; export it again")
    return tensorflow, model
