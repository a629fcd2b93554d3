"""Weights on disk: one safetensors file with its facts as JSON in the header; reading it executes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from friesian_fast._files import replacing, sync
from friesian_fast.errors import InvalidInputError, MissingExtraError
from friesian_fast.train.comm import Array

FILE = "checkpoint.safetensors"
_FACTS = "friesian"


def write_state(path: Path, state: Mapping[str, Array], facts: Mapping[str, Any]) -> None:
    """Write arrays and JSON facts as one file, whole or not at all, and so that it outlives a crash."""
    numpy = _safetensors()
    with replacing(path) as partial:
        arrays = {name: np.asarray(value, order="C") for name, value in state.items()}
        numpy.save_file(arrays, partial, metadata={_FACTS: json.dumps(facts)})
        sync(partial)


def read_state(path: Path) -> tuple[dict[str, Array], dict[str, Any]]:
    """The arrays and the facts.

    Raises
    ------
    InvalidInputError
        If the file is not what `write_state` wrote.
    """
    _safetensors()
    import safetensors

    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            facts = json.loads((file.metadata() or {})[_FACTS])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, KeyError, ValueError, OSError) as error:
        raise InvalidInputError(f"{path} holds no weights that this code wrote ({error}); remove it") from error
    return state, facts


def _safetensors() -> Any:
    try:
        from safetensors import numpy
    except ImportError as error:
        raise MissingExtraError("keeping weights", "train") from error
    return numpy
