"""Decode, call, encode: recommendations."""

from __future__ import annotations

from typing import Any

from friesian_fast.recommend import Recommender
from friesian_services import wire
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services._pb import recommender_pb2, recommender_pb2_grpc
from friesian_services.backends import Backends
from friesian_services.call import in_time
from friesian_services.metrics import Timers


class RecommenderServicer(recommender_pb2_grpc.RecommenderServicer):  # type: ignore[misc]  # generated, without types
    """The original's service; who got the popular items instead is said in trailing metadata."""

    def __init__(self, recommender: Recommender, timers: Timers, backends: Backends) -> None:
        self._recommender = recommender
        self._timers = timers
        self._backends = backends

    def getRecommendIDs(
        self, request: recommender_pb2.RecommendRequest, context: Any
    ) -> recommender_pb2.RecommendIDProbs:
        wire.require_int64(self._recommender.user_id_type, "user")
        k, candidates = request.recommendNum, request.candidateNum
        with self._timers.time("recommend.grpc.overall"):
            answers = [self._recommender.recommend(user, k=k, candidates=candidates) for user in in_time(request.ID)]
        context.set_trailing_metadata(wire.fallback_metadata(answers))
        listed = [recommender_pb2.IDProbs(ID=wire.int32s(answer.ids), prob=answer.scores) for answer in answers]
        return recommender_pb2.RecommendIDProbs(IDProbList=listed)

    def getMetrics(self, request: recommender_pb2.Empty, context: Any) -> recommender_pb2.ServerMessage:
        return recommender_pb2.ServerMessage(str=self._timers.json())

    def resetMetrics(self, request: recommender_pb2.Empty, context: Any) -> recommender_pb2.Empty:
        self._timers.reset()
        return recommender_pb2.Empty()

    def getClientMetrics(self, request: recommender_pb2.Empty, context: Any) -> recommender_pb2.ServerMessage:
        return recommender_pb2.ServerMessage(str=self._backends.metrics())


class RecommendServicer(v1_grpc.RecommenderServicer):  # type: ignore[misc]
    """The same with ids of 64 bits or text; a `k` or `candidates` of 0 is the default."""

    def __init__(self, recommender: Recommender, timers: Timers) -> None:
        self._recommender = recommender
        self._timers = timers

    def Recommend(self, request: v1.RecommendRequest, context: Any) -> v1.RecommendReply:
        ours = self._recommender
        wire.check_release(request.release_id, ours.release_id)
        users = in_time(wire.plain(wire.ids_from_message(request.users, ours.user_id_type)))
        k, candidates = request.k or None, request.candidates or None
        with self._timers.time("recommend.grpc.overall"):
            answers = [ours.recommend(user, k=k, candidates=candidates) for user in users]
        context.set_trailing_metadata(wire.fallback_metadata(answers))
        return v1.RecommendReply(release_id=ours.release_id, recommendations=map(wire.recommendation, answers))
