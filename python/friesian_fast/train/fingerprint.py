"""What tells a run from another: hashes of all that the course of a training depends on, each under its name."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np

from friesian_fast.train.job import Work
from friesian_fast.train.source import Source

_OF_MAKER = ("config", "precision", "lazy_embeddings", "outputs", "scheduler")


def fingerprints(work: Work) -> dict[str, str]:
    """Hashes of what the course of a training depends on, by the names that callers know.

    Not among them are the code of functions that make the model, `epochs` (which may be raised while a run is
    stopped), and functions called at the end of epochs, which only listen.
    """
    parts: dict[str, Any] = {
        "data": _of_source(work.source),
        "validation_data": None if work.validation is None else _of_source(work.validation),
        "feature_cols": None if work.features is None else [feature.name for feature in work.features],
        "label_cols": work.labels,
        "batch_size": work.batch_size,
        "buffer_rows": work.buffer_rows,
        "checkpoint_steps": work.checkpoint_steps,
        "seed": [work.seed, getattr(work.maker, "seed", None)],
        "epochs trained before": work.first_epoch,
        "metrics": work.metrics,
        "negatives": work.extend,
        "callbacks": [work.early_stopping, [_of_callback(callback) for callback in work.callbacks]],
    }
    parts |= {name: getattr(work.maker, name, None) for name in _OF_MAKER}
    return {name: hashlib.sha256(json.dumps(_plain(part)).encode()).hexdigest() for name, part in parts.items()}


def differing_parts(kept: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Which parts two runs do not have in common."""
    return [name for name in own if kept.get(name) != own[name]]


def _of_source(source: Source) -> list[Any]:
    groups = [[piece.group, piece.rows] for piece in source.pieces]
    return [groups, source.digest(), str(source.schema), sorted(source.ranges.items())]


def _of_callback(callback: Any) -> list[Any]:
    """Its class, and what it and its base classes were made with, as far as it keeps that under the same names."""
    makers = [vars(kind)["__init__"] for kind in type(callback).__mro__[:-1] if "__init__" in vars(kind)]
    names = {name for maker in makers for name in inspect.signature(maker).parameters}
    kept = {name.removeprefix("_"): value for name, value in getattr(callback, "__dict__", {}).items()}
    given = {name: kept[name] for name in names & kept.keys()}
    if "min_delta" in given:
        given["min_delta"] = abs(given["min_delta"])  # Keras turns its sign while it runs
    return [type(callback).__qualname__, _plain(given)]


def _plain(value: Any) -> Any:
    """What tells a setting from another in any process: numbers, texts, arrays, and what holds them; else its type."""
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return value if value is None or isinstance(value, (str, int, float)) else type(value).__qualname__
