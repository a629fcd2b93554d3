"""What memory allows: random lines, as fast as they come.

A look-up of 300 rows in a store far larger than the caches: a row of `bench_row_store.py` with 10M of them takes one
line of the id table (1.2 on average) and 3.5 lines of its own. And a search, which reads lists of some KB one after the
other, from memory or from a shared cache.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROWS, TABLE_LINES, ROW_LINES = 300, 1.2, 3.5
LISTS, LIST_LINES, LINE = 128, 64, 64  # 4 KB each
IN_MEMORY, IN_CACHE = 2048, 16  # MB; a shared cache that holds less shows no difference


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    built = tmp_path_factory.mktemp("random_lines") / "random_lines"
    source = Path(__file__).with_name("random_lines.cpp")
    subprocess.run(["c++", "-std=c++20", "-O2", "-march=native", str(source), "-o", str(built)], check=True)
    return built


def test_random_lines(benchmark, program, capsys):
    def ns_per_line(lines, runs=ROWS, megabytes=IN_MEMORY):
        command = [program, *map(str, (runs, lines, megabytes))]
        return float(subprocess.run(command, check=True, capture_output=True).stdout)

    table, row = benchmark.pedantic(lambda: (ns_per_line(1), ns_per_line(4)), rounds=3)
    bound = ROWS * (TABLE_LINES * table + ROW_LINES * row) / 1e3
    far, near = (LINE / ns_per_line(LIST_LINES, LISTS, megabytes) for megabytes in (IN_MEMORY, IN_CACHE))
    benchmark.extra_info.update(ns_per_line=table, ns_per_line_of_four=row, bound_us=bound)
    benchmark.extra_info.update(list_gb_per_s=far, list_gb_per_s_in_cache=near)
    with capsys.disabled():
        print(f"\n  a line {table:.1f} ns, of four in a row {row:.1f}; {ROWS} rows: at least {bound:.1f} µs", end="")
        print(f"\n  lists of 4 KB: {far:.1f} GB/s, {near:.1f} of {IN_CACHE} MB", end="")
