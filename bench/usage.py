"""What a command costs with everything it starts: CPU seconds, wall seconds, the most memory held at once.

Runs as a process of its own, ``python -m bench.usage COMMAND...``, which looks at all that the command starts five
times a second: nobody waits for Spark's workers, so that their CPU time is in nobody's account once they are gone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from friesian_services.loadtest.usage import usage_of

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


def cpu_seconds() -> float:
    """Of this process and all below it, the ended ones included."""
    return usage_of(os.getpid()).cpu_s


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


def _below(pid: int) -> list[int]:
    found, waiting = [], [pid]
    while waiting:
        try:
            tasks = list(Path(f"/proc/{waiting.pop()}/task").iterdir())
            children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
        found += children
        waiting += children
    return found


def _cpu_s(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _main() -> int:
    started, peak = time.monotonic(), 0
    spent: dict[int, float] = {}
    process = subprocess.Popen(sys.argv[1:])
    while process.poll() is None:
        below = _below(os.getpid())
        peak = max(peak, sum(map(_pss, below)))
        for pid in below:
            spent[pid] = max(spent.get(pid, 0.0), _cpu_s(pid))
        time.sleep(_SAMPLE_S)
    cost = Cost(sum(spent.values()), time.monotonic() - started, peak)
    Path(os.environ[_REPORT]).write_text(json.dumps(cost))
    return process.returncode


if __name__ == "__main__":
    sys.exit(_main())
