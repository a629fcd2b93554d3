"""gRPC with messages as bytes; the answer's trailing metadata says whether it is a fallback."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from typing import Any

import grpc

from friesian_fast.errors import InvalidInputError, UnavailableError
from friesian_fast.recommend import as_ids
from friesian_services import wire
from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import recommender_pb2 as pb
from friesian_services.loadtest.calls import ANSWERED, FALLBACK, TIMEOUT, UNREACHABLE, Done
from friesian_services.loadtest.plan import LoadPlan

_METHODS = {
    "grpc": "/friesian.v1.Recommender/Recommend",
    "grpc-original": "/recommender.Recommender/getRecommendIDs",
}
_OPTIONS = [
    ("grpc.use_local_subchannel_pool", 1),  # a connection for each channel
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # a second try would hide an error
]
_MOST_CHANNELS = 64
_KINDS = {grpc.StatusCode.DEADLINE_EXCEEDED: TIMEOUT, grpc.StatusCode.UNAVAILABLE: UNREACHABLE}


class GrpcCalls:
    """Channels used in turn; each carries many calls at once."""

    def __init__(self, plan: LoadPlan) -> None:
        self._plan = plan
        self._loop = asyncio.get_running_loop()
        self._channels: list[Any] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._next: Callable[[], Any] = itertools.cycle(()).__next__
        self.open_connections = 0
        self.waited = 0

    async def open(self, connections: int) -> None:
        """Make the channels."""
        target = f"[{self._plan.host}]" if ":" in self._plan.host else self._plan.host
        for _ in range(min(connections, self._plan.most_connections, _MOST_CHANNELS)):
            channel = grpc.aio.insecure_channel(f"{target}:{self._plan.port}", options=_OPTIONS)
            self._channels.append(channel)
            try:
                await asyncio.wait_for(channel.channel_ready(), 5)
            except asyncio.TimeoutError as error:
                raise UnavailableError(
                    f"nothing answers gRPC at {target}:{self._plan.port}; is the server up, and is this its gRPC port?"
                ) from error
        self.open_connections = len(self._channels)
        methods = [channel.unary_unary(_METHODS[self._plan.protocol]) for channel in self._channels]
        self._next = itertools.cycle(methods).__next__

    def render(self, user: int | str) -> bytes:
        """The message of the plan's protocol."""
        plan = self._plan
        if plan.protocol == "grpc-original":
            if not isinstance(user, int) or not -(2**31) <= user < 2**31:
                raise InvalidInputError(
                    f"user {user!r} does not fit into the 32 bits of the original's call; use --protocol grpc"
                )
            return bytes(
                pb.RecommendRequest(recommendNum=plan.k, candidateNum=plan.candidates, ID=[user]).SerializeToString()
            )
        users = wire.ids_to_message(as_ids([user], "int64" if isinstance(user, int) else "string"))
        return bytes(v1.RecommendRequest(users=users, k=plan.k, candidates=plan.candidates).SerializeToString())

    def send(self, request: bytes, done: Done) -> None:
        """Send on the next channel."""
        task = self._loop.create_task(self._call(request, done))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Close all."""
        for channel in self._channels:
            await channel.close()

    async def _call(self, request: bytes, done: Done) -> None:
        call = self._next()(request, timeout=self._plan.timeout_s)
        try:
            await call
            trailing = await call.trailing_metadata()
        except grpc.aio.AioRpcError as error:
            done(_KINDS.get(error.code(), error.code().name))
            return
        done(FALLBACK if any(key == wire.FALLBACK for key, _ in trailing or ()) else ANSWERED)
