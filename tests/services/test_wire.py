import json

import numpy as np
import pytest
from friesian_services._pb import friesian_v1_pb2 as v1

from friesian_fast.errors import InvalidInputError, ReleaseMismatchError
from friesian_fast.recall import Filter, col, predicate_from_json
from friesian_fast.recommend import Candidates, Explanation, Recommendation
from friesian_services import wire
from friesian_services.errors import PreconditionError


@pytest.mark.parametrize("ids", [[], [1], [-(2**63), 0, 2**63 - 1]])
def test_int64_ids_go_there_and_back(ids):
    message = v1.Ids.FromString(wire.ids_to_message(np.array(ids, np.int64)).SerializeToString())
    got = wire.ids_from_message(message, "int64")
    assert got.dtype == np.int64
    assert got.tolist() == ids


@pytest.mark.parametrize("ids", [[], ["a"], ["", "é", "a" * 1000]])
def test_string_ids_go_there_and_back(ids):
    message = v1.Ids.FromString(wire.ids_to_message(ids).SerializeToString())
    assert wire.ids_from_message(message, "string") == ids


@pytest.mark.parametrize(
    ("asked", "id_type"),
    [
        (Filter(), "int64"),
        (Filter(allow=[], deny=[3, -(2**63)], seen=[[]]), "int64"),
        (Filter(allow=np.array([4]), seen=[[1, 2]], where='{"col": "x", "eq": 1}'), "int64"),
        (Filter(deny=["a", "é"], where=col("x").isin(["é", "b"])), "string"),
    ],
)
def test_filters_go_there_and_back(asked, id_type):
    """No list is not an empty list, and the condition stays text."""
    message = v1.Filter.FromString(wire.filter_to_message(asked, id_type).SerializeToString())
    got = wire.filter_from_message(message, id_type)
    for given, back in ((asked.allow, got.allow), (asked.deny, got.deny)):
        assert (back is None) if given is None else list(back) == list(given)
    assert [list(ids) for ids in got.seen or []] == [list(ids) for ids in asked.seen or []]
    assert (got.seen is None) == (asked.seen is None)
    if asked.where is None or isinstance(asked.where, str):
        assert got.where == asked.where
    else:
        assert predicate_from_json(got.where).to_json() == asked.where.to_json()


@pytest.mark.parametrize("name", ["allow", "deny", "seen"])
def test_filters_are_bounded(name):
    def sent(ids):
        return v1.Filter(**{name: v1.Ids(int64=v1.Int64s(values=ids))})

    assert wire.filter_from_message(sent(range(10_000)), "int64")
    with pytest.raises(InvalidInputError, match=f"filter.{name} has 10001 ids; send at most 10000"):
        wire.filter_from_message(sent(range(10_001)), "int64")
    with pytest.raises(InvalidInputError, match=f"filter.{name}: the ids are sent as int64, but .* are string"):
        wire.filter_from_message(sent([1]), "string")
    with pytest.raises(InvalidInputError, match="filter.where has 65537 characters; send at most 65536"):
        wire.filter_from_message(v1.Filter(where=" " * 65537), "int64")


def test_ids_of_the_other_type():
    with pytest.raises(InvalidInputError, match="sent as string, but those of this release are int64"):
        wire.ids_from_message(wire.ids_to_message(["a"]), "int64")


@pytest.mark.parametrize("ids", [[], [1, 2]])
def test_exactly_one_user(ids):
    with pytest.raises(InvalidInputError, match=f"exactly one user id is needed, not {len(ids)}"):
        wire.one_id(wire.ids_to_message(np.array(ids, np.int64)), "int64")


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64"])
@pytest.mark.parametrize("shape", [(0,), (3,), (2, 3), (0, 4)])
def test_tensors_go_there_and_back(dtype, shape):
    array = np.arange(np.prod(shape)).reshape(shape).astype(dtype)
    (message,) = wire.tensors_to_messages({"x": array})
    got = wire.tensors_from_messages([v1.Tensor.FromString(message.SerializeToString())])["x"]
    assert got.dtype == array.dtype
    np.testing.assert_array_equal(got, array)


def test_slices_are_packed():
    array = np.arange(12, dtype=np.int32).reshape(3, 4)[:, ::2]
    (message,) = wire.tensors_to_messages({"x": array})
    np.testing.assert_array_equal(wire.tensors_from_messages([message])["x"], array)


@pytest.mark.parametrize(
    ("message", "text"),
    [
        (v1.Tensor(name="x", dtype="object", shape=[1], data=b"12345678"), "type 'object'"),
        (v1.Tensor(name="x", dtype="int32", shape=[2], data=b"1234"), "4 bytes, which is not shape \\(2,\\)"),
        (v1.Tensor(name="x", dtype="int32", shape=[-1, -1], data=b"1234"), "not shape \\(-1, -1\\)"),
        (v1.Tensor(name="x", dtype="int32", shape=[], data=b"1234"), "not shape \\(\\)"),
        (v1.Tensor(name="x", dtype="int32", shape=[2**62, 2**62], data=b""), "0 bytes"),
    ],
)
def test_tensors_that_lie(message, text):
    with pytest.raises(InvalidInputError, match=text):
        wire.tensors_from_messages([message])


def test_a_tensor_twice():
    messages = wire.tensors_to_messages({"x": np.zeros(1, np.int32)}) * 2
    with pytest.raises(InvalidInputError, match="tensor 'x' is there twice"):
        wire.tensors_from_messages(messages)


def test_scores_of_another_length():
    scores = wire.floats_to_bytes(np.array([1, 2], np.float32))
    assert scores == b"\x00\x00\x80?\x00\x00\x00@"
    assert wire.floats_from_bytes(scores, 2).tolist() == [1, 2]
    with pytest.raises(InvalidInputError, match="8 bytes of scores are not 3"):
        wire.floats_from_bytes(scores, 3)


def test_the_originals_messages_hold_32_bits():
    assert wire.int32s(np.array([-(2**31), 2**31 - 1])).tolist() == [-(2**31), 2**31 - 1]
    for ids in (np.array([2**31]), np.array([-(2**31) - 1]), ["a"]):
        with pytest.raises(PreconditionError, match="friesian.v1"):
            wire.int32s(ids)


def test_another_release():
    wire.check_release("", "a")
    wire.check_release("a", "a")
    with pytest.raises(ReleaseMismatchError, match="for release b, but this server has a open"):
        wire.check_release("b", "a")


def test_fallback_metadata_is_short_ascii():
    def answer(why):
        return Recommendation(ids=[], scores=np.empty(0, np.float32), fallback=why)

    assert wire.fallback_metadata([answer(None)]) == ()
    got = wire.fallback_metadata([answer(None), answer("é\r\n\0" + "x" * 1000)] + [answer("y")] * 10)
    assert got[0][0] == "x-fallback"
    assert got[0][1].startswith("? ?xx")
    assert len(got[0][1]) == 300
    assert len(got) == 6
    assert got[-1][1] == "and 6 more of 12 users"


def test_an_explanation_travels_as_json():
    explanation = Explanation(
        candidates=["a", "b"],
        recall_scores=np.array([-np.inf, 1], np.float32),
        ranker_scores=np.array([0.25, np.nan], np.float32),
        scores=np.array([0.5, np.inf], np.float32),
        features={"tags": np.array([[1, 2], [3, 4]], np.int32), "x": np.array([[1, np.nan], [np.inf, 2]], np.float32)},
        seconds={"recommend.recall": 0.5},
        rules=("pins: item 'a' at place 1",),
    )
    answer = Recommendation(ids=["a"], scores=np.array([0.5], np.float32), explanation=explanation)
    assert json.loads(wire.recommendation(answer).explanation) == {
        "candidates": [
            {
                "id": "a",
                "recallScore": None,
                "rankerScore": 0.25,
                "score": 0.5,
                "features": {"tags": [1, 2], "x": [1.0, None]},
            },
            {
                "id": "b",
                "recallScore": 1.0,
                "rankerScore": None,
                "score": None,
                "features": {"tags": [3, 4], "x": [None, 2.0]},
            },
        ],
        "seconds": {"recommend.recall": 0.5},
        "rules": ["pins: item 'a' at place 1"],
    }
    plain = Recommendation(ids=["a"], scores=np.array([0.5], np.float32))
    assert wire.recommendation(plain).explanation == ""


def test_user_ids_are_bounded():
    wire.check_users(["x" * 1024, 5])
    with pytest.raises(InvalidInputError, match="a user id has 1025 characters; send at most 1024"):
        wire.check_users(["a", "x" * 1025])


def test_candidates_go_there_and_back():
    columns = {"affinity": np.array([0.5, -1.0], np.float32)}
    found = Candidates(ids=["a", "b"], scores=np.array([2.0, 1.0], np.float32), user_found=True, columns=columns)
    message = v1.CandidatesReply.FromString(wire.candidates_to_message(found, "r").SerializeToString())
    again = wire.candidates_from_message(message, "string")
    assert (again.ids, again.user_found, message.release_id) == (["a", "b"], True, "r")
    np.testing.assert_array_equal(again.scores, found.scores)
    np.testing.assert_array_equal(again.columns["affinity"], columns["affinity"])


@pytest.mark.parametrize("values", [np.zeros(3, np.float32), np.zeros(2), np.zeros((2, 1), np.float32)])
def test_columns_that_are_not_the_candidates_are_refused(values):
    message = v1.CandidatesReply(
        ids=wire.ids_to_message(["a", "b"]),
        scores=wire.floats_to_bytes(np.zeros(2, np.float32)),
        columns=wire.tensors_to_messages({"affinity": values}),
    )
    with pytest.raises(InvalidInputError, match=r"column 'affinity' of 2 candidates is .*; it must be float32"):
        wire.candidates_from_message(message, "string")
