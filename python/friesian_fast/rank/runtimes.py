"""The runtimes by name, and the one way to open a model on any of them."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass, replace
from pathlib import Path

from friesian_fast.errors import MissingExtraError, UnsupportedRuntimeError
from friesian_fast.rank.cascade import CascadeRanker
from friesian_fast.rank.cpu import multiplies_int8
from friesian_fast.rank.model import ModelRanker
from friesian_fast.rank.onnx import OnnxHeadRanker, OnnxRanker
from friesian_fast.rank.openvino import OpenvinoRanker
from friesian_fast.rank.ranker import Ranker
from friesian_fast.rank.saved_model import SavedModelRanker
from friesian_fast.spec import FeatureSpec

REFERENCE = "onnxruntime-fp32"


@dataclass(frozen=True, slots=True, kw_only=True)
class Runtime:
    """A library and a precision.

    Parameters
    ----------
    package : str
        The module that must be there.
    extra : str
        The extra that brings it.
    precision : {"fp32", "bf16", "int8"}
    file : str
        What it runs, beside the other models of a release.
    cheap : str, default ""
        Of a cascade: the runtime that scores all rows, of which the reference scores the best again, on its own file.
    by_row : bool, default True
        Whether a row's score is the same whatever rows are scored with it.
    head : bool, default False
        Whether the rows that an answer can show are scored more exactly than the rest.
    """

    package: str
    extra: str
    precision: str
    file: str
    cheap: str = ""
    by_row: bool = True
    head: bool = False


_PLAIN = {
    REFERENCE: Runtime(package="onnxruntime", extra="serve", precision="fp32", file="ranker.onnx"),
    # Both take the range of a product's inputs over all rows.
    "onnxruntime-int8": Runtime(
        package="onnxruntime", extra="serve", precision="int8", file="ranker_int8_head.onnx", by_row=False, head=True
    ),
    "onnxruntime-int8+fp32": Runtime(
        package="onnxruntime", extra="serve", precision="int8", file="ranker_int8_fp32.onnx", by_row=False, head=True
    ),
    "openvino-fp32": Runtime(package="openvino", extra="openvino", precision="fp32", file="ranker.onnx"),
    "openvino-bf16": Runtime(package="openvino", extra="openvino", precision="bf16", file="ranker.onnx"),
    "openvino-int8": Runtime(package="openvino", extra="openvino", precision="int8", file="ranker_static_int8.onnx"),
    "tensorflow-fp32": Runtime(package="tensorflow", extra="train", precision="fp32", file="saved_model"),
}
_CASCADES = {
    f"{cheap}+fp32": replace(_PLAIN[cheap], cheap=cheap, by_row=False, head=True)
    for cheap in ("openvino-bf16", "openvino-int8")
}
RUNTIMES = _PLAIN | _CASCADES


def require_runtime(name: str) -> Runtime:
    """A runtime that is known and installed, on a CPU that has its precision as far as this can be told unloaded.

    Raises
    ------
    UnsupportedRuntimeError, MissingExtraError
    """
    if name not in RUNTIMES:
        raise UnsupportedRuntimeError(f"there is no ranking runtime '{name}'; known are {', '.join(RUNTIMES)}")
    runtime = RUNTIMES[name]
    for needed in (runtime, RUNTIMES[REFERENCE]) if runtime.cheap else (runtime,):
        if importlib.util.find_spec(needed.package) is None:
            raise MissingExtraError(f"the ranking runtime '{name}'", needed.extra)
    if runtime.precision == "int8" and not multiplies_int8():
        raise UnsupportedRuntimeError(f"this CPU has no exact int8 products, which '{name}' needs")
    return runtime


def open_ranker(path: str | Path, spec: FeatureSpec, *, runtime: str = REFERENCE, threads: int = 1) -> Ranker:
    """Open a model, check it against the spec and warm it up.

    Parameters
    ----------
    path : path
        What the runtime takes: an ONNX file or a SavedModel's directory. A cascade finds ``ranker.onnx`` beside it.
    spec : FeatureSpec
    runtime : str, default "onnxruntime-fp32"
        A key of `RUNTIMES`.
    threads : int, default 1
        Threads of one call.

    Raises
    ------
    MissingExtraError, UnsupportedRuntimeError
        If the runtime is unknown, not installed, or of a precision that this CPU lacks.
    NotFoundError, ReleaseError, SchemaMismatchError
        If the model is not there, damaged, or not the spec's.
    """
    chosen = require_runtime(runtime)
    ranker = _open(Path(path), spec, chosen, threads)
    if not chosen.cheap:
        return ranker
    reference = RUNTIMES[REFERENCE]
    return CascadeRanker(ranker, _open(Path(path).with_name(reference.file), spec, reference, threads))


def _open(path: Path, spec: FeatureSpec, chosen: Runtime, threads: int) -> ModelRanker:
    if chosen.package == "openvino":
        return OpenvinoRanker(path, spec, precision=chosen.precision, threads=threads)
    if chosen.package == "tensorflow":
        return SavedModelRanker(path, spec, threads=threads)
    return (OnnxHeadRanker if chosen.head else OnnxRanker)(path, spec, threads=threads)
