from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from friesian_fast import _core

LEVELS = _core.runnable_simd_levels()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "level" in metafunc.fixturenames:
        metafunc.parametrize("level", LEVELS)


def best_seconds(call: Callable[[], object], rounds: int = 7) -> float:
    """CPU time of the shortest of a few runs: what the work costs when nothing interrupts it."""
    seconds = []
    for _ in range(rounds):
        start = time.process_time()
        call()
        seconds.append(time.process_time() - start)
    return min(seconds)


@pytest.fixture
def report(capsys: pytest.CaptureFixture[str]) -> Callable[[BenchmarkFixture, str, int, float], None]:
    """Records and prints nanoseconds a row, and how many times faster than the peer's `seconds` that is."""

    def show(benchmark: BenchmarkFixture, label: str, rows: int, peer_seconds: float) -> None:
        seconds = benchmark.stats.stats.min
        ratio = peer_seconds / seconds
        benchmark.extra_info.update(rows=rows, ns_per_row=seconds / rows * 1e9, times_faster_than_peer=ratio)
        with capsys.disabled():
            print(f"\n  {label}: {seconds / rows * 1e9:.1f} ns a row, {ratio:.0f}x the peer", end="")

    return show
