"""A cheap ranker for all rows and an exact one for the best of them answer as one."""

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError, ReleaseError
from friesian_fast.rank import CascadeRanker


class Noted:
    """Scores by a function of `x`, and keeps what it was asked."""

    def __init__(self, score):
        self._score = score
        self.asked = []

    def score(self, inputs):
        self.asked.append({name: array.tolist() for name, array in inputs.items()})
        return self._score(inputs["x"]).astype(np.float32)


def inputs(x):
    x = np.asarray(x, np.float32)
    return {"x": x, "tags": np.stack([x, -x], axis=1)}


def test_the_best_of_the_cheap_scores_are_scored_again():
    cheap, exact = Noted(lambda x: x // 10), Noted(lambda x: x / 100)
    scores = CascadeRanker(cheap, exact, 2).score(inputs([5, 30, 1, 20, 9]))
    np.testing.assert_array_equal(scores, np.array([0, 0.3, 0, 0.2, 0], np.float32))
    assert len(cheap.asked) == len(exact.asked) == 1
    again = exact.asked[0]
    assert sorted(again["x"]) == [20, 30]
    assert again["tags"] == [[x, -x] for x in again["x"]]


def test_no_cheap_score_outranks_an_exact_one():
    exact = np.linspace(1, 0, 50)
    scores = CascadeRanker(Noted(lambda x: x + 0.1), Noted(lambda x: x), 12).score(inputs(exact))
    np.testing.assert_array_equal(np.argsort(-scores, kind="stable")[:12], np.arange(12))
    assert scores[12:].max() <= scores[:12].min()
    np.testing.assert_array_equal(np.sort(scores[14:])[::-1], scores[14:])


@pytest.mark.parametrize("n", [0, 1, 3])
def test_few_rows_are_scored_exactly_alone(n):
    cheap, exact = Noted(lambda x: x // 10), Noted(lambda x: x / 100)
    scores = CascadeRanker(cheap, exact, 3).score(inputs(range(n)))
    np.testing.assert_array_equal(scores, np.arange(n, dtype=np.float32) / 100)
    assert (len(cheap.asked), len(exact.asked)) == (0, 1)


def test_the_cheap_scores_stay_the_ranker_s_own():
    kept = np.arange(5, dtype=np.float32)
    kept.flags.writeable = False
    scores = CascadeRanker(Noted(lambda x: kept), Noted(lambda x: x + 50), 2).score(inputs(range(5)))
    np.testing.assert_array_equal(scores, [0, 1, 2, 53, 54])


@pytest.mark.parametrize("error", [InvalidInputError("no such input"), ReleaseError("NaN")])
@pytest.mark.parametrize("cheap_fails", [True, False])
def test_what_either_raises_is_raised(error, cheap_fails):
    def fail(x):
        raise error

    rankers = Noted(fail if cheap_fails else np.abs), Noted(np.abs if cheap_fails else fail)
    with pytest.raises(type(error), match=str(error)):
        CascadeRanker(*rankers, 2).score(inputs(range(5)))
