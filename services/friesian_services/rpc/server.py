"""A gRPC server: event loops on one port, health, reflection."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import uvloop
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from friesian_fast.errors import UnavailableError
from friesian_services.config import ServiceConfig
from friesian_services.interceptor import CallInterceptor
from friesian_services.metrics import Exporter
from friesian_services.place import Place
from friesian_services.process import THREADS, run
from friesian_services.rpc.handlers import Handlers, Servicer, always
from friesian_services.rpc.protocol import GrpcProtocol
from friesian_services.rpc.workplace import Workplace
from friesian_services.sockets import BACKLOG, bound_socket

_STREAMS = 4
_LOOK_S = 0.01


class GrpcServer:
    """Answers gRPC on event loops that share a port, each in its own thread.

    Parameters
    ----------
    host : str
    port : int
    servicers : sequence of Servicer
    interceptor : CallInterceptor
    threads : int
        For calls that wait, or that take long; none where the loops answer all.
    loops : int, default 1
        As many as cores where the loops answer the calls themselves.
    share_port : bool, default False
        Whether other workers listen on the port too.
    patience_s : float, default 30
        Seconds that a client may take for one request, or leave its answers unread.

    Raises
    ------
    UnavailableError
        If the port is taken; it is bound at once, before anything is answered.
    """

    def __init__(
        self,
        host: str,
        port: int,
        servicers: Sequence[Servicer],
        interceptor: CallInterceptor,
        *,
        threads: int,
        loops: int = 1,
        share_port: bool = False,
        patience_s: float = 30,
    ) -> None:
        self._names = [servicer.name for servicer in servicers]
        self._health = _Health(self._names)
        described = reflection.ReflectionServicer((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME))
        handlers = Handlers(interceptor)
        for servicer in servicers:
            handlers.add(servicer)
        handlers.add(Servicer(health_pb2_grpc.add_HealthServicer_to_server, self._health, health.SERVICE_NAME, always))
        handlers.add(
            Servicer(reflection_pb2_grpc.add_ServerReflectionServicer_to_server, described, reflection.SERVICE_NAME)
        )
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="grpc") if threads else None
        self._streams = ThreadPoolExecutor(_STREAMS, thread_name_prefix="grpc-stream")
        self._socket = bound_socket(host, port, share_port=share_port)
        self.port: int = self._socket.getsockname()[1]
        self._loops = [
            _Loop(Workplace(handlers, self._pool, self._streams, spread=loops > 1, patience_s=patience_s), self._socket)
            for _ in range(loops)
        ]

    def start(self) -> None:
        """Begin to answer."""
        for name in ("", *self._names):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)
        for loop in self._loops:
            loop.start()

    def stop(self, grace_s: float) -> None:
        """Report NOT_SERVING, finish the calls that run."""
        self._health.enter_graceful_shutdown()
        self._socket.close()
        until = time.monotonic() + grace_s
        for loop in self._loops:
            loop.stop(until)
        for loop in self._loops:
            loop.join()
        for pool in filter(None, (self._pool, self._streams)):
            pool.shutdown(wait=False, cancel_futures=True)


class _Health(health.HealthServicer):  # type: ignore[misc]  # grpcio has no types
    """Watches what there is; the library's own keeps every name that any client ever asked for."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__()
        self._known = {"", *names}

    def Watch(self, request: Any, context: Any, send: Callable[[Any], None]) -> None:  # noqa: N802
        """Called at once by whoever answers, and whenever a status changes."""
        if request.service in self._known:
            super().Watch(request, context, send)
        else:
            send(health_pb2.HealthCheckResponse(status=health_pb2.HealthCheckResponse.SERVICE_UNKNOWN))


class _Loop:
    """An event loop in a thread of its own."""

    def __init__(self, place: Workplace, listener: socket.socket) -> None:
        self._place = place
        self._listener = listener.dup()
        self._loop = uvloop.new_event_loop()
        self._stopping = asyncio.Event()
        self._is_over, self._lock = False, threading.Lock()
        self._until = 0.0
        self._thread = threading.Thread(target=self._run, name="grpc-loop", daemon=True)
        self._up = threading.Event()

    def start(self) -> None:
        """Return once it answers, or at once where it was stopped before."""
        with self._lock:
            if self._is_over:
                return
            self._thread.start()
        if not self._up.wait(timeout=30):
            raise UnavailableError("the gRPC server did not start within 30 seconds")

    def stop(self, until: float) -> None:
        """Take no more calls, end when those that run are answered, or at a time of the monotonic clock."""
        with self._lock:
            was_over, self._is_over = self._is_over, True
            self._until = until
        if was_over:
            return
        if self._thread.ident is None:
            self._listener.close()
            self._loop.close()
        else:
            self._loop.call_soon_threadsafe(self._stopping.set)

    def join(self) -> None:
        """Wait for the end."""
        if self._thread.is_alive():
            self._thread.join(max(0.0, self._until - time.monotonic()) + 5)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        with contextlib.closing(self._loop):
            self._loop.run_until_complete(self._serve())

    async def _serve(self) -> None:
        server = await self._loop.create_server(
            lambda: GrpcProtocol(self._place, self._loop), sock=self._listener, backlog=BACKLOG
        )
        self._up.set()
        await self._stopping.wait()
        server.close()
        connections = self._place.connections
        for connection in list(connections):
            connection.leave()
        while connections and time.monotonic() < self._until:
            for connection in list(connections):
                if connection.is_idle:
                    connection.close()
            await asyncio.sleep(_LOOK_S)
        for connection in list(connections):
            connection.abort()
        await asyncio.sleep(0)  # they hear of it


def run_grpc(
    name: str,
    config: ServiceConfig,
    servicers: Sequence[Servicer],
    exporter: Exporter | None,
    place: Place,
    *,
    threads: int = THREADS,
    loops: int = 1,
) -> None:
    """A process that is one gRPC server."""
    server = GrpcServer(
        config.host,
        config.port,
        servicers,
        CallInterceptor(exporter),
        threads=threads,
        loops=loops,
        share_port=place.shared is not None,
    )
    run(
        name,
        [server],
        {"gRPC": f"{config.host}:{server.port}"},
        drain_s=config.drain_seconds,
        place=place,
    )
