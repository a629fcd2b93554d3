"""Decode, call, encode: packed rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from friesian_fast.errors import NotFoundError
from friesian_fast.store import RowStore
from friesian_services import wire
from friesian_services._pb import feature_pb2, feature_pb2_grpc
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services.errors import UnsupportedError
from friesian_services.timers import Timers

_OTHERWISE = "rows are packed bytes here, not serialised Java: call friesian.v1.Feature/GetRows"


class FeatureServicer(feature_pb2_grpc.FeatureServicer):  # type: ignore[misc]  # generated, without types
    """The original's service: its metrics; its rows were serialised Java."""

    def __init__(self, timers: Timers) -> None:
        self._timers = timers

    def getUserFeatures(self, request: feature_pb2.IDs, context: Any) -> feature_pb2.Features:
        raise UnsupportedError(_OTHERWISE)

    def getItemFeatures(self, request: feature_pb2.IDs, context: Any) -> feature_pb2.Features:
        raise UnsupportedError(_OTHERWISE)

    def getMetrics(self, request: feature_pb2.Empty, context: Any) -> feature_pb2.ServerMessage:
        return feature_pb2.ServerMessage(str=self._timers.json())

    def resetMetrics(self, request: feature_pb2.Empty, context: Any) -> feature_pb2.Empty:
        self._timers.reset()
        return feature_pb2.Empty()


class RowsServicer(v1_grpc.FeatureServicer):  # type: ignore[misc]
    """Rows of the row sets that this server holds."""

    def __init__(self, stores: Mapping[str, RowStore], release_id: str, timers: Timers) -> None:
        self._stores = stores
        self._release_id = release_id
        self._timers = timers

    def GetRows(self, request: v1.RowsRequest, context: Any) -> v1.RowsReply:
        wire.check_release(request.release_id, self._release_id)
        store = self._stores.get(request.row_set)
        if store is None:
            raise NotFoundError(f"row set '{request.row_set}' is not here; this server holds {', '.join(self._stores)}")
        with self._timers.time("feature.overall"):
            ids = wire.ids_from_message(request.ids, store.row_set.id_type)
            wire.check_number(len(ids), "ids")
            with self._timers.time(f"feature.{request.row_set.partition('_')[0]}.redis"):
                rows = store.get(ids)
        return v1.RowsReply(release_id=self._release_id, rows=[row or b"" for row in rows])
