"""How an answer came about: candidates, scores, features, times, rules."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.recommend.stages import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """How an answer came about. All arrays are in the order of recall.

    Parameters
    ----------
    candidates : ids, shape (n,)
        Those that recall proposed and that have features.
    recall_scores : ndarray of float32, shape (n,)
        Minus infinity for a pinned item that the search did not find.
    ranker_scores : ndarray of float32, shape (n,)
    scores : ndarray of float32, shape (n,)
        After the rules' boosts.
    features : mapping of model input to array, shape (n,) or (n, length)
        What the ranker was given.
    seconds : mapping of stage to float
    rules : tuple of str
        What each rule did, in order; empty without rules.
    """

    candidates: Ids
    recall_scores: NDArray[np.float32]
    ranker_scores: NDArray[np.float32]
    scores: NDArray[np.float32]
    features: Mapping[str, NDArray[Any]]
    seconds: Mapping[str, float]
    rules: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """Plain values; None for a score or a feature that is not finite, which JSON cannot hold."""
        candidates = self.candidates if isinstance(self.candidates, list) else self.candidates.tolist()
        features = {name: _plain(values) for name, values in self.features.items()}
        scores = (_plain(values) for values in (self.recall_scores, self.ranker_scores, self.scores))
        return {
            "candidates": [
                {
                    "id": item,
                    "recallScore": recall,
                    "rankerScore": ranker,
                    "score": score,
                    "features": {name: values[i] for name, values in features.items()},
                }
                for i, (item, recall, ranker, score) in enumerate(zip(candidates, *scores, strict=True))
            ],
            "seconds": dict(self.seconds),
            "rules": list(self.rules),
        }


@dataclass(slots=True)
class Trace:
    """Collects what an explanation needs while a request runs."""

    seconds: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    candidates: Ids = field(default_factory=list)
    recall_scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    ranker_scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))
    scores: NDArray[np.float32] = field(default_factory=lambda: np.empty(0, np.float32))

    @contextmanager
    def time(self, stage: str, clock: AbstractContextManager[Any]) -> Iterator[None]:
        """Runs under `clock` and keeps the time of the stage."""
        started = time.perf_counter()
        with clock:
            yield
        self.seconds[stage] = time.perf_counter() - started

    def keep(
        self, candidates: Ids, recall: NDArray[np.float32], ranker: NDArray[np.float32], final: NDArray[np.float32]
    ) -> None:
        """The candidates that were ranked, with their scores."""
        self.candidates, self.recall_scores, self.ranker_scores, self.scores = candidates, recall, ranker, final

    def explanation(self, features: Mapping[str, NDArray[Any]]) -> Explanation:
        """All of it."""
        return Explanation(
            candidates=self.candidates,
            recall_scores=self.recall_scores,
            ranker_scores=self.ranker_scores,
            scores=self.scores,
            features=features,
            seconds=self.seconds,
            rules=tuple(self.notes),
        )


def _plain(values: NDArray[Any]) -> list[Any]:
    """Python's own values, with None for what is not finite."""
    kept = values.astype(object)
    if values.dtype.kind == "f":
        kept[~np.isfinite(values)] = None
    listed: list[Any] = kept.tolist()
    return listed
