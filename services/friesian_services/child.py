"""A process that another one starts, waits for, and ends."""

from __future__ import annotations

import logging
import os
import select
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence

from friesian_fast.errors import FriesianError, UnavailableError

START_S = 120.0
_EXTRA_S = 10.0

_log = logging.getLogger(__name__)


class Child:
    """A process of ``friesian serve``. It ends when this one does: it sees the end of its standard input.

    Parameters
    ----------
    name : str
        For error texts.
    service : str
    arguments : sequence of str
    environment : mapping, optional
        Over that of this process.
    told : str, default ""
        What it reads first from its standard input; at most some thousand characters.

    Raises
    ------
    UnavailableError
        If the system has no room for another process.
    """

    def __init__(
        self,
        name: str,
        service: str,
        arguments: Sequence[str],
        environment: Mapping[str, str] | None = None,
        told: str = "",
    ) -> None:
        self.name = name
        self.service = service
        self._told = False
        ready, write = os.pipe()
        self._ready = ready
        command = [sys.executable, "-m", "friesian_fast.cli", "serve", service, *arguments, "--ready-fd", str(write)]
        try:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                pass_fds=(write,),
                env={**os.environ, **(environment or {})},
                start_new_session=True,  # Ctrl-C reaches the supervisor alone, which ends them in order
            )
        except OSError as error:
            os.close(ready)
            raise UnavailableError(f"{name} cannot be started: {error}") from error
        finally:
            os.close(write)
        if told:
            self._tell(told)

    def _tell(self, text: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(text.encode())
            self.process.stdin.flush()  # the pipe stays open: its end says that this process has ended
        except BrokenPipeError:
            pass  # it has ended already, which `addresses` says

    def addresses(self, until: float) -> dict[str, str]:
        """What listens where, once it does.

        Raises
        ------
        FriesianError
            If the process ends before, or takes too long.
        """
        text = b""
        try:
            while piece := self._piece(until):
                text += piece
        finally:
            os.close(self._ready)
        if not text:
            status = self.process.wait()
            raise FriesianError(f"{self.name} ended with status {status} while starting; its message is above")
        return dict(line.split(" ", 1) for line in text.decode().splitlines())

    def _piece(self, until: float) -> bytes:
        readable, _, _ = select.select([self._ready], [], [], max(0.0, until - time.monotonic()))
        if not readable:
            raise UnavailableError(f"{self.name} did not start within {START_S:.0f} seconds")
        return os.read(self._ready, 4096)

    def tell_to_end(self) -> None:
        """Let it drain; a process is told once."""
        if not self._told and self.process.poll() is None:
            self._told = True
            self.process.terminate()

    def end(self, until: float) -> None:
        """Wait for it, and kill it if it has not ended by then."""
        try:
            self.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            _log.warning("%s does not end; killing it", self.name)
            self.process.kill()
            self.process.wait()


def stop_all(children: Sequence[Child], grace_s: float) -> None:
    """Let all of them drain at once; those that do not end are killed, after one time for all."""
    for child in children:
        child.tell_to_end()
    until = time.monotonic() + grace_s + _EXTRA_S
    for child in children:
        child.end(until)
