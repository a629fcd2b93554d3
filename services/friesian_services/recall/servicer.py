"""Decode, call, encode: candidates."""

from __future__ import annotations

from typing import Any

from friesian_fast.errors import NotFoundError
from friesian_fast.recommend import CandidateSource
from friesian_fast.spec import IdType
from friesian_services import wire
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services._pb import recall_pb2, recall_pb2_grpc
from friesian_services.errors import UnsupportedError
from friesian_services.timers import Timers


class RecallServicer(recall_pb2_grpc.RecallServicer):  # type: ignore[misc]  # generated, without types
    """The original's service."""

    def __init__(self, source: CandidateSource, user_id_type: IdType, timers: Timers) -> None:
        self._source = source
        self._user_id_type = user_id_type
        self._timers = timers

    def searchCandidates(self, request: recall_pb2.Query, context: Any) -> recall_pb2.Candidates:
        wire.require_int64(self._user_id_type, "user")
        found = self._source.candidates(request.userID, request.k)
        if not found.user_found:
            raise NotFoundError(f"Can't get user feature from feature service: user {request.userID} has no vector")
        return recall_pb2.Candidates(candidate=wire.int32s(found.ids))

    def addItem(self, request: recall_pb2.Item, context: Any) -> recall_pb2.Empty:
        raise UnsupportedError("a release never changes: publish a new one with this item, and restart the services")

    def getMetrics(self, request: recall_pb2.Empty, context: Any) -> recall_pb2.ServerMessage:
        return recall_pb2.ServerMessage(str=self._timers.json())

    def resetMetrics(self, request: recall_pb2.Empty, context: Any) -> recall_pb2.Empty:
        self._timers.reset()
        return recall_pb2.Empty()


class CandidatesServicer(v1_grpc.RecallServicer):  # type: ignore[misc]
    """Candidates with their scores; an unknown user is an answer, not an error."""

    def __init__(self, source: CandidateSource, user_id_type: IdType, item_id_type: IdType, release_id: str) -> None:
        self._source = source
        self._user_id_type = user_id_type
        self._item_id_type = item_id_type
        self._release_id = release_id

    def SearchCandidates(self, request: v1.CandidatesRequest, context: Any) -> v1.CandidatesReply:
        wire.check_release(request.release_id, self._release_id)
        user = wire.one_id(request.user, self._user_id_type)
        asked = wire.filter_of(request, self._item_id_type)
        found = self._source.candidates(user, request.k, asked)
        return wire.candidates_to_message(found, self._release_id, filtered=asked is not None)
