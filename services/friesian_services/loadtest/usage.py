"""CPU time and memory of a process and all it started, from /proc."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from friesian_fast.errors import NotFoundError

_PROC = Path("/proc")


class Usage(NamedTuple):
    """Since the processes began: CPU seconds, with those of children that have ended; resident bytes now."""

    cpu_s: float
    resident_bytes: int
    processes: int


def usage_of(pid: int) -> Usage:
    """Of a process with its children and theirs.

    Raises
    ------
    NotFoundError
        If there is no such process, or no /proc to read.
    """
    stats = _read_all()
    if pid not in stats:
        raise NotFoundError(f"--server-pid is {pid}, but there is no such process (or no /proc to read it from)")
    family = {pid}
    grown = True
    while grown:
        more = {one for one, fields in stats.items() if int(fields[1]) in family} - family
        family |= more
        grown = bool(more)
    ticks = sum(int(tick) for one in family for tick in stats[one][11:15])
    pages = sum(int(stats[one][21]) for one in family)
    return Usage(ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"), len(family))


def _read_all() -> dict[int, list[str]]:
    """The fields after the name, which may hold anything, of every process's ``stat``."""
    stats = {}
    for directory in _PROC.glob("[0-9]*"):
        try:
            stats[int(directory.name)] = (directory / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
    return stats
