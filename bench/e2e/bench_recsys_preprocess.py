"""``friesian recsys2021 preprocess`` as a user runs it: CPU seconds, Spark's start included, and memory, by size.

The original took 169 CPU s for 100,000 records with one Spark setting tuned (547 as shipped).
``FRIESIAN_BENCH_ROWS`` is the largest size, by default a million; the others are a tenth and a fifth of it.
"""

import os
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from bench.usage import cost_of

ORIGINAL_CPU_S, ORIGINAL_RECORDS = 169, 100_000
TARGET, MOST_GROWTH, MOST_MEMORY = 8, 1.2, 6e9
LARGEST = int(os.environ.get("FRIESIAN_BENCH_ROWS", 1_000_000))
SIZES = (LARGEST // 10, LARGEST // 5, LARGEST)
FRIESIAN = str(Path(sys.executable).with_name("friesian"))

costs = {}


@pytest.mark.parametrize("records", SIZES)
def test_preprocess(benchmark, tmp_path, capsys, records):
    data = tmp_path / "data"
    cost_of([FRIESIAN, "recsys2021", "generate", str(records), str(data)], tmp_path)
    command = [FRIESIAN, "recsys2021", "preprocess", "--data_dir", str(data), "--cross_sizes", "600"]
    cost = benchmark.pedantic(cost_of, (command, tmp_path), rounds=1)
    made = data / "preprocessed"
    rows = [pq.ParquetDataset(made / name).read(["label"]).num_rows for name in ("train_parquet", "test_parquet")]
    assert sum(rows) == records
    costs[records] = cost
    benchmark.group = "recsys2021 preprocess"
    benchmark.extra_info.update(cpu_s=cost.cpu_s, peak_pss_gb=cost.peak_pss_bytes / 1e9)
    with capsys.disabled():
        print(f"\n  {records} records: {cost.cpu_s:.1f} CPU s, {cost.peak_pss_bytes / 1e9:.2f} GB", end="")
        if records == ORIGINAL_RECORDS:
            print(f"; {ORIGINAL_CPU_S / cost.cpu_s:.1f} times less than the original (target {TARGET})", end="")
        if len(costs) == len(SIZES):
            print(f"; a further record costs {growth():.2f} times the first ones' (at most {MOST_GROWTH})")
            print(f"  memory at most {MOST_MEMORY / 1e9:.0f} GB: {cost.peak_pss_bytes <= MOST_MEMORY}")


def growth():
    """The cost of a further row from the smallest size to the largest, over that from the smallest to the second."""
    small, second, large = SIZES
    early = (costs[second].cpu_s - costs[small].cpu_s) / (second - small)
    return (costs[large].cpu_s - costs[small].cpu_s) / (large - small) / early
