"""Every ranking runtime beside TensorFlow's SavedModel signature: the walkthrough's Wide & Deep on real requests.

The walkthrough's steps run in ./demo/recsys2021, where `make demo` runs them too; what is there is reused. CPU time
of one thread.
"""

import time
from pathlib import Path

import numpy as np
import pytest

from friesian_fast.errors import FriesianError
from friesian_fast.rank import REFERENCE, RUNTIMES, open_ranker
from friesian_fast.recommend.inputs import InputBuilder
from friesian_fast.release.open import open_release
from friesian_fast.release.ranker import CALIBRATION
from friesian_fast.release.ranker_files import write_model
from friesian_fast.release.trial import TOP, agreement_of, top_error_of
from friesian_fast.usecases.pipeline import run_pipeline
from friesian_fast.usecases.recsys2021 import demo

PEER = "tensorflow-fp32"
SIZES = {50: (1, 50), 300: (100, 300, 1000)}  # by those of the requests that calibrate, as publish does
TIMED, CHECKED = 30, 1000  # requests of each size; of 50 and 300 candidates more are checked
FLOP_PER_ROW = 2 * (143 * 1024 + 1024 * 1024 + 1024)
GEMM = 2048


@pytest.fixture(scope="module")
def walkthrough():
    directory = Path("demo") / "recsys2021"
    directory.mkdir(parents=True, exist_ok=True)
    for _ in run_pipeline(demo.STEPS, directory):
        pass
    return directory


def make_requests(release, count, candidates):
    """The ranker's inputs for users drawn at random, with what recall finds for them."""
    users, items, vectors = (release.row_store(name) for name in ("user", "item", "user_vector"))
    builder, index = InputBuilder(release.spec), release.index()
    drawn = np.random.default_rng(1).permutation(np.arange(1, 200_000))
    requests = []
    for user in drawn:
        one = np.array([user], np.int64)
        row, vector = users.find(one), vectors.decode(one)
        if row.count and vector.found[0]:
            ids, _ = index.search(vector.columns["embedding"], candidates)
            requests.append(builder.build(row, items.find(np.ascontiguousarray(ids[0]))))
        if len(requests) == count:
            return requests
    raise AssertionError(f"only {len(requests)} users have rows and a vector")


def random_weights(walkthrough, directory, rows):
    """The same layout with weights drawn at random, in both formats."""
    from friesian_fast.models.wide_and_deep import wide_and_deep
    from friesian_fast.train.export import export_onnx, save_serving
    from friesian_fast.usecases.recsys2021.tables import Sizes
    from friesian_fast.usecases.recsys2021.train_wnd import model_inputs

    model = wide_and_deep(model_inputs(Sizes(walkthrough / "data" / "preprocessed")))
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if layer.name.startswith(("wide_", "embed_")):
            layer.set_weights([rng.normal(size=w.shape).astype(np.float32) / 4 for w in layer.get_weights()])
    export_onnx(model, directory / "ranker.onnx", rows)
    save_serving(model, directory / "saved_model")
    return directory


def open_all(trained, directory, spec, rows):
    """What this machine can run; the models that it needs are written to the directory."""
    (directory / RUNTIMES[REFERENCE].file).write_bytes((trained / RUNTIMES[REFERENCE].file).read_bytes())
    rankers = {}
    for name, runtime in RUNTIMES.items():
        try:
            path = write_model(name, trained, directory, runtime.file, rows)
            rankers[name] = open_ranker(path, spec, runtime=name)
        except FriesianError as error:
            print(f"\n  {name} is left out: {error}", end="")
    return rankers


def cpu_ms(rankers, requests):
    """Median CPU milliseconds, the runtimes in turn on the same request, the third of three calls each."""
    spent = {name: [] for name in rankers}
    for rows in requests:
        for name, ranker in rankers.items():
            for _ in range(3):
                start = time.process_time()
                ranker.score(rows, TOP)
                seconds = time.process_time() - start
            spent[name].append(seconds * 1e3)
    return {name: float(np.median(values)) for name, values in spent.items()}


def check(rankers, requests):
    """Agreement with the reference's ten best, the largest error of a score among the ten best, and of all."""
    found = {}
    exact = [rankers[REFERENCE].score(rows) for rows in requests]
    for name, ranker in rankers.items():
        pairs = list(zip(exact, [ranker.score(rows, TOP) for rows in requests], strict=True))
        agreement = np.mean([agreement_of(*pair) for pair in pairs])
        errors = max(top_error_of(*pair) for pair in pairs), max(float(np.abs(a - b).max()) for a, b in pairs)
        found[name] = agreement, *errors
    return found


def gemm_gflops():
    """What a core reaches on a large product in fp32 (NumPy's BLAS, which may use more threads unless told)."""
    a = np.random.default_rng(0).random((GEMM, GEMM), np.float32)
    best = min(_cpu(lambda: a @ a) for _ in range(5))
    return 2 * GEMM**3 / best * 1e-9


def _cpu(call):
    start = time.process_time()
    call()
    return time.process_time() - start


@pytest.mark.slow
@pytest.mark.parametrize("weights", ["trained", "random"])
def test_ranking(benchmark, walkthrough, tmp_path, capsys, weights):
    release = open_release(walkthrough / "releases", verify=False)
    trained = walkthrough / "recsys_wnd"
    if weights == "random":
        (tmp_path / "random").mkdir()
        trained = random_weights(walkthrough, tmp_path / "random", make_requests(release, 1, 50)[0])
    gflops = gemm_gflops()
    with capsys.disabled():
        print(f"\n  {weights} weights; fp32 GEMM {gflops:.0f} GFLOP/s a core", end="")
        for calibrating, sizes in SIZES.items():
            models = tmp_path / str(calibrating)
            models.mkdir()
            requests = make_requests(release, CHECKED, calibrating)
            rankers = open_all(trained, models, release.spec, requests[:: CHECKED // CALIBRATION])
            for size in sizes:
                asked = requests if size == calibrating else make_requests(release, TIMED, size)
                bound = size * FLOP_PER_ROW / gflops * 1e-6
                print(f"\n  {size} candidates; fp32 cannot take less than {bound:.3f} ms", end="")
                report(benchmark, size, cpu_ms(rankers, asked[:TIMED]), check(rankers, asked))
    exact, peer = rankers[REFERENCE].score(requests[0]), rankers[PEER].score(requests[0])
    np.testing.assert_allclose(exact, peer, atol=1e-5)
    benchmark.pedantic(rankers[REFERENCE].score, (requests[0],), rounds=20, warmup_rounds=3)


def report(benchmark, size, times, quality):
    """One line for each runtime."""
    for name, ms in times.items():
        agreement, top_error, error = quality[name]
        held = f"agreement {agreement:.4f}, error {top_error:.1e}, of all {error:.1e}"
        print(f"\n    {name}: {ms:.3f} ms, {times[PEER] / ms:.2f}x TensorFlow, {held}", end="")
        benchmark.extra_info[f"{name}_{size}_ms"] = round(ms, 4)
