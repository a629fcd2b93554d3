"""What the CPU is and which small number formats it multiplies."""

from __future__ import annotations

from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
# Whoever lacks these multiplies int8 in steps that saturate, and then scores are not those that publish measured.
_INT8 = {"avx512_vnni", "avx_vnni", "asimddp"}


@cache
def _fields() -> dict[str, str]:
    """The first processor's lines; empty where the system has no such file."""
    try:
        text = _CPUINFO.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    pairs = (line.partition(":") for line in text.partition("\n\n")[0].splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def cpu_model() -> str:
    """Its maker's name for it, or "unknown"."""
    return _fields().get("model name", "unknown")


def multiplies_int8() -> bool:
    """Whether there are instructions for exact products of int8."""
    fields = _fields()
    return bool(_INT8 & set((fields.get("flags") or fields.get("Features") or "").split()))
