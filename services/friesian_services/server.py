"""A gRPC server and the life of a process: start, say so, wait for a signal, drain, end."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import socket
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol, TypeVar

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from friesian_fast.errors import UnavailableError
from friesian_services.client import MESSAGE_BYTES
from friesian_services.config import ServiceConfig
from friesian_services.interceptor import CallInterceptor
from friesian_services.metrics import Exporter
from friesian_services.place import Place

# Calls of the threads of one server at once; native work runs outside the GIL.
THREADS = 16
_QUEUED = 1000
_STARTED = "started"
_HEAR_S = 0.5

_Event = TypeVar("_Event")

_log = logging.getLogger(__name__)


class Servicer(NamedTuple):
    """A servicer, what registers it, and the full name of its service."""

    add: Callable[[Any, Any], None]
    servicer: Any
    name: str


class Part(Protocol):
    """Something that runs as long as the process does."""

    def start(self) -> None:
        """Begin to answer."""
        ...

    def stop(self, grace_s: float) -> None:
        """Take no more calls, finish those that run, at most so many seconds."""
        ...


class GrpcServer:
    """The synchronous server with health and reflection.

    Parameters
    ----------
    host : str
    port : int
    servicers : sequence of Servicer
    interceptor : CallInterceptor
    threads : int
        Calls at once.
    share_port : bool, default False
        Whether other workers listen on the port too.

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
        threads: int = THREADS,
        share_port: bool = False,
    ) -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(threads, thread_name_prefix="grpc"),
            interceptors=[interceptor],
            maximum_concurrent_rpcs=_QUEUED,
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES),
                ("grpc.max_send_message_length", MESSAGE_BYTES),
                ("grpc.so_reuseport", int(share_port)),  # unasked, a second server would silently share the port
            ],
        )
        self._health = health.HealthServicer()
        self._names = [servicer.name for servicer in servicers]
        for servicer in servicers:
            servicer.add(servicer.servicer, self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        reflection.enable_server_reflection((*self._names, health.SERVICE_NAME, reflection.SERVICE_NAME), self._server)
        try:
            self.port: int = self._server.add_insecure_port(f"{host}:{port}")
        except RuntimeError as error:
            raise UnavailableError(_taken(host, port)) from error

    def start(self) -> None:
        """Begin to answer."""
        self._server.start()
        for name in ("", *self._names):
            self._health.set(name, health_pb2.HealthCheckResponse.SERVING)

    def stop(self, grace_s: float) -> None:
        """Report NOT_SERVING, finish the calls that run."""
        self._health.enter_graceful_shutdown()
        self._server.stop(grace_s).wait()


def bound_socket(host: str, port: int, *, share_port: bool = False) -> socket.socket:
    """A listening TCP socket.

    Raises
    ------
    UnavailableError
        If the port is taken, or shared by another server.
    """
    listener = _socket(host)
    if share_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UnavailableError(_taken(host, port)) from error
    return listener


def reserved_socket(host: str, port: int) -> socket.socket:
    """A TCP socket that holds a port for workers who share it: nobody else can have it, and nothing reaches this one.

    Raises
    ------
    UnavailableError
        If the port is taken.
    """
    holder = _socket(host)
    try:
        holder.bind((host, port))  # alone; sharing begins afterwards
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Others who reuse addresses would be let in as long as nobody listens.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        holder.close()
        raise UnavailableError(_taken(host, port)) from error
    return holder


def _socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    return made


def run(
    name: str,
    parts: Sequence[Part],
    addresses: dict[str, str],
    *,
    drain_s: float,
    place: Place | None = None,
) -> None:
    """Start the parts, then wait for SIGTERM, Ctrl-C or the end of the supervisor, and drain them side by side."""
    reasons: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: reasons.put(signal.Signals(got).name))
    begun = _begun(parts, reasons)
    reason = next_event(reasons)  # a signal may come first: what starts takes up to minutes
    if reason == _STARTED:
        begun.result()
        supervisor = None if place is None else place.supervisor
        say(f"{name} is ready: {', '.join(f'{kind} {address}' for kind, address in addresses.items())}")
        if supervisor is not None:
            supervisor.tell(addresses)
            supervisor.when_gone(lambda: reasons.put("the supervising process ended"))
        reason = next_event(reasons)
    _log.info("%s: %s, draining", name, reason)
    _stop(parts, drain_s)


def next_event(events: queue.SimpleQueue[_Event]) -> _Event:
    """What comes next in a queue that signal handlers fill.

    Python calls those in the main thread, and a signal that the kernel hands to another one does not wake it.
    """
    while True:
        with contextlib.suppress(queue.Empty):
            return events.get(timeout=_HEAR_S)


def _begun(parts: Sequence[Part], reasons: queue.SimpleQueue[str]) -> Future[None]:
    """The start of the parts, in a thread; it says when it is over."""

    def start() -> None:
        for part in parts:
            part.start()

    pool = ThreadPoolExecutor(1, thread_name_prefix="start")
    begun = pool.submit(start)
    begun.add_done_callback(lambda _: reasons.put(_STARTED))
    pool.shutdown(wait=False)
    return begun


def _stop(parts: Sequence[Part], grace_s: float) -> None:
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: part.stop(grace_s), parts))


def run_grpc(
    name: str,
    config: ServiceConfig,
    servicers: Sequence[Servicer],
    exporter: Exporter | None,
    place: Place,
    *,
    threads: int = THREADS,
) -> None:
    """A process that is one gRPC server."""
    server = GrpcServer(
        config.host,
        config.port,
        servicers,
        CallInterceptor(exporter),
        threads=threads,
        share_port=place.shared is not None,
    )
    run(
        name,
        [server],
        {"gRPC": f"{config.host}:{server.port}"},
        drain_s=config.drain_seconds,
        place=place,
    )


def cores_here() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def say(line: str) -> None:
    """A line for whoever started the process, at once."""
    print(line, flush=True)


def log_to_stderr() -> None:
    """Warnings and the services' own notes."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _taken(host: str, port: int) -> str:
    return f"cannot listen on {host}:{port}: is the port in use? Stop what holds it, or choose another port"
