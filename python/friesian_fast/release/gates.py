"""Quality gates: what a release must have measured, or it is not made."""

from __future__ import annotations

import json
import math
import operator
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError, NotFoundError, QualityGateError

_COMPARE = {">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt}
_TEXT = re.compile(r"\s*([^<>=\s]+)\s*(>=|<=|>|<)\s*(\S+)\s*")


_HELD_OUT = "val_"  # what `Estimator` calls a metric of the validation


@dataclass(frozen=True, slots=True)
class Measured:
    """What is known of a release.

    Parameters
    ----------
    metrics : mapping of str to float
        Measured on rows that were not trained on, as far as training said which those are.
    trained_on : frozenset of str
        Metrics that were measured on the rows of the training only: they say nothing of what is to come.
    """

    metrics: Mapping[str, float]
    trained_on: frozenset[str] = frozenset()


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

    def shortfall(self, measured: Measured) -> str:
        """What is wrong with the metrics; empty if nothing is."""
        required = f"{self.sign} {self.bound:g} is required"
        if self.metric in measured.trained_on:
            return (
                f"{self.metric} was measured on the rows that were trained on, which any model may learn by heart; "
                f"require {_HELD_OUT}{self.metric}, or give the --evaluation report of friesian evaluate"
            )
        if self.metric not in measured.metrics:
            return f"{self.metric} was not measured, {required}"
        value = measured.metrics[self.metric]
        # Nothing can be said of a NaN, so it passes no gate.
        return "" if _COMPARE[self.sign](value, self.bound) else f"{self.metric} is {value:.6g}, {required}"


def check_gates(gates: Iterable[Gate], measured: Measured) -> None:
    """Hold what was measured against all gates.

    Raises
    ------
    QualityGateError
        Naming every gate that they fall short of.
    """
    short = [text for gate in gates if (text := gate.shortfall(measured))]
    if short:
        known = ", ".join(sorted(measured.metrics)) or "none"
        raise QualityGateError(f"nothing is published: {'; '.join(short)}. Metrics at hand: {known}")


def measured(training: Mapping[str, Any], evaluation: Path | None) -> Measured:
    """The numbers that training reported, and over them those of a ``report.json`` of `friesian evaluate`.

    Parameters
    ----------
    training : mapping
        A ``ranker.json``. Of its ``metrics``, those of the epochs of its ``history`` are of the rows that were trained
        on, unless they are called ``val_…``, and so is what has a ``val_…`` of the same name beside it.
    evaluation : Path or None

    Raises
    ------
    NotFoundError, InvalidInputError
        If the report is not there, or is none.
    """
    reported, evaluated = _numbers(training.get("metrics", {})), _evaluated(evaluation)
    history = training.get("history")
    epochs = [epoch for epoch in history if isinstance(epoch, Mapping)] if isinstance(history, list) else []
    of_epochs = {name for name in set().union(*epochs) if not name.startswith(_HELD_OUT)}
    trained_on = {name for name in reported if name in of_epochs or f"{_HELD_OUT}{name}" in reported} - set(evaluated)
    metrics = {name: value for name, value in reported.items() if name not in trained_on} | evaluated
    return Measured(metrics, frozenset(trained_on))


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
    numbers = {name: value for name, value in values.items() if isinstance(value, (int, float))}
    return {name: float(value) for name, value in numbers.items() if not isinstance(value, bool)}
