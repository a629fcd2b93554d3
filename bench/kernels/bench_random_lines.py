"""What memory allows a look-up of 300 rows in a store far larger than the caches: random lines, as fast as they come.

A row of `bench_row_store.py` with 10M of them takes one line of the id table (1.2 on average) and 3.5 lines of its own.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

ROWS, TABLE_LINES, ROW_LINES = 300, 1.2, 3.5


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    built = tmp_path_factory.mktemp("random_lines") / "random_lines"
    source = Path(__file__).with_name("random_lines.cpp")
    subprocess.run(["c++", "-std=c++20", "-O2", "-march=native", str(source), "-o", str(built)], check=True)
    return built


def test_random_lines(benchmark, program, capsys):
    def ns_per_line(lines):
        return float(subprocess.run([program, str(ROWS), str(lines)], check=True, capture_output=True).stdout)

    table, row = benchmark.pedantic(lambda: (ns_per_line(1), ns_per_line(4)), rounds=3)
    bound = ROWS * (TABLE_LINES * table + ROW_LINES * row) / 1e3
    benchmark.extra_info.update(ns_per_line=table, ns_per_line_of_four=row, bound_us=bound)
    with capsys.disabled():
        print(f"\n  a line {table:.1f} ns, of four in a row {row:.1f}; {ROWS} rows: at least {bound:.1f} µs", end="")
