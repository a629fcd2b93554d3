"""A gRPC server and the life of a process: start, say so, wait for a signal, drain, end."""

from __future__ import annotations

import logging
import os
import queue
import signal
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from friesian_fast.errors import UnavailableError
from friesian_services.client import MESSAGE_BYTES
from friesian_services.config import ServiceConfig
from friesian_services.interceptor import CallInterceptor
from friesian_services.metrics import Exporter

# Calls of the threads of one server at once; native work runs outside the GIL.
WORKERS = 16
_QUEUED = 1000

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

    Raises
    ------
    UnavailableError
        If the port is taken; it is bound at once, before anything is answered.
    """

    def __init__(
        self, host: str, port: int, servicers: Sequence[Servicer], interceptor: CallInterceptor, workers: int = WORKERS
    ) -> None:
        self._server = grpc.server(
            ThreadPoolExecutor(workers, thread_name_prefix="grpc"),
            interceptors=[interceptor],
            maximum_concurrent_rpcs=_QUEUED,
            options=[
                ("grpc.max_receive_message_length", MESSAGE_BYTES),
                ("grpc.max_send_message_length", MESSAGE_BYTES),
                ("grpc.so_reuseport", 0),  # or a second server would silently share the port
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


def bound_socket(host: str, port: int) -> socket.socket:
    """A listening TCP socket.

    Raises
    ------
    UnavailableError
        If the port is taken.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise UnavailableError(_taken(host, port)) from error
    return listener


def run(
    name: str,
    parts: Sequence[Part],
    addresses: dict[str, str],
    *,
    drain_s: float,
    supervisor: Supervisor | None = None,
) -> None:
    """Start the parts, then wait for SIGTERM, Ctrl-C or the end of the supervisor, and drain them side by side."""
    reasons: queue.SimpleQueue[str] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _: reasons.put(signal.Signals(got).name))
    for part in parts:
        part.start()
    say(f"{name} is ready: {', '.join(f'{kind} {address}' for kind, address in addresses.items())}")
    if supervisor is not None:
        supervisor.tell(addresses)
        supervisor.when_gone(lambda: reasons.put("the supervising process ended"))
    reason = reasons.get()
    _log.info("%s: %s, draining", name, reason)
    with ThreadPoolExecutor(len(parts)) as pool:
        list(pool.map(lambda part: part.stop(drain_s), parts))


def run_grpc(
    name: str,
    config: ServiceConfig,
    servicers: Sequence[Servicer],
    exporter: Exporter | None,
    *,
    workers: int = WORKERS,
    ready_fd: int | None = None,
) -> None:
    """A process that is one gRPC server."""
    server = GrpcServer(config.host, config.port, servicers, CallInterceptor(exporter), workers)
    run(
        name,
        [server],
        {"gRPC": f"{config.host}:{server.port}"},
        drain_s=config.drain_seconds,
        supervisor=None if ready_fd is None else Supervisor(ready_fd),
    )


class Supervisor:
    """The process that started this one: told when it is ready, over a pipe; gone when the other pipe ends."""

    def __init__(self, ready_fd: int) -> None:
        self._ready_fd = ready_fd

    def tell(self, addresses: dict[str, str]) -> None:
        """Say what listens where."""
        with os.fdopen(self._ready_fd, "w") as pipe:
            pipe.writelines(f"{kind} {address}\n" for kind, address in addresses.items())

    def when_gone(self, then: Callable[[], None]) -> None:
        """Wait for the end of standard input in a thread."""

        def wait() -> None:
            while os.read(sys.stdin.fileno(), 1024):
                pass
            then()

        threading.Thread(target=wait, name="supervisor", daemon=True).start()


def say(line: str) -> None:
    """A line for whoever started the process, at once."""
    print(line, flush=True)


def log_to_stderr() -> None:
    """Warnings and the services' own notes."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s", level=logging.INFO)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def _taken(host: str, port: int) -> str:
    return f"cannot listen on {host}:{port}: is the port in use? Stop what holds it, or choose another port"
