"""What tells a run from another: hashes of all that the course of a training depends on, each under its name."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from datetime import date, time, timedelta
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.train.job import Work
from friesian_fast.train.source import Source

_OF_MAKER = ("config", "precision", "lazy_embeddings", "outputs", "scheduler")
# Keras' own that only listen; where they write may be another place in every run.
_LISTENERS = (
    "CSVLogger",
    "History",
    "ModelCheckpoint",
    "OrbaxCheckpoint",
    "ProgbarLogger",
    "RemoteMonitor",
    "TensorBoard",
)
_TOLD_BY_TEXT = (PurePath, date, time, timedelta, range, Decimal, UUID)  # by that and their class
# Of callbacks, as they were when they were seen first: what they change while they run is not what was given.
_seen: WeakKeyDictionary[Any, list[Any]] = WeakKeyDictionary()


def fingerprints(work: Work) -> dict[str, str]:
    """Hashes of what the course of a training depends on, by the names that callers know.

    Not among them are the code of functions (those that make the model, the optimizer and the schedule), the loss,
    `epochs` (which may be raised while a run is stopped), and what only listens: functions called at the end of
    epochs, and Keras' own loggers and writers of models.

    Raises
    ------
    InvalidInputError
        If one of them holds itself.
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
        "callbacks": [work.early_stopping, _of_callbacks(work.callbacks)],
    }
    parts |= {name: getattr(work.maker, name, None) for name in _OF_MAKER}
    return {name: _hash(name, part) for name, part in parts.items()}


def differing_parts(kept: Mapping[str, str], own: Mapping[str, str]) -> list[str]:
    """Which parts two runs do not have in common."""
    return [name for name in own if kept.get(name) != own[name]]


def _of_source(source: Source) -> list[Any]:
    groups = [[piece.group, piece.rows] for piece in source.pieces]
    return [groups, source.digest(), str(source.schema), sorted(source.ranges.items())]


def _hash(name: str, part: Any) -> str:
    try:
        return hashlib.sha256(json.dumps(_plain(part)).encode()).hexdigest()
    except RecursionError as error:
        raise InvalidInputError(
            f"{name} holds something that holds itself, so a checkpoint cannot be compared with it; give values only"
        ) from error


def _of_callbacks(callbacks: Sequence[Any]) -> list[Any]:
    return [_as_first_seen(callback) for callback in callbacks if not _only_listens(type(callback))]


def _only_listens(kind: type) -> bool:
    """Whether it is one of Keras' own, and no class that somebody made of it."""
    return kind.__module__.startswith("keras.") and kind.__name__ in _LISTENERS


def _as_first_seen(callback: Any) -> list[Any]:
    try:
        return _seen.setdefault(callback, _of_callback(callback))
    except TypeError:  # it cannot be a key
        return _of_callback(callback)


def _of_callback(callback: Any) -> list[Any]:
    """Its class, and the numbers and texts that it and its base classes were made with, if it keeps their names."""
    makers = [vars(kind)["__init__"] for kind in type(callback).__mro__[:-1] if "__init__" in vars(kind)]
    names = {name for maker in makers for name in inspect.signature(maker).parameters}
    kept = {name.removeprefix("_"): value for name, value in getattr(callback, "__dict__", {}).items()}
    given = {name: kept[name] for name in names & kept.keys() if isinstance(kept[name], (str, int, float, np.number))}
    if "min_delta" in given:
        given["min_delta"] = abs(given["min_delta"])  # Keras turns its sign while it runs
    return [type(callback).__qualname__, _plain(given)]


def _plain(value: Any) -> Any:
    """What tells a setting from another in any process: values, and what holds them; of all else its type."""
    if isinstance(value, Enum):
        return [type(value).__qualname__, value.name]
    if is_dataclass(value) and not isinstance(value, type):
        value = {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(value[key]) for key in sorted(value, key=str)}
    if isinstance(value, (list, tuple)):
        return [_plain(part) for part in value]
    if isinstance(value, (set, frozenset)):
        return ["set", sorted(json.dumps(_plain(part)) for part in value)]
    if isinstance(value, (bytes, bytearray)):
        return ["bytes", hashlib.sha256(value).hexdigest()]
    if isinstance(value, _TOLD_BY_TEXT):
        return [type(value).__qualname__, str(value)]
    if isinstance(value, (np.ndarray, np.generic)) and not value.dtype.hasobject:
        return [str(value.dtype), value.shape, hashlib.sha256(value.tobytes()).hexdigest()]
    if isinstance(value, np.ndarray):
        return _plain(value.tolist())
    return value if value is None or isinstance(value, (str, int, float)) else type(value).__qualname__
