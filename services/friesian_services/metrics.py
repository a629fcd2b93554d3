"""Timers under the original's names, and the Prometheus exporter."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Iterable
from typing import Any

from friesian_fast.errors import UnavailableError

# Seconds; the original's.
BUCKETS = (
    *(milliseconds / 1000 for milliseconds in (1, 5, 8, 10, 15, 20, 25, 30, 40, 50, 60, 70, 80, 90, 100)),
    *(1.0, 2.0, 5.0, 10.0),
)
_WINDOW = 1024

_log = logging.getLogger(__name__)


class Timer:
    """Counts all durations and remembers the last ones; safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = time.monotonic()
        self._count = 0
        self._recent = [0.0] * _WINDOW

    def add(self, seconds: float) -> None:
        """Take note of one duration."""
        with self._lock:
            self._recent[self._count % _WINDOW] = seconds
            self._count += 1

    def summary(self, name: str) -> dict[str, Any]:
        """The original's fields: durations in milliseconds, the rate in calls per second."""
        with self._lock:
            count = self._count
            recent = sorted(self._recent[: min(count, _WINDOW)])
        milliseconds = [seconds * 1000 for seconds in recent] or [0.0]
        return {
            "name": name,
            "count": count,
            "meanRate": count / max(time.monotonic() - self._started, 1e-9),
            "mean": sum(milliseconds) / len(milliseconds),
            "median": _quantile(milliseconds, 0.5),
            "_75thPercentile": _quantile(milliseconds, 0.75),
            "_95thPercentile": _quantile(milliseconds, 0.95),
            "_99thPercentile": _quantile(milliseconds, 0.99),
        }


class Measured:
    """A context that is timed; a request has a dozen of them, so it is no generator."""

    __slots__ = ("_name", "_started", "_timers")

    def __init__(self, timers: Timers, name: str) -> None:
        self._timers = timers
        self._name = name

    def __enter__(self) -> None:
        self._started = time.perf_counter()

    def __exit__(self, *raised: object) -> None:
        self._timers.add(self._name, time.perf_counter() - self._started)


class Timers:
    """Timers by name. Failed calls count too."""

    def __init__(self) -> None:
        self._timers: dict[str, Timer] = {}

    def time(self, name: str) -> Measured:
        """Measure what runs in this context."""
        return Measured(self, name)

    def add(self, name: str, seconds: float) -> None:
        """Take note of one duration."""
        # setdefault is atomic; two first calls at once agree on one timer.
        timer = self._timers.get(name) or self._timers.setdefault(name, Timer())
        timer.add(seconds)

    def json(self, prefixes: Iterable[str] = ("",)) -> str:
        """The timers whose names begin with one of the prefixes, by name, as the original's JSON list."""
        wanted = tuple(prefixes)
        chosen = sorted((name, timer) for name, timer in list(self._timers.items()) if name.startswith(wanted))
        return json.dumps([timer.summary(name) for name, timer in chosen], indent=2)

    def reset(self) -> None:
        """Forget everything; a call that is running counts into the new timers."""
        self._timers = {}


def log_regularly(timers: Timers, minutes: float) -> None:
    """Log the timers every so many minutes, as long as the process lives, unless that is 0 or less."""

    def report() -> None:
        while True:
            time.sleep(minutes * 60)
            _log.info("timers: %s", timers.json())

    if minutes > 0:
        threading.Thread(target=report, name="timers", daemon=True).start()


class Exporter:
    """Prometheus metrics of the gRPC and HTTP calls, on a port of their own.

    Raises
    ------
    UnavailableError
        If the port is taken.
    """

    def __init__(self, host: str, port: int) -> None:
        from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server

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
        try:
            self._server, _ = start_http_server(port, host, registry)
        except OSError as error:
            raise UnavailableError(f"monitorPort {port} is not free ({error.strerror}); choose another") from error

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
        self._server.shutdown()
        self._server.server_close()


def _quantile(ordered: list[float], share: float) -> float:
    """By linear interpolation."""
    position = share * (len(ordered) - 1)
    below = int(position)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (position - below)
