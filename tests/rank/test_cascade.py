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
    scores = CascadeRanker(cheap, exact, 2).score(inputs([5, 30, 1, 20, 9]), 1)
    np.testing.assert_array_equal(scores, np.array([0, 0.3, 0, 0.2, 0], np.float32))
    assert len(cheap.asked) == len(exact.asked) == 1
    again = exact.asked[0]
    assert sorted(again["x"]) == [20, 30]
    assert again["tags"] == [[x, -x] for x in again["x"]]


@pytest.mark.parametrize(("shown", "head"), [(1, 12), (7, 12), (8, 12), (10, 16), (15, 24)])
def test_the_head_holds_what_is_shown(shown, head):
    values = np.random.default_rng(0).permutation(50).astype(np.float32)
    exact = Noted(lambda x: x)
    scores = CascadeRanker(Noted(lambda x: x + 0.125), exact, 12).score(inputs(values), shown)
    assert sorted(exact.asked[0]["x"]) == list(range(50 - head, 50))
    best = np.argsort(-scores, kind="stable")[:head]
    np.testing.assert_array_equal(scores[best], np.sort(values)[::-1][:head])
    np.testing.assert_array_equal(scores[values < 50 - head - 1], values[values < 50 - head - 1] + 0.125)


@pytest.mark.parametrize("cheap", [lambda x: x + 0.5, lambda x: x * 0 + 9])
def test_no_cheap_score_stands_before_an_exact_one_be_it_as_high(cheap):
    scores = CascadeRanker(Noted(cheap), Noted(lambda x: x * 0 + 0.25), 12).score(inputs(range(50)), 3)
    assert (scores == 0.25).sum() == 12
    assert scores.max() == 0.25
    assert scores.dtype == np.float32


@pytest.mark.parametrize(("rows", "shown"), [(0, 1), (1, 1), (3, 1), (5, 1), (50, None), (50, 17), (50, 500)])
def test_where_the_head_is_most_of_it_all_rows_are_scored_exactly(rows, shown):
    cheap, exact = Noted(lambda x: x // 10), Noted(lambda x: x / 100)
    scores = CascadeRanker(cheap, exact, 3).score(inputs(range(rows)), shown)
    np.testing.assert_array_equal(scores, np.arange(rows, dtype=np.float32) / 100)
    assert (len(cheap.asked), len(exact.asked)) == (0, 1)


def test_the_cheap_scores_stay_the_ranker_s_own():
    kept = np.arange(5, dtype=np.float32)
    kept.flags.writeable = False
    scores = CascadeRanker(Noted(lambda x: kept), Noted(lambda x: x + 50), 2).score(inputs(range(5)), 1)
    np.testing.assert_array_equal(scores, [0, 1, 2, 53, 54])


@pytest.mark.parametrize("error", [InvalidInputError("no such input"), ReleaseError("NaN")])
@pytest.mark.parametrize("cheap_fails", [True, False])
def test_what_either_raises_is_raised(error, cheap_fails):
    def fail(x):
        raise error

    rankers = Noted(fail if cheap_fails else np.abs), Noted(np.abs if cheap_fails else fail)
    with pytest.raises(type(error), match=str(error)):
        CascadeRanker(*rankers, 2).score(inputs(range(5)), 1)
