"""The Prometheus exporter: of one process, or of all workers behind one port together."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from friesian_fast.errors import UnavailableError

# Seconds; the original's.
BUCKETS = (
    *(milliseconds / 1000 for milliseconds in (1, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)),
    *(1.0, 2.0, 5.0, 10.0),
)
_SHARED = "PROMETHEUS_MULTIPROC_DIR"


class Exporter:
    """Prometheus metrics of the gRPC and HTTP calls.

    Parameters
    ----------
    host : str
    port : int
        A port of their own.
    shared : Path, optional
        Where workers keep their numbers; no port is opened then: the supervisor's exporter shows those of all.
    number : int
        This worker's; one that takes a dead one's place goes on with its counts.

    Raises
    ------
    UnavailableError
        If the port is taken.
    """

    def __init__(self, host: str, port: int, shared: Path | None = None, number: int = 0) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, values

        if shared is not None:
            os.environ[_SHARED] = str(shared)
            values.ValueClass = values.MultiProcessValue(lambda: number)  # type: ignore[no-untyped-call]
        registry = CollectorRegistry()
        method = ("grpc_type", "grpc_service", "grpc_method")
        self._started = Counter("grpc_server_started", "RPCs begun", method, registry=registry)
        self._handled = Counter("grpc_server_handled", "RPCs answered", (*method, "grpc_code"), registry=registry)
        self._latency = Histogram(
            "grpc_server_handled_latency_seconds", "Time to the answer", method, buckets=BUCKETS, registry=registry
        )
        http = ("http_service", "http_method")
        self._http_total = Counter("http_requests", "Requests answered", http, registry=registry)
        self._http_latency = Histogram(
            "http_requests_latency_seconds", "Time to the answer", http, buckets=BUCKETS, registry=registry
        )
        self._server = None if shared is not None else _served(host, port, registry)

    def grpc_started(self, service: str, method: str) -> None:
        """An RPC has begun."""
        self._started.labels("UNARY", service, method).inc()

    def grpc_handled(self, service: str, method: str, code: str, seconds: float) -> None:
        """An RPC was answered."""
        self._handled.labels("UNARY", service, method, code).inc()
        self._latency.labels("UNARY", service, method).observe(seconds)

    def http_handled(self, service: str, method: str, seconds: float) -> None:
        """A request was answered."""
        self._http_total.labels(service, method).inc()
        self._http_latency.labels(service, method).observe(seconds)

    def close(self) -> None:
        """Free the port."""
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()


def export_workers(host: str, port: int, shared: Path, counts: Callable[[], tuple[int, int]]) -> None:
    """Show the same metrics, summed over workers, dead ones included, and how many of them there are.

    Parameters
    ----------
    host : str
    port : int
    shared : Path
        Where they keep their numbers.
    counts : callable
        Gives the workers that answer, and those that were replaced.

    Raises
    ------
    UnavailableError
        If the port is taken.
    """
    from prometheus_client import CollectorRegistry
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
    from prometheus_client.multiprocess import MultiProcessCollector

    class Counts:
        def collect(self) -> Iterator[Any]:
            answering, restarts = counts()
            yield GaugeMetricFamily("friesian_workers", "Workers that answer", answering)
            yield CounterMetricFamily("friesian_worker_restarts", "Workers that died and were replaced", restarts)

    registry = CollectorRegistry()
    MultiProcessCollector(registry, str(shared))  # type: ignore[no-untyped-call]
    registry.register(Counts())
    _served(host, port, registry)


def _served(host: str, port: int, registry: Any) -> Any:
    from prometheus_client import start_http_server

    try:
        return start_http_server(port, host, registry)[0]
    except OSError as error:
        raise UnavailableError(f"monitorPort {port} is not free ({error.strerror}); choose another") from error
