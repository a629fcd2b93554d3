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

    def shortfall(self, metrics: Mapping[str, float]) -> str:
        """What is wrong with the metrics; empty if nothing is."""
        required = f"{self.sign} {self.bound:g} is required"
        if self.metric not in metrics:
            return f"{self.metric} was not measured, {required}"
        value = metrics[self.metric]
        # Nothing can be said of a NaN, so it passes no gate.
        return "" if _COMPARE[self.sign](value, self.bound) else f"{self.metric} is {value:.6g}, {required}"


def check_gates(gates: Iterable[Gate], metrics: Mapping[str, float]) -> None:
    """Hold metrics against all gates.

    Raises
    ------
    QualityGateError
        Naming every gate that they fall short of.
    """
    short = [text for gate in gates if (text := gate.shortfall(metrics))]
    if short:
        known = ", ".join(sorted(metrics)) or "none"
        raise QualityGateError(f"nothing is published: {'; '.join(short)}. Metrics at hand: {known}")


def measured(training: Mapping[str, Any], evaluation: Path | None) -> dict[str, float]:
    """The numbers that training reported, and over them those of a ``report.json`` of `friesian evaluate`.

    Raises
    ------
    NotFoundError, InvalidInputError
        If the report is not there, or is none.
    """
    metrics = _numbers(training)
    if evaluation is None:
        return metrics
    if not evaluation.is_file():
        raise NotFoundError(f"there is no {evaluation}; friesian evaluate writes a report.json")
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
