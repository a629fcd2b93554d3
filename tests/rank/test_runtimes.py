"""Every runtime gives the model's scores, refuses what does not fit, and says so when a file is damaged."""

import logging

import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper
from tests.services import tiny_release

from friesian_fast.errors import (
    InvalidInputError,
    MissingExtraError,
    NotFoundError,
    ReleaseError,
    SchemaMismatchError,
    UnsupportedRuntimeError,
)
from friesian_fast.rank import RUNTIMES, open_ranker, runtimes
from friesian_fast.rank.cpu import cpu_model, multiplies_int8
from friesian_fast.rank.head import LEAST_HEAD
from friesian_fast.rank.openvino_core import openvino_core
from friesian_fast.rank.openvino_split import split_at_large_product
from friesian_fast.release.ranker_files import write_model
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet

ALL = ("onnxruntime-fp32", "openvino-fp32", "tensorflow-fp32")
SPEC = FeatureSpec(
    name="one",
    row_sets=(RowSet(name="item", id_column="id", id_type="int64", columns=(Column(name="x", type="float32"),)),),
    model_inputs=(ModelInput(name="x", row_set="item", column="x"),),
)


class TinyModel(tf.Module):
    """What `tiny_release.save_model` writes, for TensorFlow."""

    def __init__(self):
        super().__init__()
        self.table = tf.constant(tiny_release.weights())

    def score(self, user_age, spend, price, tags, genre):
        taste = tf.gather_nd(self.table, tf.stack([user_age, genre], axis=1))
        tagged = 0.1 * tf.cast(tf.reduce_sum(tags, axis=1), tf.float32)
        return {"score": tf.sigmoid(taste + price * spend + tagged)}


def save_tensorflow(path, function, **inputs):
    module = function if isinstance(function, tf.Module) else tf.Module()
    call = function.score if isinstance(function, tf.Module) else function
    signature = {name: tf.TensorSpec(shape, kind, name=name) for name, (kind, shape) in inputs.items()}
    tf.saved_model.save(module, str(path), {"serving_default": tf.function(call).get_concrete_function(**signature)})
    return path


def save_onnx(path, nodes, *, kind=TensorProto.FLOAT, shape=("N",), outputs=(("score", ["N"]),)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", kind, list(shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    tiny_release.save_model(root / "ranker.onnx")
    kinds = {"user_age": tf.int32, "spend": tf.float32, "price": tf.float32, "tags": tf.int32, "genre": tf.int32}
    shapes = {"tags": [None, 3]}
    inputs = {name: (kind, shapes.get(name, [None])) for name, kind in kinds.items()}
    save_tensorflow(root / "saved_model", TinyModel(), **inputs)
    return root


@pytest.fixture(scope="module", params=ALL)
def ranker(request, models):
    return open_ranker(models / RUNTIMES[request.param].file, tiny_release.spec(), runtime=request.param)


def inputs(n):
    rng = np.random.default_rng(n)
    return {
        "user_age": rng.integers(0, 100, n, np.int32),
        "spend": rng.random(n, np.float32),
        "price": rng.random(n, np.float32),
        "tags": rng.integers(0, 10, (n, 3), np.int32),
        "genre": rng.integers(0, 20, n, np.int32),
    }


@pytest.mark.parametrize("n", [1, 15, 16, 17, 64, 65, 384, 385, 1000])
def test_scores_are_the_models(ranker, n):
    given = inputs(n)
    ages, genres = given["user_age"], given["genre"]
    wanted = tiny_release.expected_scores(ages, given["spend"], given["price"], given["tags"], genres)
    scores = ranker.score(given)
    assert scores.dtype == np.float32
    np.testing.assert_allclose(scores, wanted, rtol=2e-5)
    first = {name: values[: n // 2 + 1] for name, values in given.items()}
    np.testing.assert_allclose(ranker.score(first), scores[: n // 2 + 1], rtol=0, atol=1e-6)


def test_an_earlier_call_leaves_no_trace(ranker):
    first, second = ranker.score(inputs(40)), ranker.score(inputs(20))
    np.testing.assert_array_equal(ranker.score(inputs(40)), first)
    np.testing.assert_array_equal(ranker.score(inputs(20)), second)
    assert ranker.score(inputs(0)).shape == (0,)


@pytest.mark.parametrize("bad", [20, -21])
def test_an_id_outside_of_its_table_is_refused(ranker, bad):
    given = inputs(4)
    given["genre"][2] = bad
    with pytest.raises(InvalidInputError, match="refuses these 4 rows|'genre' holds ids from"):
        ranker.score(given)
    ranker.score(inputs(4))


def test_openvino_checks_lists_of_ids_too(models):
    ranker = open_ranker(models / "ranker.onnx", tiny_release.spec(), runtime="openvino-fp32")
    with pytest.raises(InvalidInputError, match="input 'tags' holds ids from 0 to 10; it has 10 values"):
        ranker.score({**inputs(2), "tags": np.array([[0, 0, 0], [0, 0, 10]], np.int32)})


def test_nan_is_an_error_with_a_name(ranker):
    given = inputs(4)
    given["price"][2] = np.nan
    with pytest.raises(ReleaseError, match="1 of 4 scores are NaN"):
        ranker.score(given)


@pytest.mark.parametrize("name", [name for name in RUNTIMES if not name.startswith("tensorflow")])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_row_with_nan_has_no_score_behind_layers_that_lose_it(tmp_path, name, value):
    """A Relu of NaN is 0 to OpenVINO, and a code of 8 bits is a number."""
    path = save_deep(tmp_path / "ranker.onnx", wide=False)
    if {"bf16": not has_bf16(), "int8": not multiplies_int8()}.get(RUNTIMES[name].precision):
        with pytest.raises(UnsupportedRuntimeError, match="no bf16 that OpenVINO uses|no exact int8 products"):
            open_ranker(path, SPEC, runtime=name)
        return
    x = 1 + np.random.default_rng(1).random(50, np.float32)
    ranker = open_ranker(write_model(name, tmp_path, tmp_path, RUNTIMES[name].file, [{"x": x}]), SPEC, runtime=name)
    x[3] = value
    for shown in (10, None):
        with pytest.raises(ReleaseError, match="scores are NaN or infinite"):
            ranker.score({"x": x}, shown)


@pytest.mark.parametrize("column", ["number", "double", "fixed"])
@pytest.mark.parametrize("rows", [3, 400])
def test_openvino_finds_nan_in_every_kind_of_column(tmp_path, column, rows):
    kinds = {"number": ("float32", "scalar"), "double": ("float64", "scalar"), "fixed": ("float32", "fixed")}
    columns = tuple(
        Column(name=key, type=kind, kind=shape, **({"length": 4} if shape == "fixed" else {}))
        for key, (kind, shape) in kinds.items()
    )
    spec = FeatureSpec(
        name="three",
        row_sets=(RowSet(name="item", id_column="id", id_type="int64", columns=columns),),
        model_inputs=tuple(ModelInput(name=key, row_set="item", column=key) for key in kinds),
    )
    nodes = [
        helper.make_node("Cast", ["double"], ["single"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMax", ["fixed"], ["most"], axes=[1], keepdims=0),
        helper.make_node("Sum", ["number", "single", "most"], ["sum"]),
        helper.make_node("Add", ["sum", "sum"], ["score"]),
    ]
    graph = helper.make_graph(
        nodes,
        "three",
        [
            helper.make_tensor_value_info("number", TensorProto.FLOAT, ["N"]),
            helper.make_tensor_value_info("double", TensorProto.DOUBLE, ["N"]),
            helper.make_tensor_value_info("fixed", TensorProto.FLOAT, ["N", 4]),
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, tmp_path / "ranker.onnx")
    ranker = open_ranker(tmp_path / "ranker.onnx", spec, runtime="openvino-fp32")
    given = {"number": np.ones(rows, np.float32), "double": np.ones(rows), "fixed": np.ones((rows, 4), np.float32)}
    np.testing.assert_array_equal(ranker.score(given), np.full(rows, 6, np.float32))
    given[column][(rows - 1, 2)[: given[column].ndim]] = np.nan
    with pytest.raises(ReleaseError, match=f"1 of {rows} scores are NaN"):
        ranker.score(given)
    given[column][rows - 1] = 1
    np.testing.assert_array_equal(ranker.score(given), np.full(rows, 6, np.float32))


def test_other_types_and_shapes_are_refused(ranker):
    with pytest.raises(InvalidInputError, match="input 'price' is float64.*must be float32 of shape \\(4,\\)"):
        ranker.score({**inputs(4), "price": np.zeros(4)})


def test_threads_at_once_get_their_own_scores(ranker):
    from concurrent.futures import ThreadPoolExecutor

    alone = {n: ranker.score(inputs(n)) for n in range(1, 40)}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda n: ranker.score(inputs(n)), list(alone) * 5))
    for n, scores in zip(list(alone) * 5, together, strict=True):
        np.testing.assert_array_equal(scores, alone[n])


@pytest.mark.parametrize("name", ALL)
def test_a_missing_or_damaged_model_is_named(name, tmp_path):
    file = RUNTIMES[name].file
    with pytest.raises(NotFoundError, match=f"no model at .*{file}"):
        open_ranker(tmp_path / file, SPEC, runtime=name)
    if file == "saved_model":
        (tmp_path / file).mkdir()
        (tmp_path / file / "saved_model.pb").write_bytes(b"no model")
    else:
        (tmp_path / file).write_bytes(b"no model")
    with pytest.raises(ReleaseError, match=f"{file} is no "):
        open_ranker(tmp_path / file, SPEC, runtime=name)


def wrong_onnx(path, what):
    identity = helper.make_node("Identity", ["x"], ["score"])
    if what == "type":
        return save_onnx(path, [helper.make_node("Cast", ["x"], ["score"], to=1)], kind=TensorProto.INT64)
    if what == "rank":
        return save_onnx(path, [identity], shape=("N", 1), outputs=[("score", ["N", 1])])
    if what == "outputs":
        nodes = [identity, helper.make_node("Identity", ["x"], ["more"])]
        return save_onnx(path, nodes, outputs=[("score", ["N"]), ("more", ["N"])])
    if what == "shape":
        return save_onnx(path, [helper.make_node("Concat", ["x", "x"], ["score"], axis=0)], outputs=[("score", ["M"])])
    return save_onnx(path, [helper.make_node("Log", ["x"], ["score"])])


def wrong_tensorflow(path, what):
    score = {
        "outputs": lambda x: {"score": x, "more": x},
        "shape": lambda x: {"score": tf.concat([x, x], 0)},
        "nan": lambda x: {"score": tf.math.log(x)},
    }.get(what, lambda x: {"score": tf.cast(x, tf.float32)})
    kind = tf.int64 if what == "type" else tf.float32
    return save_tensorflow(path, score, x=(kind, [None, 1] if what == "rank" else [None]))


@pytest.mark.parametrize(
    ("what", "kind", "says"),
    [
        ("type", SchemaMismatchError, "input 'x' is int64, but column 'x' is float32"),
        ("rank", SchemaMismatchError, "2 dimensions.*gives 1"),
        ("outputs", ReleaseError, "2 outputs"),
        ("shape", ReleaseError, "answered shape \\(2,\\) for 1 rows|answered shape .* for 1 rows"),
        ("nan", ReleaseError, "1 of 1 scores are NaN or infinite"),
    ],
)
@pytest.mark.parametrize("name", ALL)
def test_a_model_that_does_not_fit_is_refused_when_it_is_opened(name, what, kind, says, tmp_path):
    save = wrong_tensorflow if name.startswith("tensorflow") else wrong_onnx
    path = save(tmp_path / RUNTIMES[name].file, what)
    with pytest.raises(kind, match=says):
        open_ranker(path, SPEC, runtime=name)


def test_other_input_names(models):
    for name in ALL:
        with pytest.raises(SchemaMismatchError, match="too many .*'genre'.*missing \\['x'\\]"):
            open_ranker(models / RUNTIMES[name].file, SPEC, runtime=name)


def test_a_saved_model_without_the_signature(tmp_path):
    tf.saved_model.save(tf.Module(), str(tmp_path / "saved_model"))
    with pytest.raises(ReleaseError, match="no signature 'serving_default'"):
        open_ranker(tmp_path / "saved_model", SPEC, runtime="tensorflow-fp32")


WIDTH = 512


def save_deep(path, *, width=WIDTH, twice=False, wide=True):
    """x → width → width (→ width) → 1; the square products are large enough to be rounded."""
    rng = np.random.default_rng(0)
    weights = {
        "first": rng.normal(size=(1, width)),
        "square": rng.normal(size=(width, width)) / np.sqrt(width),
        "bias": rng.normal(size=width),
        "last": rng.normal(size=(width, 1)) / width,
    }
    nodes = [
        helper.make_node("Unsqueeze", ["x", "one"], ["column"]),
        helper.make_node("MatMul", ["column", "first"], ["h1"]),
        helper.make_node("Relu", ["h1"], ["a1"]),
        helper.make_node("Gemm", ["a1", "square", "bias"], ["h2"]),
        helper.make_node("Relu", ["h2"], ["a2"]),
        helper.make_node("Gemm", ["a2", "square", "bias"], ["h3"]),
        helper.make_node("MatMul", ["h3" if twice else "a2", "last"], ["sum"]),
        helper.make_node("Add", ["sum", "column" if wide else "one_half"], ["logit"]),
        helper.make_node("Squeeze", ["logit", "one"], ["score"]),
    ]
    constants = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()]
    constants.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    constants.append(numpy_helper.from_array(np.array([0.5], np.float32), "one_half"))
    graph = helper.make_graph(
        nodes if twice else [node for node in nodes if "h3" not in node.output],
        "deep",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, ["N"])],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def has_bf16():
    return "BF16" in openvino_core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


@pytest.mark.parametrize("twice", [False, True])
def test_bf16_rounds_the_large_products_and_nothing_else(tmp_path, twice):
    path = save_deep(tmp_path / "ranker.onnx", twice=twice)
    if not has_bf16():
        with pytest.raises(UnsupportedRuntimeError, match="no bf16 that OpenVINO uses"):
            open_ranker(path, SPEC, runtime="openvino-bf16")
        return
    x = 1 + np.random.default_rng(1).random(400, np.float32)
    exact, rounded = (open_ranker(path, SPEC, runtime=name).score({"x": x}) for name in (ALL[0], "openvino-bf16"))
    errors = np.abs(rounded - exact)
    # The logit adds x, which bf16 would move by up to 2**-8; the products, of which many are summed, less.
    assert 0 < errors.max() < 2**-9


@pytest.mark.parametrize(("shown", "head"), [(10, LEAST_HEAD), (50, 80)])
def test_the_best_rows_of_a_cascade_have_the_reference_s_scores(tmp_path, shown, head):
    path = save_deep(tmp_path / "ranker.onnx")
    if not has_bf16():
        with pytest.raises(UnsupportedRuntimeError, match="no bf16 that OpenVINO uses"):
            open_ranker(path, SPEC, runtime="openvino-bf16+fp32")
        return
    x = 1 + np.random.default_rng(1).random(400, np.float32)
    names = (ALL[0], "openvino-bf16", "openvino-bf16+fp32")
    exact, rounded, both = (open_ranker(path, SPEC, runtime=name).score({"x": x}, shown) for name in names)
    again = np.argsort(-rounded)[:head]
    np.testing.assert_allclose(both[again], exact[again], rtol=1e-6)
    rest = np.setdiff1d(np.arange(400), again)
    np.testing.assert_array_equal(both[rest], rounded[rest])


@pytest.mark.parametrize("name", [name for name in RUNTIMES if not name.startswith("tensorflow")])
def test_a_request_may_be_scored_in_parts_unless_the_runtime_says_otherwise(tmp_path, name):
    path = save_deep(tmp_path / "ranker.onnx")
    lacking = {"bf16": not has_bf16(), "int8": not multiplies_int8()}
    if lacking.get(RUNTIMES[name].precision):
        with pytest.raises(UnsupportedRuntimeError, match="no bf16 that OpenVINO uses|no exact int8 products"):
            open_ranker(path, SPEC, runtime=name)
        return
    x = 1 + np.random.default_rng(1).random(50, np.float32)
    model = write_model(name, tmp_path, tmp_path, RUNTIMES[name].file, [{"x": x}])
    ranker = open_ranker(model, SPEC, runtime=name)
    parts = np.concatenate([ranker.score({"x": x[start : start + 7]}, 10) for start in range(0, 50, 7)])
    assert (np.abs(parts - ranker.score({"x": x}, 10)).max() <= 1e-6) == RUNTIMES[name].by_row


def test_a_cascade_needs_the_reference_s_file_and_library(models, tmp_path, monkeypatch):
    (tmp_path / "ranker_static_int8.onnx").write_bytes((models / "ranker.onnx").read_bytes())
    monkeypatch.setattr(runtimes, "multiplies_int8", lambda: True)
    with pytest.raises(NotFoundError, match="no model at .*ranker.onnx"):
        open_ranker(tmp_path / "ranker_static_int8.onnx", tiny_release.spec(), runtime="openvino-int8+fp32")
    there = runtimes.importlib.util.find_spec
    monkeypatch.setattr(
        runtimes.importlib.util, "find_spec", lambda name: None if name == "onnxruntime" else there(name)
    )
    with pytest.raises(MissingExtraError, match="'openvino-bf16\\+fp32' needs the 'serve' extra"):
        open_ranker(models / "ranker.onnx", tiny_release.spec(), runtime="openvino-bf16+fp32")


def test_the_parts_are_cut_where_the_products_begin_that_lead_to_a_large_one(tmp_path):
    core = openvino_core()
    head, tail = split_at_large_product(core.read_model(save_deep(tmp_path / "ranker.onnx")))
    assert "MatMul" not in [node.get_type_name() for node in head.get_ordered_ops()]
    kinds = [node.get_type_name() for node in tail.get_ordered_ops()]
    assert (kinds.count("MatMul"), kinds.count("ReduceSum")) == (2, 1)
    assert len(head.outputs) == len(tail.inputs) == 2
    assert split_at_large_product(core.read_model(save_deep(tmp_path / "small.onnx", width=16))) is None


def test_a_small_first_product_keeps_its_precision(tmp_path):
    """The head and the tail, both run in fp32, give the model's scores: x·w is the sum of its three products."""
    core, x = openvino_core(), np.linspace(-3, 3, 50, dtype=np.float32)
    path = save_deep(tmp_path / "ranker.onnx")
    head, tail = split_at_large_product(core.read_model(path))
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    between = list(core.compile_model(head, "CPU", settings)([x]).values())
    (scores,) = core.compile_model(tail, "CPU", settings)(between).values()
    np.testing.assert_allclose(scores, open_ranker(path, SPEC).score({"x": x}), rtol=1e-4, atol=1e-4)
    high = between[[value.shape[-1] for value in between].index(3)][:, 0]
    assert (high.view(np.uint32) & 0xFFFF == 0).all()
    np.testing.assert_allclose(high, x, rtol=2**-7)  # OpenVINO cuts off what it does not keep


def test_a_runtime_that_is_not_there_says_how_to_get_it(models, monkeypatch):
    monkeypatch.setattr(runtimes.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="'openvino-bf16' needs the 'openvino' extra"):
        open_ranker(models / "ranker.onnx", tiny_release.spec(), runtime="openvino-bf16")


def test_int8_needs_a_cpu_that_has_it(models, monkeypatch):
    monkeypatch.setattr(runtimes, "multiplies_int8", lambda: False)
    with pytest.raises(UnsupportedRuntimeError, match="no exact int8 products, which 'onnxruntime-int8' needs"):
        open_ranker(models / "ranker.onnx", tiny_release.spec(), runtime="onnxruntime-int8")


def test_an_unknown_runtime_is_named(models):
    with pytest.raises(UnsupportedRuntimeError, match="no ranking runtime 'fast'; known are onnxruntime-fp32"):
        open_ranker(models / "ranker.onnx", tiny_release.spec(), runtime="fast")


def test_the_cpu_is_described():
    assert cpu_model()
    assert multiplies_int8() in (True, False)


def test_nothing_is_logged_while_it_works(models, caplog):
    with caplog.at_level(logging.WARNING):
        open_ranker(models / "ranker.onnx", tiny_release.spec()).score(inputs(3))
    assert caplog.records == []
