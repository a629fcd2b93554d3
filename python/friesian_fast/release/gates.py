"""Quality gates: what a release must have measured, or it is not made."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError, NotFoundError, QualityGateError

_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_TEXT = re.compile(r"\s*([^<>=\s]+)\s*(>=|<=|>|<)\s*(\S+)\s*")

# What the names of metrics begin with that were measured on other rows than the training's, or on those.
_VALIDATION, _TEST, _TRAINING = "val_", "test_", "train_"
_SPEEDS = ("rows_per_second", "input_wait")  # in an epoch of `Estimator.fit`
_OF_NO_MODEL = (*_SPEEDS, "optimum_auc")  # the last is the best that any model can reach on these rows
_SAME = 1e-6  # relative: what single precision does not tell apart


@dataclass(frozen=True, slots=True)
class ReleaseMetrics:
    """What was measured of a release.

    Parameters
    ----------
    values : mapping of str to float
        What may be required.
    refused : mapping of str to str
        What says nothing of the quality on rows to come → why.
    """

    values: Mapping[str, float]
    refused: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gate:
    """A bound of a metric, such as ``ndcg@10>=0.05``."""

    metric: str
    sign: str
    bound: float

    @classmethod
    def parse(cls, text: str) -> Gate:
        """From a name, one of ``>= > <= <`` and a number."""
        match = _TEXT.fullmatch(text)
        try:
            if match is None:
                raise ValueError(text)
            gate = cls(match[1], match[2], float(match[3]))
        except ValueError:
            gate = cls("", "", math.nan)
        if not math.isfinite(gate.bound):
            raise InvalidInputError(f"'{text}' is no requirement; write a metric, a sign and a number: ndcg@10>=0.05")
        return gate

    def shortfall(self, metrics: ReleaseMetrics) -> str:
        """What is wrong with the metrics; empty if nothing is."""
        required = f"{self.sign} {self.bound:g} is required"
        if self.metric in metrics.refused:
            return f"{self.metric} {metrics.refused[self.metric]}"
        if self.metric not in metrics.values:
            return f"{self.metric} was not measured, {required}"
        value = metrics.values[self.metric]
        # Nothing can be said of a NaN, so it passes no gate.
        return "" if _COMPARE[self.sign](value, self.bound) else f"{self.metric} is {value:.6g}, {required}"


def check_gates(gates: Iterable[Gate], metrics: ReleaseMetrics) -> None:
    """Hold what was measured against all gates.

    Raises
    ------
    QualityGateError
        Naming every gate that it falls short of.
    """
    short = [text for gate in gates if (text := gate.shortfall(metrics))]
    if short:
        known = ", ".join(sorted(metrics.values)) or "none"
        raise QualityGateError(f"nothing is published: {'; '.join(short)}. Metrics at hand: {known}")


def release_metrics(training: Mapping[str, Any], evaluation: Path | None) -> ReleaseMetrics:
    """The numbers that training reported, and over them those of a ``report.json`` of `friesian evaluate`.

    Parameters
    ----------
    training : mapping
        A ``ranker.json``. Of its ``metrics``, these are of the rows that were trained on and refused: ``train_…``; what
        an epoch of its ``history`` (a list of epochs, or Keras' lists by metric) has with the same value; all of an
        epoch as `Estimator.fit` gives it, with its speed; and what has a ``val_…`` beside it and no history that tells.
        ``val_…`` and ``test_…`` are of other rows. Speeds and ``optimum_auc`` are of no model and refused.
    evaluation : Path or None

    Raises
    ------
    NotFoundError, InvalidInputError
        If the report is not there or is none, or if `training` has something else than a mapping for ``metrics``.
    """
    reported = training.get("metrics", {})
    if not isinstance(reported, Mapping):
        raise InvalidInputError(f"'metrics' of the training is {reported!r}; it must be a mapping of name to number")
    values = _numbers(reported)
    epochs = _by_metric(training.get("history"))
    whys = {name: _why_refused(name, values, epochs.get(name, [])) for name in values}
    evaluated = _evaluated(evaluation)
    refused = {name: why for name, why in whys.items() if why and name not in evaluated}
    kept = {name: value for name, value in values.items() if not whys[name]}
    return ReleaseMetrics(kept | evaluated, refused)


def _why_refused(name: str, values: Mapping[str, float], epochs: Sequence[float]) -> str:
    """Why a metric opens no gate; empty if it may."""
    if name in _OF_NO_MODEL:
        return "says nothing of how good the model is and cannot be required"
    if name.startswith((_VALIDATION, _TEST)):
        return ""
    held_out = f"{_VALIDATION}{name.removeprefix(_TRAINING)}"
    instead = f"require {held_out}, or give" if held_out in values else "give"
    advice = f"{instead} the --evaluation report of friesian evaluate"
    of_epoch = any(math.isclose(values[name], value, rel_tol=_SAME) for value in epochs)
    if name.startswith(_TRAINING) or of_epoch or any(speed in values for speed in _SPEEDS):
        return f"was measured on the rows that were trained on, which any model may learn by heart; {advice}"
    if held_out in values and not epochs:
        return (
            f"stands beside {held_out} as training's own metrics do, and no history tells whether it is of the rows "
            f"that were trained on; {advice}, or call what was measured on other rows {_TEST}{name}"
        )
    return ""


def _by_metric(history: Any) -> dict[str, list[float]]:
    """Values by metric, of a list of epochs or of Keras' lists by metric; what is neither tells nothing."""
    found: dict[str, list[float]] = {}
    if isinstance(history, Mapping):
        for name, values in history.items():
            of_epochs = values if isinstance(values, list) else [values]
            found[name] = [float(value) for value in of_epochs if _is_number(value)]
    elif isinstance(history, list):
        for epoch in history:
            for name, value in _numbers(epoch if isinstance(epoch, Mapping) else {}).items():
                found.setdefault(name, []).append(value)
    return found


def _evaluated(evaluation: Path | None) -> dict[str, float]:
    if evaluation is None:
        return {}
    if not evaluation.is_file():
        raise NotFoundError(f"there is no {evaluation}; friesian evaluate writes a report.json")
    metrics: dict[str, float] = {}
    try:
        report = json.loads(evaluation.read_text(encoding="utf-8"))
        for part in ("ranking", "pointwise", "lists"):
            metrics |= _numbers({name: _value(entry) for name, entry in report[part].items()})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise InvalidInputError(f"{evaluation} is no report of friesian evaluate: {error}") from error
    return metrics


def _value(entry: Any) -> Any:
    return entry["value"] if isinstance(entry, dict) else entry


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
