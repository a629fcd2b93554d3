"""Decode, call, encode: scores."""

from __future__ import annotations

from typing import Any

from friesian_fast.rank import Ranker
from friesian_services import wire
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services._pb import ranking_pb2, ranking_pb2_grpc
from friesian_services.errors import UnsupportedError
from friesian_services.timers import Timers


class RankingServicer(ranking_pb2_grpc.RankingServicer):  # type: ignore[misc]  # generated, without types
    """The original's service: its metrics; its tensors were serialised Java."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def doPredict(self, request: ranking_pb2.Content, context: Any) -> ranking_pb2.Prediction:
        raise UnsupportedError("tensors are plain bytes here, not serialised Java: call friesian.v1.Ranking/Predict")

    def getMetrics(self, request: ranking_pb2.Empty, context: Any) -> ranking_pb2.ServerMessage:
        return ranking_pb2.ServerMessage(str=self._timers.json())

    def resetMetrics(self, request: ranking_pb2.Empty, context: Any) -> ranking_pb2.Empty:
        self._timers.reset()
        return ranking_pb2.Empty()


class ScoresServicer(v1_grpc.RankingServicer):  # type: ignore[misc]
    """Scores of named tensors."""

    def __init__(self, ranker: Ranker, release_id: str, timers: Timers) -> None:
        self._ranker = ranker
        self._release_id = release_id
        self._timers = timers

    def Predict(self, request: v1.PredictRequest, context: Any) -> v1.PredictReply:
        wire.check_release(request.release_id, self._release_id)
        with self._timers.time("ranking.overall"):
            with self._timers.time("ranking.decode"):
                inputs = wire.tensors_from_messages(request.inputs)
            wire.check_number(max((len(values) for values in inputs.values()), default=0), "rows")
            with self._timers.time("ranking.inference"):
                scores = self._ranker.score(inputs, request.shown or None)
            with self._timers.time("ranking.encode"):
                return v1.PredictReply(release_id=self._release_id, scores=wire.floats_to_bytes(scores))
