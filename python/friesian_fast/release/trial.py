"""A runtime on trial: its times, and its scores beside the reference's."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import FriesianError
from friesian_fast.rank import RUNTIMES, Ranker
from friesian_fast.release.manifest import RuntimeEntry

TOP = 10
MIN_AGREEMENT = 0.99
MAX_ERROR = 2e-3

Rows = Mapping[str, NDArray[Any]]
Scores = NDArray[np.float32]


@dataclass(slots=True, eq=False)
class Trial:
    """A ranker, and what its runs gave.

    Parameters
    ----------
    name : str
        Of the runtime.
    ranker : Ranker
    of : int
        How many requests it is to be compared on before it may be chosen.
    shown : int or None
        How many scores of a request are looked at, at most; None for all.
    needed : bool
        Whether its failures are raised, not kept.
    """

    name: str
    ranker: Ranker
    of: int
    shown: int | None
    needed: bool
    seconds: list[float] = field(default_factory=list)
    agreements: list[float] = field(default_factory=list)
    shown_error: float = 0.0
    max_error: float = 0.0
    passed_over: str = ""

    def run(self, block: Sequence[Rows]) -> list[Scores]:
        """Score requests one by one; fewer where it fails."""
        scores = []
        try:
            for rows in block:
                start = time.perf_counter()
                scores.append(self.ranker.score(rows, self.shown))
                self.seconds.append(time.perf_counter() - start)
        except FriesianError as error:
            if self.needed:
                raise
            self.passed_over = str(error)
        return scores

    def compare(self, reference: Sequence[Scores], scores: Sequence[Scores]) -> None:
        """Count in what requests gave here and there."""
        head = RUNTIMES[self.name].head and self.shown is not None
        for one, other in zip(reference, scores, strict=False):
            error = float(np.abs(one - other).max())
            self.agreements.append(agreement_of(one, other))
            self.max_error = max(self.max_error, error)
            self.shown_error = max(self.shown_error, top_error_of(one, other) if head else error)

    @property
    def p50(self) -> float:
        """The median time in seconds."""
        return float(np.median(self.seconds))

    @property
    def refused(self) -> str:
        """Why it may not be chosen, whatever the requests say that are still to come; empty if it may yet."""
        if self.passed_over:
            return self.passed_over
        missed = sum(1 - agreement for agreement in self.agreements)
        if missed > (1 - MIN_AGREEMENT) * self.of + 1e-9:
            return f"agreement {np.mean(self.agreements):.4f} < {MIN_AGREEMENT}"
        return "" if self.shown_error <= MAX_ERROR else f"error {self.shown_error:.1e} > {MAX_ERROR:.0e}"

    def entry(self) -> RuntimeEntry:
        """What the manifest says of it."""
        p50, p99 = np.percentile(self.seconds, [50, 99]) * 1e3 if self.seconds else (0.0, 0.0)
        return RuntimeEntry(
            name=self.name,
            precision=RUNTIMES[self.name].precision,
            requests=len(self.agreements),
            p50_ms=float(p50),
            p99_ms=float(p99),
            agreement=float(np.mean(self.agreements)) if self.agreements else 0.0,
            shown_error=self.shown_error,
            max_error=self.max_error,
            refused=self.refused,
        )


def agreement_of(reference: Scores, scores: Scores) -> float:
    """The share of the reference's best that are among the best here."""
    best = [_best(values) for values in (reference, scores)]
    return len(best[0] & best[1]) / len(best[0])


def top_error_of(reference: Scores, scores: Scores) -> float:
    """The largest error of a score among the best by either."""
    shown = sorted(_best(reference) | _best(scores))
    return float(np.abs(reference - scores)[shown].max())


def _best(scores: Scores) -> set[int]:
    return set(np.argsort(-scores, kind="stable")[:TOP].tolist())
