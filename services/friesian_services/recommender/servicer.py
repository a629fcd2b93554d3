"""Decode, call, encode: recommendations."""

from __future__ import annotations

from typing import Any

from friesian_fast.recommend import Recommender
from friesian_services import wire
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services._pb import recommender_pb2 as pb
from friesian_services._pb import recommender_pb2_grpc
from friesian_services.backends import Backends
from friesian_services.recommender.many import recommend_all
from friesian_services.timers import Timers


class RecommenderServicer(recommender_pb2_grpc.RecommenderServicer):  # type: ignore[misc]  # generated, without types
    """The original's service; who got the popular items instead is said in trailing metadata."""

    def __init__(self, recommender: Recommender, timers: Timers, backends: Backends) -> None:
        self._recommender = recommender
        self._timers = timers
        self._backends = backends

    def getRecommendIDs(self, request: pb.RecommendRequest, context: Any) -> pb.RecommendIDProbs:
        wire.require_int64(self._recommender.user_id_type, "user")
        with self._timers.time("recommend.grpc.overall"):
            answers = recommend_all(self._recommender, request.ID, request.recommendNum, request.candidateNum, context)
        context.set_trailing_metadata(wire.fallback_metadata(answers))
        return pb.RecommendIDProbs(IDProbList=[pb.IDProbs(ID=wire.int32s(a.ids), prob=a.scores) for a in answers])

    def getMetrics(self, request: pb.Empty, context: Any) -> pb.ServerMessage:
        return pb.ServerMessage(str=self._timers.json())

    def resetMetrics(self, request: pb.Empty, context: Any) -> pb.Empty:
        self._timers.reset()
        return pb.Empty()

    def getClientMetrics(self, request: pb.Empty, context: Any) -> pb.ServerMessage:
        return pb.ServerMessage(str=self._backends.metrics())


class RecommendServicer(v1_grpc.RecommenderServicer):  # type: ignore[misc]
    """The same with ids of 64 bits or text; a `k` or `candidates` of 0 is the default."""

    def __init__(self, recommender: Recommender, timers: Timers) -> None:
        self._recommender, self._timers = recommender, timers

    def Recommend(self, request: v1.RecommendRequest, context: Any) -> v1.RecommendReply:
        ours = self._recommender
        wire.check_release(request.release_id, ours.release_id)
        users = wire.listed_ids(request.users, ours.user_id_type)
        request_filter = wire.filter_of(request, ours.item_id_type)
        with self._timers.time("recommend.grpc.overall"):
            k, candidates = request.k or None, request.candidates or None
            answers = recommend_all(ours, users, k, candidates, context, request.explain, request_filter)
        context.set_trailing_metadata(wire.fallback_metadata(answers))
        return wire.recommend_reply(answers, ours.release_id, filtered=request_filter is not None)
