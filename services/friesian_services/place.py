"""Where a process stands: who started it, and what it shares with its like."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A process on its own, one that a supervisor started, or one of several workers behind one port.

    Parameters
    ----------
    supervisor : Supervisor or None
    shared : Path or None
        The workers' directory: what all of them count.
    number : int
        Which of the workers this is.
    """

    supervisor: Supervisor | None = None
    shared: Path | None = None
    number: int = 0

    @classmethod
    def of(cls, ready_fd: int | None, worker: Path | None) -> Place:
        """From the flags that a supervisor gives: a pipe's end, and the shared directory with the number behind it."""
        supervisor = None if ready_fd is None else Supervisor(ready_fd)
        if worker is None:
            return cls(supervisor=supervisor)
        return cls(supervisor=supervisor, shared=worker.parent, number=int(worker.name))
