"""What a command costs with everything it starts: CPU seconds, wall seconds, the most memory held at once.

Runs as a process of its own, ``python -m bench.usage COMMAND...``, which looks at all that the command starts five
times a second: nobody waits for Spark's workers, so that their CPU time is in nobody's account once they are gone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

_TICKS = os.sysconf("SC_CLK_TCK")
_SAMPLE_S = 0.2
_REPORT = "FRIESIAN_BENCH_REPORT"
_ROOT = Path(__file__).parents[1]


class Cost(NamedTuple):
    """Of a command and all below it; `peak_pss_bytes` counts a page that processes share once.

    `cpu_s` lacks what a process does after it is last looked at, at most 0.2 s of each.
    """

    cpu_s: float
    wall_s: float
    peak_pss_bytes: int


class Meter:
    """CPU seconds of this process and all below it, also of those that have ended: inside ``with`` a thread looks at
    all of them; what its looking takes is not counted."""

    def __init__(self) -> None:
        self._spent: dict[tuple[int, str], float] = {}
        self._looking = 0.0
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Meter:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def seconds(self) -> float:
        """Until now; lacks what a process did after it was last looked at, at most 0.1 s of each."""
        with self._lock:
            before = time.thread_time()
            self._spent.update(_below(os.getpid()))
            self._looking += time.thread_time() - before
            return time.process_time() - self._looking + sum(self._spent.values())

    def _watch(self) -> None:
        while not self._ended.wait(_SAMPLE_S / 2):
            self.seconds()


def machine() -> str:
    """The processor, the cores that this process may use, and how busy they are."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    return f"{model}, {len(os.sched_getaffinity(0))} of {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}"


def cost_of(command: Sequence[str], directory: Path) -> Cost:
    """Run a command in `directory`; it must end well."""
    report = directory / "cost.json"
    environment = {**os.environ, _REPORT: str(report), "PYTHONPATH": str(_ROOT)}
    subprocess.run([sys.executable, "-m", "bench.usage", *command], cwd=directory, env=environment, check=True)
    return Cost(*json.loads(report.read_text()))


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has just ended
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def _below(pid: int) -> dict[tuple[int, str], float]:
    """CPU seconds of each process below this one, by its number and when it started: numbers are used again."""
    parents, seconds = {}, {}
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            fields = (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        one = int(directory.name)
        parents[one] = int(fields[1])
        seconds[one] = (fields[19], (int(fields[11]) + int(fields[12])) / _TICKS)
    below, grown = {pid}, True
    while grown:
        more = {one for one, parent in parents.items() if parent in below} - below
        below |= more
        grown = bool(more)
    return {(one, seconds[one][0]): seconds[one][1] for one in below if one != pid}


def _main() -> int:
    started, peak = time.monotonic(), 0
    spent: dict[tuple[int, str], float] = {}
    process = subprocess.Popen(sys.argv[1:])
    while process.poll() is None:
        below = _below(os.getpid())
        peak = max(peak, sum(_pss(pid) for pid, _ in below))
        spent.update(below)
        time.sleep(_SAMPLE_S)
    cost = Cost(sum(spent.values()), time.monotonic() - started, peak)
    Path(os.environ[_REPORT]).write_text(json.dumps(cost))
    return process.returncode


if __name__ == "__main__":
    sys.exit(_main())
