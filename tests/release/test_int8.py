"""The int8 ranker of ONNX Runtime: all rows with few bits, the head with more, in one run."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from friesian_fast.errors import InvalidInputError, ReleaseError, SchemaMismatchError, UnsupportedRuntimeError
from friesian_fast.rank import OnnxHeadRanker, OnnxRanker
from friesian_fast.rank.cpu import multiplies_int8
from friesian_fast.release.int8 import write_int8
from friesian_fast.release.ranker_files import write_model
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet

WIDTH = 512
SPEC = FeatureSpec(
    name="two",
    row_sets=(
        RowSet(
            name="item",
            id_column="id",
            id_type="int64",
            columns=(
                Column(name="x", type="float32", kind="fixed", length=8),
                Column(name="genre", type="int32", size=20),
            ),
        ),
    ),
    model_inputs=tuple(ModelInput(name=name, row_set="item", column=name) for name in ("x", "genre")),
)
pytestmark = pytest.mark.skipif(not multiplies_int8(), reason="this CPU has no exact int8 products (CI's has)")

node = helper.make_node
SQUARE = ["square", "bias"]


def inside(nodes):
    """A graph for an If: it takes what it wants from around it, and answers what its last node makes."""
    return helper.make_graph(nodes, "inside", [], [helper.make_empty_tensor_value_info(nodes[-1].output[0])])


def constant(name, value):
    return node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value)))


ENDS = {
    "one": [node("Gemm", ["a1", *SQUARE], ["h"]), node("Relu", ["h"], ["end"])],
    "no bias": [node("MatMul", ["a1", "square"], ["h"]), node("Relu", ["h"], ["end"])],
    "one after the other": [
        node("Gemm", ["a1", *SQUARE], ["h"]),
        node("Relu", ["h"], ["a2"]),
        node("Gemm", ["a2", *SQUARE], ["h2"]),
        node("Relu", ["h2"], ["end"]),
    ],
    "side by side": [
        node("Gemm", ["a1", *SQUARE], ["h"]),
        node("Neg", ["a1"], ["minus"]),
        node("Gemm", ["minus", *SQUARE], ["h2"]),
        node("Mul", ["h", "h2"], ["mixed"]),
        node("Tanh", ["mixed"], ["end"]),
    ],
    "three dimensions": [
        node("Unsqueeze", ["a1", "one"], ["a3"]),
        node("MatMul", ["a3", "square"], ["h"]),
        node("Squeeze", ["h", "one"], ["end"]),
    ],
    "weights the other way": [  # as PyTorch has them
        node("Gemm", ["a1", *SQUARE], ["h"], transB=1, alpha=1.0, beta=1.0),
        node("Relu", ["h"], ["end"]),
    ],
    "Gemm without bias": [node("Gemm", ["a1", "square"], ["h"]), node("Relu", ["h"], ["end"])],
    "outputs and inputs left out": [
        node("Gemm", ["a1", *SQUARE], ["h"]),
        node("LayerNormalization", ["h", "bias", "bias"], ["normal", "", "spread"], axis=-1),
        constant("most", np.float32(0.5)),
        node("Clip", ["a1", "", "most"], ["cut"]),
        node("Add", ["normal", "cut"], ["sum of both"]),
        node("Relu", ["sum of both"], ["end"]),
    ],
    "names that look like parts": [
        node("Gemm", ["a1", *SQUARE], ["h"]),
        node("Relu", ["a1"], ["h/head"]),
        node("Relu", ["h"], ["h/weights"]),
        node("Add", ["h/head", "h/weights"], ["a1/head"]),
        node("Tanh", ["a1/head"], ["end"]),
    ],
    "an If that takes from around it": [
        node("Gemm", ["a1", *SQUARE], ["h"]),
        node("Neg", ["a1"], ["minus"]),
        constant("yes", True),
        node(
            "If",
            ["yes"],
            ["end"],
            then_branch=inside([node("Sub", ["h", "minus"], ["mixed"]), node("Relu", ["mixed"], ["positive"])]),
            else_branch=inside([node("Add", ["h", "bias"], ["more"])]),
        ),
    ],
    "a part that is the same for all rows": [
        node("ReduceMean", ["a1"], ["mean"], axes=[0], keepdims=1),
        node("Gemm", ["mean", *SQUARE], ["h"]),
        node("Mul", ["h", "a1"], ["mixed"]),
        node("Gemm", ["mixed", *SQUARE], ["h2"]),
        node("Relu", ["h2"], ["end"]),
    ],
    "as long as itself": [
        node("Gemm", ["a1", *SQUARE], ["h"]),
        node("Shape", ["h"], ["shape"]),
        node("Reshape", ["h", "shape"], ["again"]),
        constant("two", np.float32(2)),
        node("Mul", ["again", "two"], ["end"]),
    ],
    "compared with the mean of the rows": [
        node("Gemm", ["a1", *SQUARE], ["h"]),
        node("ReduceMean", ["a1"], ["mean"], axes=[0], keepdims=1),
        node("Sub", ["h", "mean"], ["less"]),
        node("Relu", ["less"], ["end"]),
    ],
}

REFUSED = {
    "three dimensions": (ENDS.pop("three dimensions"), "'a3', which a large product takes, has 3 dimensions"),
    "rows that stand in columns": (
        [
            node("Gemm", ["a1", *SQUARE], ["h"]),
            node("Transpose", ["h"], ["turned"], perm=[1, 0]),
            node("Transpose", ["a1"], ["other"], perm=[1, 0]),
            node("Mul", ["turned", "other"], ["mixed"]),
            node("Transpose", ["mixed"], ["end"], perm=[1, 0]),
        ],
        "'other' follows the number of rows",
    ),
    "as long as the inputs": (
        [
            node("Gemm", ["a1", *SQUARE], ["h"]),
            node("Shape", ["a1"], ["shape"]),
            node("Reshape", ["h", "shape"], ["end"]),
        ],
        "'shape' follows the number of rows",
    ),
    "a product for nothing": (
        [node("Gemm", ["a1", *SQUARE], ["h"]), node("Relu", ["a1"], ["end"])],
        "no large product has a part in the score",
    ),
    "compared with the mean of the products": (
        [
            node("Gemm", ["a1", *SQUARE], ["h"]),
            node("ReduceMean", ["h"], ["mean"], axes=[0], keepdims=1),
            node("Sub", ["h", "mean"], ["end"]),
        ],
        "a row's score depends on those beside it",
    ),
    "a number for each row's place": (
        [
            node("Gemm", ["a1", *SQUARE], ["h"]),
            constant("first column", np.array([0])),
            node("Gather", ["h", "first column"], ["one each"], axis=1),
            constant("row", np.int64(0)),
            node("CumSum", ["one each", "row"], ["so far"]),
            node("Add", ["h", "so far"], ["end"]),
        ],
        "a row's score depends on those beside it",
    ),
    "our names": (
        [node("Gemm", ["a1", *SQUARE], ["friesian/h"]), node("Relu", ["friesian/h"], ["end"])],
        "has a tensor 'friesian/h'",
    ),
    "another bias for each row": ([node("Gemm", ["a1", "square", "a1"], ["end"])], "no product large enough"),
    "a factor": ([node("Gemm", ["a1", *SQUARE], ["end"], alpha=2.0)], "no product large enough"),
    "inputs the other way": (
        [node("Transpose", ["a1"], ["t"], perm=[1, 0]), node("Gemm", ["t", *SQUARE], ["end"], transA=1)],
        "no product large enough",
    ),
}


def save(path, ending="one", *, shape=("N",), width=WIDTH, opset=17):
    """x and a taste of its genre → width → `ending` → 1, and the taste again."""
    rng = np.random.default_rng(0)
    weights = {
        "tastes": rng.normal(size=(20, 1)),
        "first": rng.normal(size=(9, width)) / 3,
        "square": rng.normal(size=(width, width)) / np.sqrt(width),
        "bias": rng.normal(size=width),
        "last": rng.normal(size=(width, 1)) / width,
    }
    nodes = [
        node("Gather", ["tastes", "genre"], ["taste"]),
        node("Concat", ["x", "taste"], ["features"], axis=1),
        node("MatMul", ["features", "first"], ["h1"]),
        node("Relu", ["h1"], ["a1"]),
        *(ENDS[ending] if ending in ENDS else REFUSED[ending][0]),
        node("MatMul", ["end", "last"], ["sum"]),
        node("Mul", ["taste", "tenth"], ["wide"]),
        node("Add", ["sum", "wide"], ["logit"]),
        node("Sigmoid", ["logit"], ["score" if len(shape) == 2 else "column"]),
        *([] if len(shape) == 2 else [node("Squeeze", ["column", "one"], ["score"])]),
    ]
    constants = [numpy_helper.from_array(values.astype(np.float32), name) for name, values in weights.items()]
    constants.append(numpy_helper.from_array(np.array([1], np.int64), "one"))
    constants.append(numpy_helper.from_array(np.array([0.1], np.float32), "tenth"))
    graph = helper.make_graph(
        nodes,
        "deep",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 8]),
            helper.make_tensor_value_info("genre", TensorProto.INT32, ["N"]),
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, list(shape))],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9), path)
    return path


def rows(n, seed=1):
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(n, 8)).astype(np.float32), "genre": rng.integers(0, 20, n, np.int32)}


def both(tmp_path, *, exact=False, **how):
    """The model as it was exported, and in int8."""
    model, path = save(tmp_path / "ranker.onnx", **how), tmp_path / "int8.onnx"
    write_int8(model, path, [rows(30, seed) for seed in range(10, 40)], exact=exact)
    return OnnxRanker(model, SPEC), OnnxHeadRanker(path, SPEC)


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize("ending", ENDS)
def test_the_head_is_scored_more_exactly_than_the_rest(tmp_path, ending, exact):
    reference, ranker = both(tmp_path, ending=ending, exact=exact)
    given = rows(200)
    wanted, scores, rough = reference.score(given), ranker.score(given, 10), ranker.score(given, 1)
    assert (scores.dtype, scores.shape) == (np.float32, (200,))
    errors = np.abs(scores - wanted)
    head = np.argsort(-scores)[:16]
    rest = np.setdiff1d(np.arange(200), head)
    # The codes of a mean over all rows are those of the rough product: here and there, all rows are looked at.
    assert 0 < errors[rest].max() < 0.02
    assert errors[head].max() <= (2e-6 if exact else errors[rest].max() / 3)
    assert scores[rest].max() < scores[head].min()
    assert set(np.argsort(-wanted)[:10]) <= set(head)
    np.testing.assert_array_equal(rough, scores)  # the head is 16 rows at least


@pytest.mark.parametrize("exact", [False, True])
def test_where_all_scores_are_looked_at_all_rows_are_the_head(tmp_path, exact):
    reference, ranker = both(tmp_path, exact=exact)
    for n in (1, 15, 16, 17, 300):
        given = rows(n)
        wanted, scores = reference.score(given), ranker.score(given)
        np.testing.assert_allclose(scores, wanted, rtol=0, atol=2e-6 if exact else 5e-4)
        np.testing.assert_array_equal(ranker.score(given, n), scores)
    assert ranker.score(rows(0)).shape == (0,)


def test_weights_are_rounded_with_regard_to_real_inputs(tmp_path):
    """Calibrated on rows like those that come, the error of a score is far less than on rows of nothing."""
    model, given = save(tmp_path / "ranker.onnx"), rows(500)
    wanted, errors = OnnxRanker(model, SPEC).score(given), []
    for number, requests in enumerate(
        ([rows(30, seed) for seed in range(10, 40)], [{**rows(30), "x": given["x"][:30] * 0}])
    ):
        path = tmp_path / f"{number}.onnx"
        write_int8(model, path, requests, exact=False)
        errors.append(np.abs(OnnxHeadRanker(path, SPEC).score(given) - wanted).mean())
    assert errors[0] < errors[1] / 1.5


def test_answers_in_one_column_and_wrong_inputs(tmp_path):
    reference, ranker = both(tmp_path, shape=("N", 1))
    given = rows(40)
    np.testing.assert_allclose(ranker.score(given, 40), reference.score(given), rtol=0, atol=5e-4)
    with pytest.raises(InvalidInputError, match="input 'x' is float64"):
        ranker.score({**rows(4), "x": np.zeros((4, 8))})
    with pytest.raises(InvalidInputError, match="refuses these 4 rows"):
        ranker.score({**rows(4), "genre": np.full(4, 20, np.int32)})


@pytest.mark.parametrize("ending", ["one", "one after the other", "side by side"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("row", [3, "best", "worst"])
def test_no_row_with_nan_gets_a_score(tmp_path, ending, value, row):
    """Codes of 8 bits know no NaN: the product would answer something."""
    _, ranker = both(tmp_path, ending=ending)
    given = rows(40)
    order = np.argsort(ranker.score(given))
    given["x"][{"best": order[-1], "worst": order[0]}.get(row, row), 3] = value
    for shown in (10, None):
        with pytest.raises(ReleaseError, match="1 of 40 scores are NaN" if np.isnan(value) else "of 40 scores are NaN"):
            ranker.score(given, shown)


def test_only_such_a_model_is_taken(tmp_path):
    path = save(tmp_path / "ranker.onnx")
    with pytest.raises(ReleaseError, match="does not score the best rows again; publish again"):
        OnnxHeadRanker(path, SPEC)
    write_int8(path, tmp_path / "int8.onnx", [rows(9)], exact=False)
    with pytest.raises(SchemaMismatchError, match="friesian/head"):
        OnnxRanker(tmp_path / "int8.onnx", SPEC)
    with pytest.raises(UnsupportedRuntimeError, match="no product large enough"):
        write_int8(save(tmp_path / "small.onnx", width=16), tmp_path / "small8.onnx", [rows(9)], exact=False)
    with pytest.raises(UnsupportedRuntimeError, match="of opset 12; int8 needs 13"):
        write_int8(save(tmp_path / "old.onnx", opset=12), tmp_path / "old8.onnx", [rows(9)], exact=False)


@pytest.mark.parametrize("ending", REFUSED)
def test_what_cannot_be_scored_apart_is_refused(tmp_path, ending):
    path = save(tmp_path / "ranker.onnx", ending)
    OnnxRanker(path, SPEC).score(rows(3))
    with pytest.raises(UnsupportedRuntimeError, match=REFUSED[ending][1]):
        write_int8(path, tmp_path / "int8.onnx", [rows(9)], exact=True)


@pytest.mark.parametrize("ending", ["weights the other way", "Gemm without bias", "no bias"])
def test_static_int8_takes_the_same_products(tmp_path, ending):
    path, given = save(tmp_path / "ranker.onnx", ending), rows(100)
    write_model("openvino-int8", tmp_path, tmp_path, "int8.onnx", [given])
    assert (tmp_path / "int8.onnx").stat().st_size < path.stat().st_size * 0.4
    errors = np.abs(OnnxRanker(tmp_path / "int8.onnx", SPEC).score(given) - OnnxRanker(path, SPEC).score(given))
    assert 0 < errors.max() < 0.02


@pytest.mark.parametrize("version", [3, 9])
def test_constants_that_are_inputs_too(tmp_path, version):
    """As files have them whose callers might replace a constant; before version 4 all have."""
    path = save(tmp_path / "ranker.onnx")
    model = onnx.load(path)
    model.ir_version = version
    model.graph.input.extend(
        helper.make_tensor_value_info(held.name, held.data_type, held.dims) for held in model.graph.initializer
    )
    onnx.save(model, path)
    write_int8(path, tmp_path / "int8.onnx", [rows(30)], exact=True)
    given = rows(100)
    scores, wanted = OnnxHeadRanker(tmp_path / "int8.onnx", SPEC).score(given, 10), OnnxRanker(path, SPEC).score(given)
    np.testing.assert_allclose(np.sort(scores)[-10:], np.sort(wanted)[-10:], rtol=0, atol=2e-6)


def test_a_product_of_very_many_inputs_is_rounded_to_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setattr("friesian_fast.release.int8._MOST_INPUTS", WIDTH - 1)
    reference, ranker = both(tmp_path)
    given = rows(100)
    np.testing.assert_allclose(ranker.score(given), reference.score(given), rtol=0, atol=3e-3)


def test_the_file_holds_a_quarter_of_the_large_weights(tmp_path):
    both(tmp_path)
    assert (tmp_path / "int8.onnx").stat().st_size < (tmp_path / "ranker.onnx").stat().st_size * 0.3


def test_threads_at_once_get_their_own_scores(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    _, ranker = both(tmp_path)
    alone = {n: ranker.score(rows(n), 10) for n in range(1, 40)}
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda n: ranker.score(rows(n), 10), list(alone) * 5))
    for n, scores in zip(list(alone) * 5, together, strict=True):
        np.testing.assert_array_equal(scores, alone[n])
