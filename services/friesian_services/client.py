"""The stages as they look from another process: the same protocols, behind gRPC."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

import grpc
import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError
from friesian_fast.recall import Filter
from friesian_fast.recommend import Candidates, as_ids
from friesian_fast.spec import IdType, RowSet
from friesian_fast.store import Ids, RowBatch, RowCodec, Rows, normal_ids
from friesian_services import call, wire
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import friesian_v1_pb2_grpc as v1_grpc
from friesian_services.errors import error_of
from friesian_services.rpc.client import Channel, Pending

_TIMEOUT_S = 5.0


class Remote(NamedTuple):
    """A service: its name for error texts, where it is, and the channel to it."""

    name: str
    url: str
    channel: Channel

    def close(self) -> None:
        """End the connection."""
        self.channel.close()


def connect(name: str, url: str) -> Remote:
    """Prepare a channel; it connects when it is first used, and again whenever it must."""
    return Remote(name, url, Channel(url))


def limits() -> dict[str, Any]:
    """Time left and request id of the call being answered, as arguments of a stub's method."""
    left = call.remaining()
    return {
        "timeout": _TIMEOUT_S if left is None else min(left, _TIMEOUT_S),
        "metadata": ((call.REQUEST_ID, call.request_id.get()),),
    }


@contextmanager
def named(remote: Remote) -> Iterator[None]:
    """Turns a failed RPC into the error class its status stands for, naming the service."""
    try:
        yield
    except grpc.RpcError as error:
        raise error_of(error.code(), f"{remote.name} service at {remote.url}: {error.details()}") from error


class RemoteRowStore:
    """Rows of a feature service.

    Parameters
    ----------
    remote : Remote
    row_set : RowSet
    tag : bytes
    release_id : str
    """

    def __init__(self, remote: Remote, row_set: RowSet, tag: bytes, release_id: str) -> None:
        self._remote = remote
        self._codec = RowCodec(row_set, tag)
        self._release_id = release_id
        self._stub = v1_grpc.FeatureStub(remote.channel)
        self.row_set = row_set

    def get(self, ids: Ids) -> list[bytes | None]:
        """The packed rows, None where there is none."""
        with named(self._remote):
            asked = self._stub.GetRows.future(self._request(ids), **limits())
        return self._rows(asked, ids)

    def begin(self, ids: Ids) -> Callable[[], RowBatch]:
        """Ask for rows; the function that is given waits for them."""
        with named(self._remote):
            asked = self._stub.GetRows.future(self._request(ids), **limits())
        return lambda: RowBatch(self._rows(asked, ids), ids)

    def _request(self, ids: Ids) -> v1.RowsRequest:
        numbers = wire.ids_to_message(normal_ids(ids, self.row_set))
        return v1.RowsRequest(release_id=self._release_id, row_set=self.row_set.name, ids=numbers)

    def _rows(self, asked: Pending, ids: Ids) -> list[bytes | None]:
        with named(self._remote):
            rows = asked.result().rows
        if len(rows) != len(ids):
            raise InvalidInputError(
                f"{self._remote.name} service at {self._remote.url}: {len(rows)} rows for {len(ids)} ids"
            )
        return [row or None for row in rows]

    def decode(self, ids: Ids) -> Rows:
        """The rows, decoded; see `RowCodec.decode`."""
        return self._codec.decode(self.get(ids), ids=ids)

    def find(self, ids: Ids) -> RowBatch:
        """The rows, still packed."""
        return RowBatch(self.get(ids), ids)

    def close(self) -> None:
        """End the connection."""
        self._remote.close()


class RemoteRecall:
    """Candidates of a recall service."""

    def __init__(self, remote: Remote, user_id_type: IdType, item_id_type: IdType, release_id: str) -> None:
        self._remote = remote
        self._user_id_type = user_id_type
        self._item_id_type = item_id_type
        self._release_id = release_id
        self._stub = v1_grpc.RecallStub(remote.channel)

    def candidates(self, user_id: int | str, k: int, asked: Filter | None = None) -> Candidates:
        """At most `k` items that the request's filter lets through, best first."""
        user = wire.ids_to_message(as_ids([user_id], self._user_id_type))
        filter = None if asked is None else wire.filter_to_message(asked, self._item_id_type)
        request = v1.CandidatesRequest(release_id=self._release_id, user=user, k=k, filter=filter)
        with named(self._remote):
            reply = self._stub.SearchCandidates(request, **limits())
        return wire.candidates_from_message(reply, self._item_id_type, filtered=asked is not None)

    def close(self) -> None:
        """End the connection."""
        self._remote.close()


class RemoteRanker:
    """Scores of a ranking service.

    Parameters
    ----------
    remote : Remote
    release_id : str
    batch : int, default 0
        Above 0, that many rows per call, all calls at once; for runtimes that score each row by itself.
    """

    def __init__(self, remote: Remote, release_id: str, batch: int = 0) -> None:
        self._remote = remote
        self._release_id = release_id
        self._batch = batch
        self._stub = v1_grpc.RankingStub(remote.channel)

    def score(self, inputs: Mapping[str, NDArray[Any]], shown: int | None = None) -> NDArray[np.float32]:
        """One score for each row; see `friesian_fast.rank.Ranker`."""
        rows = len(next(iter(inputs.values())))
        step = self._batch or max(rows, 1)
        starts = range(0, rows, step)
        with named(self._remote):
            if len(starts) == 1:
                replies = [self._stub.Predict(self._request(inputs, shown), **limits())]
            else:
                parts = ({name: array[start : start + step] for name, array in inputs.items()} for start in starts)
                sent = [self._stub.Predict.future(self._request(part), **limits()) for part in parts]
                replies = [answer.result() for answer in sent]
        scores = [
            wire.floats_from_bytes(reply.scores, min(step, rows - start))
            for start, reply in zip(starts, replies, strict=True)
        ]
        return np.concatenate(scores) if scores else np.empty(0, np.float32)

    def _request(self, inputs: Mapping[str, NDArray[Any]], shown: int | None = None) -> v1.PredictRequest:
        return v1.PredictRequest(release_id=self._release_id, inputs=wire.tensors_to_messages(inputs), shown=shown or 0)
