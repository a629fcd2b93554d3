"""Tuning, the trees and the page, on small data; the real report is made by ``make report``."""

import json
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from tests.usecases.test_online_retail_features import CUT, random_sales

from friesian_fast.evaluate.bootstrap import Interval
from friesian_fast.usecases.online_retail import page, report
from friesian_fast.usecases.online_retail.baselines import FAMILIES, Tuned, tuned
from friesian_fast.usecases.online_retail.boosted import BoostedTrees
from friesian_fast.usecases.online_retail.evaluate import Truth, means, truth_of
from friesian_fast.usecases.online_retail.history import History
from friesian_fast.usecases.online_retail.page import METRICS, html_page, markdown
from friesian_fast.usecases.online_retail.report import RETRIEVED, SERVED, TREES, Findings, Newcomers, Peers
from friesian_fast.usecases.online_retail.served import Catalogue


def seen_from(sales, cut):
    before, after = sales[sales["time"] < cut], sales[sales["time"] >= cut]
    users, items = (pd.Index(np.sort(before[name].unique())) for name in ("user_id", "item_id"))
    pairs = after.loc[after["user_id"].isin(users), ["user_id", "item_id"]].drop_duplicates()
    return History(sales, cut, users, items), truth_of(pairs, users, items)


@pytest.mark.parametrize("family", [name for name in FAMILIES if name != "implicit ALS"])
def test_a_family_is_tuned_on_the_earlier_and_measured_on_the_later(family):
    sales = random_sales()
    earlier = seen_from(sales[sales["time"] < CUT], CUT - pd.Timedelta(days=30))
    later = seen_from(sales, CUT)
    found = tuned(FAMILIES[family], earlier, later)
    assert set(found.chosen) == set(found.values) == set(METRICS)
    assert found.tried > 1
    assert all(len(values) == len(later[1].users) for name, values in found.values.items() if name == "recall@50")
    assert 0 < means(found.values)["recall@50"] <= 1


def test_als_learns_from_history():
    history, truth = seen_from(random_sales(), CUT)
    ((name, scores),) = FAMILIES["implicit ALS"](history, truth.users, {"log orders, 128 factors, alpha 1, penalty 10"})
    assert name == "log orders, 128 factors, alpha 1, penalty 10"
    had = history.counts()[truth.users].toarray() > 0
    assert scores[had].mean() > scores[~had].mean()


def test_each_metric_takes_its_own_setting():
    truth = Truth(users=np.array([0]), bought=np.array([[True, False, True]]), totals=np.array([2]))
    history = SimpleNamespace(users=[0], items=[0, 1, 2], counts=lambda: SimpleNamespace(toarray=lambda: np.eye(1, 3)))

    def family(history, users, wanted):
        for name, scores in (("old", [3, 2, 1]), ("new", [1, 2, 3])):
            if wanted is None or name in wanted:
                yield name, np.array([scores], np.float32)

    found = tuned(family, (history, truth), (history, truth))
    assert found.chosen["new_ndcg@10"] == "new"
    assert found.values["new_ndcg@10"].tolist() == [1.0]
    assert found.tried == 2


def test_trees_learn_what_is_there():
    rng = np.random.default_rng(0)

    def rows(n):
        columns = {name: rng.normal(size=n).astype(np.float32) for name in ("a", "b")}
        return columns, (columns["a"] + 0.1 * rng.normal(size=n) > 0).astype(np.float32)

    trees = BoostedTrees(rows(2000), rows(1000), seed=0)
    columns, labels = rows(500)
    scores = trees.score(columns)
    assert trees.rounds > 0
    assert scores[labels > 0].mean() > 0.7 > 0.3 > scores[labels == 0].mean()


@pytest.fixture
def findings(monkeypatch):
    rng = np.random.default_rng(0)
    users, items = pd.Index(range(30)), pd.Index([f"i{n}" for n in range(60)])
    bought = rng.random((30, 60)) < 0.2
    owned = rng.random((30, 60)) < 0.1
    truth = Truth(users=np.arange(30), bought=bought, totals=bought.sum(axis=1))
    sales = pd.DataFrame(
        [(user, f"i{item}", f"{user}", f"<MUG> {item}", CUT) for user, item in zip(*np.nonzero(owned), strict=True)],
        columns=["user_id", "item_id", "invoice", "description", "time"],
    )
    level = {SERVED: 0.5, RETRIEVED: 0.4, "two-tower alone": 0.3, "popularity": 0.1, "EASE^R": 0.45, TREES: 0.6}
    values = {name: {metric: rng.normal(v, 0.01, 30) for metric in METRICS} for name, v in level.items()}
    chosen = dict.fromkeys(METRICS, "some setting")
    baselines = {name: Tuned(values=values[name], chosen=chosen, tried=3) for name in ("popularity", "EASE^R")}
    sure = Interval(0.8, 0.7, 0.9, 0.95)
    peers = Peers(ranker=sure, trees=sure, difference=Interval(-0.01, -0.02, 0.005, 0.95), rows=100)
    lists = rng.permuted(np.tile(np.arange(60), (10, 1)), axis=1)[:, :50]
    monkeypatch.setattr(page, "served_lists", lambda release, catalogue, users, *, hide_seen: lists[: len(users)])
    return Findings(
        release=SimpleNamespace(id="release-1"),
        catalogue=Catalogue(users=users, items=items, owned=owned),
        sales=sales,
        split=CUT,
        truth=truth,
        values=values,
        baselines=baselines,
        peers={"": peers, "new_": peers},
        trees="9 trees of 31 leaves",
        newcomers=Newcomers(users=7, values={"recall@50": np.full(7, 0.125)}),
    )


def test_the_page_shows_it_all_and_fetches_nothing(findings):
    html = html_page(findings, seed=0)
    assert not re.search(r"(src|href)=|@import|url\(", html)
    assert html.count("<h3>User ") == 10
    assert "<MUG>" not in html
    assert "&lt;mug&gt;" in html
    for text in (
        "served is better",
        "EASE^R",
        "some setting",
        "-0.0100 (-0.0200 to +0.0050)",
        "7 customers bought after the split for the first time",
        "recall@50 0.1250",
        "+25.",
        "release-1",
        "9 trees of 31 leaves",
        "two-tower alone",
        "did best after the split, on the rows that it is measured on",
        "of their difference by 1,000",
    ):
        assert text in html, text


def row_of(findings, start):
    """The only row of the Markdown that begins so, without what it begins with."""
    (row,) = (row for row in markdown(findings).splitlines() if row.startswith(f"| {start} | "))
    return row.removeprefix(f"| {start} | ").removesuffix(" |").split(" | ")


def values_around(mean, spread):
    """Thirty users whose mean is exact."""
    return np.tile([mean - spread, mean + spread], 15)


BASELINE_GOALS = {
    "recall@50": "recall@50 at least that of the best baseline, EASE^R",
    "ndcg@10": "NDCG@10 at least that of the best baseline, EASE^R",
    "new_recall@50": "recall@50, new items at least that of the best baseline, EASE^R",
    "new_ndcg@10": "NDCG@10, new items at least that of the best baseline, EASE^R",
}
DIFFERENCES = [
    (0.1, 0.01, "reached; the 95 % interval of the difference excludes 0", "served is better"),
    (0.001, 0.1, "reached, but within chance (the 95 % interval of the difference includes 0)", "no clear winner"),
    (0.0, 0.0, "reached, but within chance (the 95 % interval of the difference includes 0)", "no clear winner"),
    (-0.001, 0.1, "missed, but within chance (the 95 % interval of the difference includes 0)", "no clear winner"),
    (-0.1, 0.01, "missed; the 95 % interval of the difference excludes 0", "served is worse"),
]


@pytest.mark.parametrize(("mean", "spread", "told", "beside"), DIFFERENCES)
@pytest.mark.parametrize("metric", METRICS)
def test_a_goal_is_reached_by_the_mean_and_the_interval_is_told(findings, metric, mean, spread, told, beside):
    findings.values["EASE^R"][metric] = np.full(30, 0.5)
    findings.values[SERVED][metric] = 0.5 + values_around(mean, spread)
    difference, _, verdict = row_of(findings, BASELINE_GOALS[metric])
    assert (difference, verdict) == (f"{mean:+.4f}", told)
    head = dict(zip(METRICS, page.HEADS, strict=True))[metric]
    assert row_of(findings, f"{head} | EASE^R")[0::2] == [f"{mean:+.4f}", beside]
    findings.values[TREES][metric] = np.full(30, 0.5)
    assert row_of(findings, f"{head} | {TREES}")[0::2] == [f"{mean:+.4f}", beside]


@pytest.mark.parametrize(("mean", "spread", "told", "beside"), [row for row in DIFFERENCES if row[0]])
def test_the_rankers_gain_is_held_against_a_twentieth(findings, mean, spread, told, beside):
    findings.values[RETRIEVED]["ndcg@10"] = np.full(30, 0.4)
    findings.values[SERVED]["ndcg@10"] = 0.42 + values_around(mean, spread)
    difference, _, verdict = row_of(findings, "NDCG@10 at least 1.05 times that of the retrieval order")
    assert (difference, verdict) == (f"{mean:+.4f}", told)


@pytest.mark.parametrize(
    ("difference", "told"),
    [
        (Interval(-0.002, -0.0025, 0.001, 0.95), "reached; the 95 % interval of the difference excludes 0"),
        (
            Interval(-0.002, -0.01, 0.001, 0.95),
            "reached, but within chance (the 95 % interval of the difference includes 0)",
        ),
        (
            Interval(-0.004, -0.01, 0.001, 0.95),
            "missed, but within chance (the 95 % interval of the difference includes 0)",
        ),
        (Interval(-0.004, -0.01, -0.0031, 0.95), "missed; the 95 % interval of the difference excludes 0"),
    ],
)
def test_the_auc_may_be_a_little_below_that_of_the_trees(findings, difference, told):
    findings.peers[""] = replace(findings.peers[""], difference=difference)
    assert row_of(findings, "AUC at least LightGBM's less 0.003")[2] == told


def test_a_baseline_that_wins_is_shown_as_such(findings):
    findings.values["EASE^R"]["recall@50"][:] = 0.9
    difference, _, verdict = row_of(findings, "recall@50 | EASE^R")
    assert difference.startswith("-0.4")
    assert verdict == "served is worse"


def test_better_trees_are_shown_as_such(findings):
    rows = [row for row in markdown(findings).splitlines() if row.startswith(f"| recall@50 | {TREES} | -0.1")]
    assert len(rows) == 1
    assert "served is worse" in rows[0]
    assert f"| {TREES} | 0.6" in markdown(findings)


def test_the_report_is_written_whole(findings, tmp_path):
    assert page.write_report(findings, tmp_path / "out", 0) == tmp_path / "out" / "index.html"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["index.html", "report.json", "table.md"]


def test_goals_keep_their_names_whoever_is_the_rival(findings, tmp_path):
    def goals():
        page.write_report(findings, tmp_path, 0)
        return json.loads((tmp_path / "report.json").read_text())["goals"]

    before = goals()
    findings.values["popularity"]["recall@50"][:] = 0.9
    after = goals()
    assert list(after) == list(before)
    assert set(before) == {*(f"baseline_{metric}" for metric in METRICS), "retrieval_ndcg@10", "lightgbm_auc"}
    assert [told["baseline_recall@50"]["rival"] for told in (before, after)] == ["EASE^R", "popularity"]
    assert after["baseline_recall@50"]["verdict"] == "missed; the 95 % interval of the difference excludes 0"
    assert before["retrieval_ndcg@10"]["rival"] == RETRIEVED
    assert before["lightgbm_auc"]["margin"] == pytest.approx([-0.007, -0.017, 0.008])


def test_the_aucs_difference_is_drawn_as_often_as_the_page_says(monkeypatch):
    """What is drawn is counted; the release and its trees are stood in for."""
    counted = []

    def difference(labels, scores, others, users, **options):
        counted.append(options["samples"])
        return Interval(0.0, 0.0, 0.0, 0.95)

    ranked = report._Ranked(
        owner=np.repeat(np.arange(4), 5),
        items=np.tile(np.arange(5), 4),
        labels=np.tile(np.float32([1, 0, 0, 1, 0]), 4),
        scores=np.linspace(0, 1, 20, dtype=np.float32),
        features={},
    )
    monkeypatch.setattr(report, "bootstrap_auc_difference", difference)
    monkeypatch.setattr(report, "_ranked", lambda *given, **options: ranked)
    monkeypatch.setattr(report, "examples", lambda *given: None)
    trees = SimpleNamespace(score=lambda features: ranked.scores, rounds=1, leaves=2, names=["a"])
    monkeypatch.setattr(report, "BoostedTrees", lambda *given, **options: trees)
    bought = np.tile([True, False, False, True, False], (4, 1))
    truth = Truth(users=np.arange(4), bought=bought, totals=bought.sum(axis=1))
    catalogue = SimpleNamespace(owned=np.zeros((4, 5), np.bool_))
    report._peers(SimpleNamespace(spec=None), catalogue, truth, None, CUT, 0)
    assert counted == [report.AUC_DRAWS] * 2
