"""Every operation of `FeatureTable` that the original was measured on: ours, its way of old, and its own figure.

CPU seconds of the driver, the JVM and the Python workers together, warm session, one core's worth of tasks, from
Parquet. Ours is written as Parquet, less the reading of the same columns and the writing of the same result. The
baseline goes into no sink, less Spark's scan, as the original was measured; it counts only if it lands within 1.5 times
of the original's own figure. ``FRIESIAN_BENCH_ROWS`` makes it smaller; the original's figures are then scaled, and
mean little.
"""

import os
import shutil
import time
from functools import partial

import pyarrow.parquet as pq
import pytest
from bench.e2e.feature_cases import CASES
from bench.e2e.feature_data import write_data
from bench.usage import Meter

from friesian_fast.feature import FeatureTable
from friesian_fast.feature.fit import count_files
from friesian_fast.feature.plan import stage_for
from friesian_fast.feature.scan import splits
from friesian_fast.feature.session import get_session
from friesian_fast.feature.tasks import run_tasks

ROWS = int(os.environ.get("FRIESIAN_BENCH_ROWS", 1_000_000))
ORIGINAL_ROWS = 1_000_000
MOST_OFF = 1.5
ROUNDS = 3
RESOLUTION = 0.05  # s; the clock of each of the processes ticks in hundredths
AS_SHIPPED, TUNED = 200, 4

lines = {}


@pytest.fixture(scope="module")
def meter():
    with Meter() as started:
        yield started


@pytest.fixture(scope="module")
def session():
    # Our own settings suit a JVM that sees no rows; the baseline's does, so it gets its optimising compiler.
    options = {"spark.driver.extraJavaOptions": "-Xshare:auto", "spark.driver.memory": "4g"}
    return get_session("local[1]", options=options)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    write_data(directory, ROWS)
    return directory


@pytest.fixture(scope="module", autouse=True)
def table(request):
    yield
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n\n{ROWS} rows, CPU s\n{HEAD}")
        print("\n".join(lines.values()))


HEAD = (
    "| operation | ours, Parquet to Parquet | of it the operation | baseline | the original | times less "
    "| than the baseline |\n|---|--:|--:|--:|--:|--:|--:|"
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-").replace(",", ""))
def test_operation(benchmark, session, meter, data, tmp_path, case):
    cheapest = partial(cheapest_of, meter)
    out, copy = tmp_path / "out", tmp_path / "copy"
    ours = benchmark.pedantic(cheapest, (lambda: case.ours(case.read(data)).write_parquet(out),), rounds=1)
    table = FeatureTable.read_parquet(out)
    writing = cheapest(lambda: table.write_parquet(copy)) - cheapest(lambda: read(session, table))
    net = ours - cheapest(lambda: read(session, case.read(data))) - max(writing, 0)
    session.conf.set("spark.sql.shuffle.partitions", TUNED if case.tuned else AS_SHIPPED)
    frame = session.read.parquet(str(data / case.data)).select(case.columns)
    baseline = cheapest(lambda: drop(case.theirs(frame)), 2) - cheapest(lambda: drop(frame), 2)
    case.theirs(frame).write.mode("overwrite").parquet(str(copy))
    session.catalog.clearCache()
    case.check(pq.read_table(out), pq.read_table(copy), pq.read_table(data / case.data, columns=case.columns))
    shutil.rmtree(tmp_path)
    note(benchmark, case, ours, net, baseline)


def cheapest_of(meter, call, rounds=ROUNDS):
    """CPU seconds of the cheapest of some rounds, after one to warm up."""
    spent = []
    for _ in range(rounds + 1):
        before = meter.seconds()
        call()
        time.sleep(0.1)  # the workers' last moments
        spent.append(meter.seconds() - before)
    return min(spent[1:])


def read(session, table):
    """Reads the table's columns in tasks like ours, and does nothing with them."""
    part = table.parts[0]
    task = {
        "stage": stage_for(part, table.columns).to_json(),
        "vocabularies": [],
        "stats": [],
        "groups": {},
        "directory": "",
    }
    run_tasks(session, count_files, [{**task, "pieces": one} for one in splits(part.source.files, 1)])


def drop(frame):
    """Computes the frame into no sink, and forgets what it cached."""
    frame.write.format("noop").mode("overwrite").save()
    frame.sparkSession.catalog.clearCache()


def note(benchmark, case, ours, net, baseline):
    original = case.original_net * ROWS / ORIGINAL_ROWS
    near = original / MOST_OFF <= baseline <= original * MOST_OFF
    least = max(net, RESOLUTION)
    fewer = original / least
    benchmark.group = "operations of FeatureTable"
    benchmark.extra_info.update(cpu_s=ours, net_cpu_s=net, baseline_cpu_s=baseline, times_less=round(fewer, 1))
    target = f" (target {case.target}{'' if fewer >= case.target else ', missed'})" if case.target else ""
    over = "" if net >= RESOLUTION else "over "
    beside = f"{over}{baseline / least:.1f}" if near else ""
    lines[case.name] = (
        f"| {case.name} | {ours:.2f} | {max(net, 0.0):.2f} | {baseline:.2f}{'' if near else ' †'} | {original:.2f}"
        f"{'' if case.tuned else ' *'} | {over}{fewer:.1f}{target} | {beside} |"
    )
