"""The metrics of the services behind a recommender, as the original's getClientMetrics shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from friesian_services._pb import (
    feature_pb2,
    feature_pb2_grpc,
    ranking_pb2,
    ranking_pb2_grpc,
    recall_pb2,
    recall_pb2_grpc,
)
from friesian_services.client import Remote, limits, named
from friesian_services.timers import Timers

# The original's headers, and the timers of each service.
HEADERS = {
    "recall": "Recall Service backend metrics:",
    "feature": "Feature Service backend metrics:",
    "ranking": "Inference Service backend metrics:",
}
_TIMERS = {"recall": ("indexing.",), "feature": ("feature.",), "ranking": ("ranking.",)}


class Backends(Protocol):
    """The services behind, wherever they run."""

    def metrics(self) -> str:
        """All their timers under the original's headers; nothing is reset."""
        ...


class LocalBackends:
    """Stages in this process: their timers are ours."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def metrics(self) -> str:
        """All timers of the stages."""
        return _text({name: self._timers.json(prefixes) for name, prefixes in _TIMERS.items()})


class RemoteBackends:
    """Services, asked with the original's calls."""

    def __init__(self, recall: Remote, feature: Remote, ranking: Remote) -> None:
        self._calls: dict[str, tuple[Remote, Any, Any]] = {
            "recall": (recall, recall_pb2_grpc.RecallStub(recall.channel), recall_pb2.Empty),
            "feature": (feature, feature_pb2_grpc.FeatureStub(feature.channel), feature_pb2.Empty),
            "ranking": (ranking, ranking_pb2_grpc.RankingStub(ranking.channel), ranking_pb2.Empty),
        }

    def metrics(self) -> str:
        """All timers of the services."""
        answers = {}
        for name, (remote, stub, empty) in self._calls.items():
            with named(remote):
                answers[name] = stub.getMetrics(empty(), **limits()).str
        return _text(answers)


def _text(answers: Mapping[str, str]) -> str:
    return "\n".join(f"{HEADERS[name]}\n{answer}\n" for name, answer in answers.items())
