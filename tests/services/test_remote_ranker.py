"""Scores over the wire: what is shown goes along, and a request is split only where that changes no score."""

from types import SimpleNamespace

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.rank import RUNTIMES, CascadeRanker
from friesian_fast.release.open import open_release
from friesian_services.client import Remote, RemoteRanker
from friesian_services.config import RecommenderConfig
from friesian_services.ranking.servicer import ScoresServicer
from friesian_services.recommender.__main__ import build
from friesian_services.timers import Timers
from friesian_services.wiring import rows_per_call

X = np.random.default_rng(0).permutation(50).astype(np.float32)


class Noted:
    """Scores by a function of `x`, and keeps how many rows it was asked for and what of them is shown."""

    def __init__(self, score):
        self._score = score
        self.asked = []

    def score(self, inputs, shown=None):
        self.asked.append((len(inputs["x"]), shown))
        return self._score(inputs["x"]).astype(np.float32)


class Here:
    """The stub of a service in this process."""

    def __init__(self, ranker):
        servicer = ScoresServicer(ranker, "r1", Timers())
        self.Predict = lambda request, **limits: servicer.Predict(request, None)
        self.Predict.future = lambda request, **limits: SimpleNamespace(result=lambda: servicer.Predict(request, None))


def remote(ranker, batch=0):
    found = RemoteRanker(Remote("ranking", "here", SimpleNamespace(unary_unary=lambda *_, **__: None)), "r1", batch)
    found._stub = Here(ranker)
    return found


@pytest.mark.parametrize("shown", [None, 7])
def test_what_is_shown_goes_along(shown):
    ranker = Noted(np.sqrt)
    np.testing.assert_array_equal(remote(ranker).score({"x": X}, shown), np.sqrt(X))
    assert ranker.asked == [(50, shown)]


def test_parts_of_a_request_have_all_their_scores_looked_at():
    """Whoever splits what a cascade scores gets exact scores, not the head of each part."""
    cheap, exact = Noted(lambda x: x // 10), Noted(np.sqrt)
    np.testing.assert_array_equal(remote(CascadeRanker(cheap, exact, 2), 20).score({"x": X}, 3), np.sqrt(X))
    assert (cheap.asked, exact.asked) == ([], [(20, None), (20, None), (10, None)])


@pytest.mark.parametrize("runtime", [*RUNTIMES, "of-a-later-version"])
def test_a_request_is_split_only_where_that_changes_no_score(runtime, caplog):
    release = SimpleNamespace(id="r1", manifest=SimpleNamespace(ranker=SimpleNamespace(runtime=runtime)))
    splits = runtime in ("onnxruntime-fp32", "openvino-fp32", "openvino-bf16", "openvino-int8", "tensorflow-fp32")
    assert rows_per_call(release, 0) == 0
    assert caplog.text == ""
    assert rows_per_call(release, 7) == (7 if splits else 0)
    assert ("inferenceBatch: 7 is not used" in caplog.text) != splits


def test_the_recommender_splits_as_its_settings_say(releases):
    settings = RecommenderConfig(release_path=str(releases), inference_batch=7)
    recommender, _ = build(open_release(releases), settings, Timers())
    assert recommender._ranker._batch == 7


def test_too_few_scores_are_an_error():
    with pytest.raises(InvalidInputError):
        remote(Noted(lambda x: x[1:])).score({"x": X})
