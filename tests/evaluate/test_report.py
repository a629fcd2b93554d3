"""The report holds what the metrics say, leaves out what cannot be said, and its page needs nothing else."""

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate import Interval, Relevant, auc, gauc, mean, ndcg, top_lists
from friesian_fast.evaluate.page import html_page
from friesian_fast.evaluate.report import Predictions, make_report
from friesian_fast.evaluate.svg import bar_plot, histogram_plot, line_plot

USERS, ITEMS = 30, 40


@pytest.fixture(scope="module")
def given():
    rng = np.random.default_rng(0)
    wanted = rng.random((USERS, ITEMS)) < 0.1
    wanted[0] = False
    score = np.clip(0.2 + 0.4 * wanted + 0.2 * rng.random(wanted.shape), 0, 1)
    shown = rng.random(wanted.shape) < 0.6
    shown[1] = False
    user, item = np.nonzero(shown)
    return Predictions(
        users=USERS,
        items=ITEMS,
        user=user,
        item=item,
        score=score[shown],
        label=wanted[shown].astype(float),
        relevant=Relevant.from_pairs(*np.nonzero(wanted), users=USERS),
        user_history=rng.integers(0, 8, USERS),
        item_history=rng.integers(0, 30, ITEMS),
        vectors=rng.normal(size=(ITEMS, 4)),
    )


@pytest.fixture(scope="module")
def report(given):
    return make_report(given, ks=[5, 20], samples=50)


class Elements(HTMLParser):
    """Which tags a page opens, and whether it closes them all in order."""

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.outside = [], [], []

    def handle_starttag(self, tag, attrs):
        self.seen.append(tag)
        self.outside += [value for name, value in attrs if name in ("src", "href")]
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_the_report_holds_what_the_metrics_say(given, report):
    lists = top_lists(given.user, given.item, given.score, users=USERS, k=20)
    expected = mean(ndcg(given.relevant.hits(lists), given.relevant.totals, 5))
    assert report.ranking["ndcg@5"].value == pytest.approx(expected)
    assert report.curves["ndcg"][-1] == (20, pytest.approx(report.ranking["ndcg@20"].value))
    assert [k for k, _ in report.curves["map"]][:4] == [1, 2, 3, 4]
    assert report.pointwise["auc"].value == auc(given.label, given.score)
    assert report.pointwise["gauc"].value == pytest.approx(gauc(given.label, given.score, given.user).mean)
    assert set(report.pointwise) == {"auc", "gauc", "logloss", "ece"}
    assert report.bins.counts.sum() == len(given.user)
    assert {"coverage", "diversity", "novelty (bits)"} < set(report.lists)
    assert report.notes == []
    for interval in report.ranking.values():
        assert interval.low <= interval.value <= interval.high


def test_users_without_predictions_count_as_misses(given, report):
    counts = list(report.counts.values())
    assert counts[0] == (given.relevant.totals > 0).sum()
    assert counts[1:] == [1, 1, ITEMS]


def test_slices_part_the_users(report):
    users = report.slices["users by past interactions"]
    told = [int(name.split("(")[1].split()[0]) for name in users]
    assert sum(told) == report.counts["users with relevant items"]
    assert all(set(metrics) == {"recall@20", "ndcg@5"} for metrics in users.values())


def test_the_same_seed_gives_the_same_report(given, report):
    assert make_report(given, ks=[5, 20], samples=50).to_json() == report.to_json()
    assert make_report(given, ks=[5, 20], samples=50, seed=1).ranking != report.ranking


def test_the_json_has_no_nan(report):
    read = json.loads(json.dumps(report.to_json(), allow_nan=False))
    assert None in read["bins"]["predicted"]
    assert read["ranking"]["recall@5"]["confidence"] == 0.95


def test_what_is_not_given_is_left_out_and_said(given):
    bare = make_report(replace(given, label=None, user_history=None, vectors=None), ks=[3], samples=5)
    assert not bare.slices
    assert not bare.pointwise
    assert bare.bins is None
    assert len(bare.notes) == 2
    assert "diversity" not in bare.lists
    logits = make_report(replace(given, score=given.score * 9 - 3), ks=[3], samples=5)
    assert set(logits.pointwise) == {"auc", "gauc"}
    assert "no probabilities" in logits.notes[0]
    alone = make_report(replace(given, label=(given.user % 2).astype(float)), ks=[3], samples=20)
    assert "gauc" not in alone.pointwise
    assert "no GAUC" in alone.notes[0]
    for part in (bare, logits, alone):
        assert all(note in html_page(part) for note in part.notes)


def test_what_cannot_be_measured_is_refused(given):
    with pytest.raises(InvalidInputError, match="no user has a relevant item"):
        make_report(replace(given, relevant=given.relevant.of_items(np.zeros(ITEMS, bool))))
    with pytest.raises(InvalidInputError, match=r"ks are \[0\]"):
        make_report(given, ks=[0])


def test_the_page_is_whole_and_fetches_nothing(report):
    page = html_page(report, title="<b>Mine & yours</b>")
    parser = Elements()
    parser.feed(page)
    assert parser.open == []
    assert parser.outside == []
    assert parser.seen.count("svg") == 4
    assert not {"script", "link", "img", "b"} & set(parser.seen)
    assert "url(" not in page
    assert "@import" not in page
    assert "nan" not in page
    assert f"{report.ranking['ndcg@5'].value:.4f}" in page


def test_a_line_plot_places_its_points():
    svg = ET.fromstring(line_plot({"a<b": [(0.0, 0.0), (1.0, 1.0)]}, title="t&t", x_label="x", y_label="y"))
    assert svg.get("aria-label") == "t&t"
    line = next(element for element in svg.iter() if element.tag.endswith("polyline"))
    assert line.get("points") == "64.0,288.0 570.0,16.0"
    assert "a<b" in [element.text for element in svg.iter()]


def test_an_axis_may_begin_below_the_least_value():
    svg = line_plot({"auc": [(1.0, 0.71), (2.0, 0.78)]}, title="t", x_label="x", y_label="y", from_zero=False)
    line = next(element for element in ET.fromstring(svg).iter() if element.tag.endswith("polyline"))
    assert line.get("points") == "64.0,254.0 570.0,16.0"
    assert ">0.7<" in svg
    assert ">0.6<" not in svg
    assert ">1<" in svg
    assert ">2<" in svg
    assert ">1.5<" not in svg


@pytest.mark.parametrize("from_zero", [True, False])
@pytest.mark.parametrize(
    "points", [[(1.0, 0.3)], [(1.0, 0.0), (2.0, 0.0)], [(1.0, 3e-20), (900.0, 2e-6)], [(1.0, 0.7), (2.0, 0.7 + 1e-15)]]
)
def test_odd_ranges_stay_inside_the_drawing(points, from_zero):
    svg = ET.fromstring(line_plot({"one": points}, title="t", x_label="x", y_label="y", from_zero=from_zero))
    marks = [element for element in svg.iter() if element.tag.endswith("circle")]
    assert len(marks) == len(points)
    for mark in marks:
        assert 64 <= float(mark.get("cx")) <= 570
        assert 16 <= float(mark.get("cy")) <= 288


def test_a_bar_plot_draws_each_bar_with_its_interval():
    groups = {"new": {"m": Interval(0.5, 0.25, 1.0, 0.95)}, "old": {"m": Interval(0.0, 0.0, 0.0, 0.95)}}
    svg = ET.fromstring(bar_plot(groups, title="t", x_label="x", y_label="y"))
    heights = [float(element.get("height")) for element in svg.iter() if element.tag.endswith("rect")]
    assert heights == [136.0, 0.0, 12.0]


def test_a_histogram_has_a_bar_for_each_bin():
    bins = [(-1.0, 0.0, 10_000), (0.0, 1.0, 40_000), (3.0, 4.0, 1)]
    svg = ET.fromstring(histogram_plot(bins, title="t&t", x_label="x", y_label="rows"))
    bars = [element for element in svg.iter() if element.tag.endswith("rect")]
    heights = [float(bar.get("height")) for bar in bars]
    lefts = [float(bar.get("x")) for bar in bars]
    assert len(bars) == 3
    assert heights[0] == pytest.approx(heights[1] / 4, abs=0.1)
    assert lefts[2] - lefts[1] == pytest.approx(3 * (lefts[1] - lefts[0]), abs=0.2)
    assert "40k" in [element.text for element in svg.iter()]
