import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from tests.services import tiny_release

from friesian_fast.errors import InvalidInputError, NotFoundError, ReleaseError, SchemaMismatchError
from friesian_fast.rank import OnnxRanker
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet

SPEC = FeatureSpec(
    name="one",
    row_sets=(RowSet(name="item", id_column="id", id_type="int64", columns=(Column(name="x", type="float32"),)),),
    model_inputs=(ModelInput(name="x", row_set="item", column="x"),),
)


def save(path, nodes, *, input_type=TensorProto.FLOAT, input_shape=("N",), outputs=(("score", ["N"]),)):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", input_type, list(input_shape))],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.fixture(scope="module")
def ranker(tmp_path_factory):
    path = tmp_path_factory.mktemp("ranker") / "ranker.onnx"
    tiny_release.save_model(path)
    return OnnxRanker(path, tiny_release.spec())


def inputs(n):
    rng = np.random.default_rng(n)
    return {
        "user_age": rng.integers(0, 100, n, np.int32),
        "spend": rng.random(n, np.float32),
        "price": rng.random(n, np.float32),
        "tags": rng.integers(0, 10, (n, 3), np.int32),
        "genre": rng.integers(0, 20, n, np.int32),
    }


@pytest.mark.parametrize("n", [1, 2, 50, 1000])
def test_scores_are_the_models(ranker, n):
    given = inputs(n)
    scores = ranker.score(given)
    assert scores.dtype == np.float32
    wanted = tiny_release.expected_scores(
        given["user_age"], given["spend"], given["price"], given["tags"], given["genre"]
    )
    np.testing.assert_allclose(scores, wanted, rtol=1e-5)


def test_no_rows_give_no_scores(ranker):
    assert ranker.score(inputs(0)).shape == (0,)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"price": None}, "missing \\['price'\\]"),
        ({"more": np.zeros(4, np.float32)}, "too many \\['more'\\]"),
        ({"price": np.zeros(4, np.float64)}, "input 'price' is float64.*must be float32 of shape \\(4,\\)"),
        ({"price": np.zeros(3, np.float32)}, "shape \\(3,\\).*shape \\(4,\\)"),
        ({"tags": np.zeros((4, 2), np.int32)}, "shape \\(4, 3\\)"),
        ({"genre": np.full(4, 20, np.int32)}, "refuses these 4 rows"),
    ],
)
def test_inputs_that_do_not_fit(ranker, change, message):
    given = {name: value for name, value in {**inputs(4), **change}.items() if value is not None}
    with pytest.raises(InvalidInputError, match=message):
        ranker.score(given)


def test_nan_is_an_error_with_a_name(ranker):
    given = inputs(4)
    given["price"][2] = np.nan
    with pytest.raises(ReleaseError, match="1 of 4 scores are NaN"):
        ranker.score(given)


def test_missing_file(tmp_path):
    with pytest.raises(NotFoundError, match="no model at .*gone.onnx"):
        OnnxRanker(tmp_path / "gone.onnx", SPEC)


def test_a_file_that_is_no_model(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"no model")
    with pytest.raises(ReleaseError, match="bad.onnx is no model"):
        OnnxRanker(tmp_path / "bad.onnx", SPEC)


IDENTITY = helper.make_node("Identity", ["x"], ["score"])


def test_another_input_type(tmp_path):
    cast = helper.make_node("Cast", ["x"], ["score"], to=TensorProto.FLOAT)
    path = save(tmp_path / "r.onnx", [cast], input_type=TensorProto.INT64)
    with pytest.raises(SchemaMismatchError, match="input 'x' is int64, but column 'x' is float32"):
        OnnxRanker(path, SPEC)


def test_another_input_rank(tmp_path):
    path = save(tmp_path / "r.onnx", [IDENTITY], input_shape=("N", 1), outputs=[("score", ["N", 1])])
    with pytest.raises(SchemaMismatchError, match="2 dimensions.*gives 1"):
        OnnxRanker(path, SPEC)


def test_other_input_names(tmp_path):
    path = save(tmp_path / "r.onnx", [IDENTITY])
    with pytest.raises(SchemaMismatchError, match="too many \\['x'\\], missing \\['genre'"):
        OnnxRanker(path, tiny_release.spec())


def test_two_outputs(tmp_path):
    nodes = [IDENTITY, helper.make_node("Identity", ["x"], ["more"])]
    path = save(tmp_path / "r.onnx", nodes, outputs=[("score", ["N"]), ("more", ["N"])])
    with pytest.raises(ReleaseError, match="2 outputs \\(score, more\\)"):
        OnnxRanker(path, SPEC)


def test_an_output_that_is_not_one_score_per_row(tmp_path):
    nodes = [helper.make_node("Concat", ["x", "x"], ["score"], axis=0)]
    path = save(tmp_path / "r.onnx", nodes, outputs=[("score", ["M"])])
    with pytest.raises(ReleaseError, match="answered shape \\(2,\\) for 1 rows"):
        OnnxRanker(path, SPEC)


def test_a_refused_id_is_an_error_and_no_line_of_the_runtimes(ranker, capfd):
    """Of ten thousand requests, each would write one."""
    with pytest.raises(InvalidInputError, match="refuses these 4 rows.*Gather"):
        ranker.score(inputs(4) | {"genre": np.full(4, 20, np.int32)})
    assert capfd.readouterr() == ("", "")
