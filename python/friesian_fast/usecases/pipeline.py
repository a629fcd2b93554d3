"""Runs a use case's steps as processes, each once: a finished step leaves a stamp, a killed one none."""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from friesian_fast import __version__
from friesian_fast._files import replacing
from friesian_fast.errors import FriesianError


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One module of a use case and what it leaves behind.

    Parameters
    ----------
    name : str
    module : str
        Run as ``python -m <module> <arguments>`` in the use case's directory.
    arguments : tuple of str
    outputs : tuple of str
        Paths under the directory; all must exist for the step to count as done.
    clears : tuple of str
        Paths under the directory to remove first, for a step that does not replace its outputs itself.
    """

    name: str
    module: str
    arguments: tuple[str, ...] = ()
    outputs: tuple[str, ...]
    clears: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StepTime:
    """What a step cost; `reused` when it had been done before."""

    name: str
    wall_s: float
    cpu_s: float
    reused: bool


def run_pipeline(
    steps: Sequence[Step], directory: Path, on_start: Callable[[Step], None] = lambda step: None
) -> Iterator[StepTime]:
    """Run the steps that are not done; once one runs, all after it run too.

    Yields
    ------
    StepTime
        After each step, in order.
    """
    stale = False
    for number, step in enumerate(steps, start=1):
        stamp = directory / ".steps" / f"{number}-{step.name}.json"
        if not stale and _is_done(step, stamp, directory):
            cost = json.loads(stamp.read_text(encoding="utf-8"))
            yield StepTime(step.name, cost["wall_s"], cost["cpu_s"], reused=True)
            continue
        stale = True
        on_start(step)
        stamp.unlink(missing_ok=True)
        for path in step.clears:
            _remove(directory / path)
        wall_s, cpu_s = _run(step, directory)
        _write_stamp(stamp, step, wall_s, cpu_s)
        yield StepTime(step.name, wall_s, cpu_s, reused=False)


@contextmanager
def exclusive(directory: Path) -> Iterator[None]:
    """Keep a second pipeline out of the same directory."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / ".lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FriesianError(
                f"another run is working in {directory}; wait for it, stop it, or name another --dir"
            ) from None
        yield


def end_with_parent() -> None:
    """In a child between fork and exec: be killed when the parent dies, however it dies (Linux)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _is_done(step: Step, stamp: Path, directory: Path) -> bool:
    if not stamp.is_file():
        return False
    try:
        same = json.loads(stamp.read_text(encoding="utf-8"))["identity"] == _identity(step)
    except (ValueError, KeyError, TypeError):
        return False
    return same and all((directory / output).exists() for output in step.outputs)


def _identity(step: Step) -> list[str]:
    return [__version__, step.module, *step.arguments]


def _run(step: Step, directory: Path) -> tuple[float, float]:
    started = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", step.module, *step.arguments], cwd=directory, preexec_fn=end_with_parent
    )
    try:
        _, status, usage = os.wait4(process.pid, 0)
    except BaseException:
        process.kill()
        process.wait()
        raise
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise FriesianError(f"step '{step.name}' ended with status {process.returncode}; what it printed says why")
    return time.monotonic() - started, usage.ru_utime + usage.ru_stime


def _write_stamp(stamp: Path, step: Step, wall_s: float, cpu_s: float) -> None:
    stamp.parent.mkdir(parents=True, exist_ok=True)
    content = {"identity": _identity(step), "wall_s": round(wall_s, 2), "cpu_s": round(cpu_s, 2)}
    with replacing(stamp) as partial:
        partial.write_text(json.dumps(content), encoding="utf-8")


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
