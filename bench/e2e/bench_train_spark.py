"""Weak scaling: the walkthrough's Wide & Deep in two Spark tasks on two cores, batch 3200 each, against one task.

Beside it the bound: two trainings on two cores that know nothing of each other, against one. It needs two quiet
cores. `FRIESIAN_BENCH_ROWS` sets the rows of an epoch (default 80,000, for two tasks twice that).
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from bench.e2e import bench_train_wnd as wnd
from bench.usage import machine

from friesian_fast.feature.session import get_session
from friesian_fast.models.wide_and_deep import WideAndDeepInputs
from friesian_fast.train import Estimator

ROWS = int(os.environ.get("FRIESIAN_BENCH_ROWS", 80_000))
EPOCHS = 3  # the first compiles
GOAL = 1.7
INPUTS = WideAndDeepInputs(
    wide=wnd.WIDE, cross=wnd.CROSS, indicator=wnd.INDICATOR, embedding=wnd.EMBEDDING, continuous=wnd.CONTINUOUS
)

speeds = {}


def creator(config):
    import keras

    from friesian_fast.models.wide_and_deep import wide_and_deep

    model = wide_and_deep(config["inputs"], hidden_units=(1024, 1024))
    model.compile(keras.optimizers.Adam(1e-3), "binary_crossentropy")
    return model


def write_rows(path, rows):
    columns, labels = wnd.draw(rows)[:2]
    pq.write_table(pa.table({**columns, "label": labels}), path, row_group_size=20_000)


@pytest.mark.parametrize("workers", [1, 2])
def test_weak_scaling(benchmark, tmp_path, capsys, workers):
    write_rows(tmp_path / "train.parquet", ROWS * workers)
    get_session("local[2]")
    estimator = Estimator.from_keras(
        creator, config={"inputs": INPUTS}, metrics=["auc"], backend="spark", workers=workers, cores_per_worker=1
    )
    fit = {"feature_cols": [*wnd.FIELDS, *wnd.CONTINUOUS], "label_cols": "label", "verbose": False}
    history = benchmark.pedantic(
        estimator.fit, args=(str(tmp_path / "train.parquet"), EPOCHS, 3200 * workers), kwargs=fit, rounds=1
    )
    assert history[-1]["auc"] > history[0]["auc"] > 0.5
    speeds[workers] = max(epoch["rows_per_second"] for epoch in history[1:])
    benchmark.group = "Wide & Deep as Spark tasks, batch 3200 each"
    benchmark.extra_info |= {"rows_per_second": round(speeds[workers]), "input_wait": history[-1]["input_wait"]}
    with capsys.disabled():
        print(f"\n  {workers} task(s): {speeds[workers]:,.0f} rows/s, auc {history[-1]['auc']:.4f}", end="")
        if len(speeds) == 2:
            print(f" on {machine()}", end="")
            ratio = speeds[2] / speeds[1]
            print(f"; {ratio:.2f} times one task (goal {GOAL}: {'reached' if ratio >= GOAL else 'missed'})")
    assert np.isfinite(history[-1]["loss"])


FIT_ALONE = """
import sys
from bench.e2e import bench_train_spark as bench

print(bench.fit_alone(sys.argv[1]))
"""


def fit_alone(path):
    """Rows/s of the second epoch of a training in this process, on one core."""
    estimator = Estimator.from_keras(creator, config={"inputs": INPUTS}, metrics=["auc"], cores_per_worker=1)
    history = estimator.fit(
        path, EPOCHS, 3200, feature_cols=[*wnd.FIELDS, *wnd.CONTINUOUS], label_cols="label", verbose=False
    )
    return history[1]["rows_per_second"]


def at_once(path, count):
    """Rows/s of so many trainings, in all."""
    command = [sys.executable, "-c", FIT_ALONE, str(path)]
    root = Path(__file__).parents[2]
    started = [subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) for _ in range(count)]
    return sum(float(process.communicate()[0].split()[-1]) for process in started)


def test_bound(benchmark, tmp_path, capsys):
    path = tmp_path / "train.parquet"
    write_rows(path, ROWS)
    one = at_once(path, 1)
    two = benchmark.pedantic(at_once, args=(path, 2), rounds=1)
    with capsys.disabled():
        print(f"\n  alone {one:,.0f} rows/s, two at once {two:,.0f} on {machine()}: {two / one:.2f} times, the bound")
    assert two > one
