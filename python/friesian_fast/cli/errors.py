"""Turns named failures into one line on stderr and a non-zero exit."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from friesian_fast.errors import FriesianError, MissingExtraError

P = ParamSpec("P")
R = TypeVar("R")

# The extra that brings a module which the bare wheel does without.
_EXTRAS = {
    "cloudpickle": "train",
    "faiss": "recall",
    "grpc": "serve",
    "keras": "train",
    "onnx": "train",
    "onnxruntime": "serve",
    "openpyxl": "all",
    "pandas": "spark",
    "pyarrow": "spark",
    "pyspark": "spark",
    "redis": "redis",
    "safetensors": "train",
    "tensorflow": "train",
    "tf2onnx": "train",
    "torch": "torch",
    "uvicorn": "serve",
    "yaml": "serve",
}


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command: what the user can mend becomes ``error: <message>`` and exit status 1.

    That is a `FriesianError`, a package that an extra brings, and what the system refuses (a place that cannot be
    written, a full disk). Anything else is a defect of ours and keeps its traceback.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FriesianError as error:
            message = str(error)
        except ModuleNotFoundError as error:
            message = str(missing_extra(error, "this command"))
        except OSError as error:
            place = f"cannot use {error.filename}: " if error.filename else ""
            message = f"{place}{error.strerror or error}; check the path, its permissions and the space on its disk"
        print(f"error: {message}", file=sys.stderr)
        sys.exit(1)

    return run


def missing_extra(error: ModuleNotFoundError, what: str) -> MissingExtraError:
    """The named error for a module that an extra brings; any other `error` is raised again."""
    missing = (error.name or "").partition(".")[0]
    if missing not in _EXTRAS:
        raise error
    return MissingExtraError(f"{what}, which imports {missing},", _EXTRAS[missing])
