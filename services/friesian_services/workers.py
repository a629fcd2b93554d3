"""Several processes behind one port: started together, replaced when they die, drained together."""

from __future__ import annotations

import fcntl
import logging
import os
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from friesian_fast.errors import FriesianError, UnavailableError
from friesian_fast.release.open import open_release
from friesian_services.child import START_S, Child, stop_all
from friesian_services.config import Config, FrontConfig, ServiceConfig
from friesian_services.metrics import export_workers
from friesian_services.place import Place
from friesian_services.process import run
from friesian_services.sockets import reserved_socket

# One that has run so long is replaced at once; the others after a pause that doubles.
_STEADY_S = 10.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 30.0

_log = logging.getLogger(__name__)


def supervise(service: str, settings: ServiceConfig, place: Place) -> None:
    """Run the workers of a service until told to stop.

    All of them serve the release that is current now, also those that start later.

    Raises
    ------
    UnavailableError
        If a port is taken.
    FriesianError
        If a worker does not start; later ones are tried again.
    """
    release = open_release(settings.release_path, verify=False)  # each worker verifies what it maps
    with ExitStack() as held:
        ports = {"service_port": settings.port}
        if isinstance(settings, FrontConfig) and settings.http_port >= 0:
            ports["http_port"] = settings.http_port
        for name, port in ports.items():
            holder = held.enter_context(reserved_socket(settings.host, port))
            ports[name] = holder.getsockname()[1]
        shared = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="friesian-")))
        held.callback(os.close, _kept(shared))
        fixed = settings.model_copy(update={**ports, "release_path": release.path.absolute()})
        workers = Workers(service, settings.workers, shared, fixed.model_dump_json())
        if settings.monitor_port:
            export_workers(settings.host, settings.monitor_port, shared, workers.counts)
        kinds = {"service_port": "gRPC", "http_port": "HTTP"}
        addresses = {kinds[name]: f"{settings.host}:{port}" for name, port in ports.items()}
        name = f"release {release.id}" if service == "all" else service
        run(name, [workers], addresses, drain_s=settings.drain_seconds, place=place)


def read_settings(kind: type[Config], supervisor: IO[str]) -> Config:
    """The settings that a worker's supervisor tells it: one line."""
    return kind.model_validate_json(supervisor.readline())


def _kept(directory: Path) -> int:
    """A lock on a directory, which systemd's cleaning of temporary files takes for one in use."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def pause_s(failures: int) -> float:
    """Seconds before a worker is replaced, after so many that did not run for long."""
    return 0.0 if failures == 0 else min(_FIRST_PAUSE_S * 2.0 ** (failures - 1), _LONGEST_PAUSE_S)


class Workers:
    """The workers of one service.

    Parameters
    ----------
    service : str
    count : int
    shared : Path
        Where they keep what is counted over all of them.
    settings : str
        JSON in one line. Told, not left in a file: whoever cleans up temporary files takes nothing that the next
        worker needs to start.
    """

    def __init__(self, service: str, count: int, shared: Path, settings: str) -> None:
        self._service = service
        self._shared = shared
        self._settings = settings
        self._children: list[Child] = []
        self._count = count
        self._answering: set[int] = set()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._restarts = 0

    def counts(self) -> tuple[int, int]:
        """Workers that answer just now, and those that were replaced."""
        return len(self._answering), self._restarts

    def start(self) -> None:
        """Start all, and wait until they answer; from then on those that end are replaced."""
        until = time.monotonic() + START_S
        try:
            for number in range(self._count):
                self._begin(number)
            for number, child in enumerate(self._children):
                child.addresses(until)
                self._answering.add(number)
                _log.info("%s has pid %d", child.name, child.process.pid)
        except FriesianError:
            if not self._stopping.is_set():
                self.stop(0)
            raise
        for number in range(self._count):
            threading.Thread(target=self._keep, args=(number,), name=f"worker-{number}", daemon=True).start()

    def stop(self, grace_s: float) -> None:
        """Have all of them drain at once."""
        with self._lock:
            self._stopping.set()
        stop_all(self._children, grace_s)

    def _begin(self, number: int) -> None:
        with self._lock:
            if self._stopping.is_set():
                raise FriesianError("told to stop while the workers were starting")
            self._children.append(self._child(number))

    def _child(self, number: int) -> Child:
        arguments = ["--worker", str(self._shared / str(number))]
        return Child(f"worker {number} of {self._service}", self._service, arguments, told=self._settings + "\n")

    def _keep(self, number: int) -> None:
        """Replace the worker of that number whenever it ends."""
        child, started, failures = self._children[number], time.monotonic(), 0
        while True:
            status = child.process.wait()
            self._answering.discard(number)
            failures = 0 if time.monotonic() - started >= _STEADY_S else failures + 1
            if not self._stopping.is_set():
                _log.warning(
                    "%s (pid %d) %s; the next one starts in %g s",
                    child.name,
                    child.process.pid,
                    _ended(status),
                    pause_s(failures),
                )
            replaced = self._replaced(number, failures)
            if replaced is None:
                return
            child = replaced
            self._await(number, child)
            started = time.monotonic()  # a long start is no steady run

    def _replaced(self, number: int, failures: int) -> Child | None:
        """The next worker of that number, as soon as the system has room for one; none when all are to end."""
        while True:
            self._stopping.wait(pause_s(failures))
            with self._lock:
                if self._stopping.is_set():
                    return None
                try:
                    self._children[number] = self._child(number)
                    return self._children[number]
                except UnavailableError as error:
                    _log.warning("%s", error)
            failures += 1

    def _await(self, number: int, child: Child) -> None:
        try:
            child.addresses(time.monotonic() + START_S)
        except FriesianError as error:
            if not self._stopping.is_set():
                _log.warning("%s", error)
            child.process.kill()
            return
        self._answering.add(number)
        self._restarts += 1
        _log.info("%s has pid %d", child.name, child.process.pid)


def _ended(status: int) -> str:
    return f"ended with status {status}" if status >= 0 else f"was ended by signal {-status}"
