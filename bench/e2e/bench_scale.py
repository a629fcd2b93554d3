"""Data that does not fit: what a further row costs, and the memory, as the rows grow to 20 million.

``FRIESIAN_BENCH_ROWS`` is the largest size; the others are a twentieth, a tenth and a quarter of it. The plot goes to
``scale.svg`` in ``FRIESIAN_BENCH_PLOTS``, by default the working directory.
"""

import os
import shutil
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bench.e2e.scale_data import COUNTS, LIST, TEXTS, write_rows
from bench.usage import cost_of

from friesian_fast.evaluate.svg import line_plot
from friesian_fast.hashing import md5_bucket

MOST_GROWTH, MOST_MEMORY = 1.3, 4e9
LARGEST = int(os.environ.get("FRIESIAN_BENCH_ROWS", 20_000_000))
SIZES = (LARGEST // 20, LARGEST // 10, LARGEST // 4, LARGEST)
PLOTS = Path(os.environ.get("FRIESIAN_BENCH_PLOTS", "."))

costs = {}


@pytest.mark.parametrize("rows", SIZES)
def test_scale(benchmark, tmp_path, capsys, rows):
    raw, made = tmp_path / "raw", tmp_path / "made"
    write_rows(raw, rows)
    command = [sys.executable, "-m", "bench.e2e.scale_run", str(raw), str(made)]
    cost = benchmark.pedantic(cost_of, (command, tmp_path), rounds=1)
    check(raw, made, rows)
    shutil.rmtree(tmp_path)
    costs[rows] = cost
    benchmark.group = "hash, cross, encode and scale, Parquet to Parquet"
    benchmark.extra_info.update(cpu_s=cost.cpu_s, peak_pss_gb=cost.peak_pss_bytes / 1e9)
    with capsys.disabled():
        print(f"\n  {rows} rows: {cost.cpu_s:.1f} CPU s, {cost.peak_pss_bytes / 1e9:.2f} GB", end="")
        if len(costs) == len(SIZES):
            print(f"; a further row costs {growth():.2f} times the first ones' (at most {MOST_GROWTH})")
            print(f"  memory at most {MOST_MEMORY / 1e9:.0f} GB: {cost.peak_pss_bytes <= MOST_MEMORY}")
            (PLOTS / "scale.svg").write_text(plot(), encoding="utf-8")


def growth():
    """The cost of a further row from the third size to the largest, over that from the first to the second."""
    spent = [costs[size].cpu_s for size in SIZES]
    return (spent[3] - spent[2]) / (SIZES[3] - SIZES[2]) / ((spent[1] - spent[0]) / (SIZES[1] - SIZES[0]))


def check(raw, made, rows):
    """As many rows, the first file's hashes and lists as they must be, ids by falling frequency, counts scaled."""
    assert pq.ParquetDataset(made).read([COUNTS[0]]).num_rows == rows
    before = pq.read_table(raw / "part-00000.parquet").slice(0, 1000)
    after = pq.read_table(min(made.glob("part-*"))).slice(0, 1000)
    assert after[LIST].to_pylist() == before[LIST].to_pylist()
    assert after[TEXTS[8]].to_pylist() == md5_bucket(before[TEXTS[8]], 100_000).tolist()
    joined = pa.compute.binary_join_element_wise(before[TEXTS[0]], before[TEXTS[1]], "")
    assert after["text0_text1"].to_pylist() == md5_bucket(joined, 1000).tolist()
    ids = pq.ParquetDataset(made).read([TEXTS[0]])[TEXTS[0]].to_numpy()
    counted = np.bincount(ids)[1:]
    assert (np.diff(counted) <= 0).all()
    assert counted.sum() == rows
    scaled = before[COUNTS[0]].to_numpy() / 10_000
    assert np.abs(after[COUNTS[0]].to_numpy() - scaled).max() < 2e-3


def plot():
    series = {
        "CPU, s": [(rows / 1e6, cost.cpu_s) for rows, cost in costs.items()],
        "memory, GB x 10": [(rows / 1e6, cost.peak_pss_bytes / 1e8) for rows, cost in costs.items()],
    }
    return line_plot(series, title="Cost by rows", x_label="million rows", y_label="CPU s, and GB x 10")
