"""The page of the use case: the data, the split, the table, the rankers, ten users; and the table as Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

import numpy as np

from friesian_fast._files import replacing
from friesian_fast.evaluate.bootstrap import Interval, bootstrap_mean
from friesian_fast.evaluate.page import document, goal_verdict, html_table
from friesian_fast.evaluate.svg import bar_plot
from friesian_fast.train.files import save_json
from friesian_fast.usecases.online_retail.evaluate import Truth
from friesian_fast.usecases.online_retail.examples import months_before
from friesian_fast.usecases.online_retail.report import AUC_DRAWS, RETRIEVED, SERVED, TREES, Findings
from friesian_fast.usecases.online_retail.served import served_lists
from friesian_fast.usecases.online_retail.train import RANKED

USERS = 10
SHOWN = 10
METRICS = ("recall@50", "ndcg@10", "new_recall@50", "new_ndcg@10")
HEADS = ("recall@50", "NDCG@10", "recall@50, new items", "NDCG@10, new items")
WANTED_GAIN = 0.05  # of NDCG@10 over the order of retrieval, relative
AUC_SLACK = 0.003  # the ranker's AUC may be so far below LightGBM's
_GOAL_HEADS = ("goal", "found less the goal", "95 % interval", "verdict")
_NOTES = (
    "Means over the users with 95 % intervals: users drawn with replacement, 1,000 times. 'New items': what a user had "
    "bought before the split is left out of the lists and of what counts as found; users without anything left are "
    "left out. The catalogue is every item sold before the split; items first sold later count as never found.",
    "Every baseline was tuned on the month before the split, learnt from what was before, for each column by itself, "
    "and then learnt anew from all before the split. Served, retrieval order and two-tower alone are one setting for "
    "all columns.",
    "The release's own rules (rules.json), if it has any, are left out here: what is measured is the lists with no "
    "rules, and with only what was bought before hidden.",
)
_GOAL_NOTE = (
    "The best baseline is the one that did best after the split, on the rows that it is measured on, which favours it. "
    "Within chance, or no clear winner: the interval does not tell the two apart; it does not say that they are equal. "
    f"Intervals of AUCs are by 200 draws of users, those of their difference by {AUC_DRAWS:,}."
)


def write_report(findings: Findings, out: Path, seed: int) -> Path:
    """Write ``index.html``, ``table.md`` and ``report.json``; returns the page."""
    out.mkdir(parents=True, exist_ok=True)
    pages = {"index.html": html_page(findings, seed), "table.md": markdown(findings)}
    for name, text in pages.items():
        with replacing(out / name) as partial:
            partial.write_text(text, encoding="utf-8")
    save_json(_plain(findings), out / "report.json")
    return out / "index.html"


def html_page(findings: Findings, seed: int) -> str:
    """A whole HTML document, which fetches nothing."""
    rows = [(name, *(_cell(interval) for interval in row.values())) for name, row in _table(findings)]
    groups = {
        head: {name: findings.intervals(name)[metric] for name in findings.values}
        for head, metric in zip(HEADS, METRICS, strict=True)
    }
    parts = [
        *_about(findings),
        "<h2>The lists</h2>",
        html_table(["list", *HEADS], rows),
        bar_plot(groups, title="Every list", x_label="metric", y_label="mean over users"),
        *(f'<p class="note">{escape(note)}</p>' for note in _NOTES),
        f"<p>{_about_newcomers(findings)}</p>",
        "<h2>The goals</h2>",
        html_table(_GOAL_HEADS, _goals(findings)),
        f'<p class="note">{escape(_GOAL_NOTE)}</p>',
        "<h3>Served less the best baseline, and less LightGBM on the same candidates, user by user</h3>",
        html_table(["metric", "beside", "difference", "95 % interval", "verdict"], _verdicts(findings)),
        "<h3>What was chosen on the month before the split</h3>",
        html_table(["baseline", "settings tried", *HEADS], _chosen(findings)),
        "<h2>The ranker</h2>",
        f"<p>The same candidates before and after it, and its AUC on what was retrieved, the first {RANKED} of a user, "
        "beside LightGBM, which learnt from the same examples and features and chose its leaves and rounds on their "
        f"last month: {findings.trees}.</p>",
        html_table(
            ["metric", "retrieval order", "served", "gain", "95 % interval of the difference"], _gains(findings)
        ),
        html_table(["candidates", "rows", "ranker's AUC", "LightGBM's AUC", "difference"], _aucs(findings)),
        f"<h2>{USERS} users</h2>",
        f'<p class="note">Drawn by chance (seed {seed}) from those who bought after the split. '
        "<b>Bold</b> was bought then; ° had been bought before.</p>",
        *_users(findings, seed),
    ]
    return document("Online Retail: what is served, beside what everyone should beat", parts)


def markdown(findings: Findings) -> str:
    """The tables, to be copied into documentation."""
    lines = [_row(["list", *HEADS]), _row(["---", *["--:"] * len(HEADS)])]
    lines += [_row([name, *(_cell(interval) for interval in row.values())]) for name, row in _table(findings)]
    lines += ["", _row(_GOAL_HEADS), _row(["---"] * 4), *(_row(row) for row in _goals(findings)), "", _GOAL_NOTE]
    lines += ["", _row(["metric", "beside", "served less it", "95 % interval", ""]), _row(["---"] * 5)]
    lines += [_row(row) for row in _verdicts(findings)]
    lines += ["", _row(["metric", "retrieval order", "served", "gain", "95 % interval of the difference"])]
    lines += [_row(["---"] * 5), *(_row(row) for row in _gains(findings))]
    lines += ["", _row(["candidates", "rows", "ranker's AUC", "LightGBM's AUC", "difference"]), _row(["---"] * 5)]
    return "\n".join([*lines, *(_row(row) for row in _aucs(findings)), "", _about_newcomers(findings)]) + "\n"


def _about(findings: Findings) -> list[str]:
    sales, truth, release = findings.sales, findings.truth, findings.release
    new = truth.without(findings.catalogue.owned[truth.users])
    counts = {
        "sales before the split": f"{len(sales):,} lines, from {sales['time'].min():%Y-%m-%d} on",
        "users with history": f"{len(findings.catalogue.users):,}",
        "items, the whole catalogue": f"{len(findings.catalogue.items):,}",
        "users with history who bought after the split": f"{len(truth.users):,}",
        "of whom something new": f"{len(new.users):,}",
        "items of a user after the split": f"{truth.totals.mean():.1f} on average, {_share(truth, new)} bought before",
        "release": release.id,
    }
    split, tuning = (f"{day:%Y-%m-%d}" for day in (findings.split, months_before(findings.split)[-2]))
    return [
        '<p>The transactions of a UK gift shop: Chen, Sain and Guo 2012, "Online Retail", UCI Machine Learning '
        "Repository (doi:10.1057/dbm.2012.17). Kept are sales of products to known customers.</p>",
        f"<p>Everything is learnt from what was before {split} and measured on what was bought from then on. Settings "
        f"were chosen on the month from {tuning}, learnt from what was before. The lists "
        "called 'served' are the answers of the release's own recommender, asked user by user.</p>",
        html_table(["", ""], counts.items()),
    ]


def _share(truth: Truth, new: Truth) -> str:
    return f"{1 - new.totals.sum() / truth.totals.sum():.0%}"


def _table(findings: Findings) -> Iterator[tuple[str, dict[str, Interval]]]:
    for name in findings.values:
        found = findings.intervals(name)
        yield name, {metric: found[metric] for metric in METRICS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What was asked of the use case.

    Parameters
    ----------
    told : str
        What is asked, for readers.
    rival : str
        The list or ranker that is asked about.
    margin : Interval
        What was found less what is asked for.
    """

    told: str
    rival: str
    margin: Interval

    @property
    def verdict(self) -> str:
        """Whether it was reached, and how surely."""
        return goal_verdict(self.margin)


def goals(findings: Findings) -> dict[str, Goal]:
    """By names that stay, whatever was found."""
    found = {}
    for head, metric in zip(HEADS, METRICS, strict=True):
        rival = findings.best_baseline(metric)
        told = f"{head} at least that of the best baseline, {rival}"
        found[f"baseline_{metric}"] = Goal(told=told, rival=rival, margin=findings.gain(metric, rival))
    served, retrieved = (findings.values[name]["ndcg@10"] for name in (SERVED, RETRIEVED))
    found["retrieval_ndcg@10"] = Goal(
        told=f"NDCG@10 at least {1 + WANTED_GAIN:g} times that of the retrieval order",
        rival=RETRIEVED,
        margin=bootstrap_mean(served - (1 + WANTED_GAIN) * retrieved),
    )
    found["lightgbm_auc"] = Goal(
        told=f"AUC at least LightGBM's less {AUC_SLACK:g}",
        rival=TREES,
        margin=findings.peers[""].difference.less(-AUC_SLACK),
    )
    return found


def _goals(findings: Findings) -> list[list[str]]:
    return [
        [goal.told, f"{goal.margin.value:+.4f}", f"{goal.margin.low:+.4f} to {goal.margin.high:+.4f}", goal.verdict]
        for goal in goals(findings).values()
    ]


def _verdicts(findings: Findings) -> list[list[str]]:
    rows = []
    for head, metric in zip(HEADS, METRICS, strict=True):
        for rival in (findings.best_baseline(metric), TREES):
            gain = findings.gain(metric, rival)
            sure = "served is better" if gain.value > 0 else "served is worse"
            verdict = "no clear winner" if gain.includes_zero else sure
            rows.append([head, rival, f"{gain.value:+.4f}", f"{gain.low:+.4f} to {gain.high:+.4f}", verdict])
    return rows


def _about_newcomers(findings: Findings) -> str:
    newcomers = findings.newcomers
    if not newcomers.users:
        return "Nobody bought after the split who had not before."
    cells = (f"{metric} {_cell(interval)}" for metric, interval in newcomers.intervals().items())
    return (
        f"Not in the table: {newcomers.users:,} customers bought after the split for the first time. They are shown "
        f"the release's popular items, which come to {', '.join(cells)}."
    )


def _chosen(findings: Findings) -> list[list[str]]:
    return [
        [name, str(found.tried), *(found.chosen[metric] for metric in METRICS)]
        for name, found in findings.baselines.items()
    ]


def _gains(findings: Findings) -> list[list[str]]:
    rows = []
    for head, metric in zip(HEADS, METRICS, strict=True):
        before, after = (float(findings.values[name][metric].mean()) for name in (RETRIEVED, SERVED))
        gain = findings.gain(metric, RETRIEVED)
        interval = f"{gain.low:+.4f} to {gain.high:+.4f}"
        rows.append([head, f"{before:.4f}", f"{after:.4f}", f"{after / before - 1:+.1%}", interval])
    return rows


def _aucs(findings: Findings) -> list[list[str]]:
    names = {"": "with what was bought before", "new_": "new items only"}
    return [
        [names[way], f"{p.rows:,}", _cell(p.ranker), _cell(p.trees), _signed(p.difference)]
        for way, p in findings.peers.items()
    ]


def _users(findings: Findings, seed: int) -> Iterator[str]:
    truth, catalogue = findings.truth, findings.catalogue
    drawn = np.sort(np.random.default_rng(seed).choice(len(truth.users), min(USERS, len(truth.users)), replace=False))
    users = truth.users[drawn]
    lists = [served_lists(findings.release, catalogue, users, hide_seen=hide) for hide in (False, True)]
    names = findings.sales.drop_duplicates("item_id").set_index("item_id")["description"].reindex(catalogue.items)
    titles = [str(name).capitalize() for name in names]
    for at, user in enumerate(users):
        bought, owned = truth.bought[drawn[at]], catalogue.owned[user]
        mine = findings.sales[findings.sales["user_id"] == catalogue.users[user]]
        often = mine.groupby("item_id")["invoice"].nunique().sort_values(ascending=False, kind="stable").index[:SHOWN]
        columns = {
            "had bought most often": catalogue.items.get_indexer(often),
            "bought after the split": np.flatnonzero(bought),
            "is shown": lists[0][at][:SHOWN],
            "is shown, new items only": lists[1][at][:SHOWN],
        }
        known = int(truth.totals[drawn[at]])
        yield f"<h3>User {catalogue.users[user]}</h3>"
        yield (
            f"<p>Before the split: orders {mine['invoice'].nunique()}, items {int(owned.sum())}. After it: items "
            f"{known}, of them bought before {int((bought & owned).sum())}.</p>"
        )
        yield _columns(columns, titles, bought, owned)


def _columns(
    columns: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]],
    titles: Sequence[str],
    bought: np.ndarray[tuple[int], np.dtype[np.bool_]],
    owned: np.ndarray[tuple[int], np.dtype[np.bool_]],
) -> str:
    def entry(item: int) -> str:
        text = escape(titles[item]) + ("°" if owned[item] else "")
        return f"<li><b>{text}</b></li>" if bought[item] else f"<li>{text}</li>"

    cells = []
    for items in columns.values():
        found = [int(item) for item in items if item >= 0]
        more = f"<li>and {len(found) - 2 * SHOWN} more</li>" if len(found) > 2 * SHOWN else ""
        cells.append(f"<ol>{''.join(entry(item) for item in found[: 2 * SHOWN])}{more}</ol>")
    heads = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "".join(f'<td style="text-align:left;vertical-align:top;font-size:80%">{cell}</td>' for cell in cells)
    return f"<table><tr>{heads}</tr><tr>{body}</tr></table>"


def _cell(interval: Interval) -> str:
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"


def _signed(interval: Interval) -> str:
    return f"{interval.value:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _plain(findings: Findings) -> dict[str, object]:
    def plain(interval: Interval) -> list[float]:
        return [interval.value, interval.low, interval.high]

    return {
        "release": findings.release.id,
        "lists": {name: {metric: plain(found) for metric, found in row.items()} for name, row in _table(findings)},
        "auc": {
            way: {"ranker": plain(p.ranker), "lightgbm": plain(p.trees), "difference": plain(p.difference)}
            for way, p in findings.peers.items()
        },
        "goals": {
            name: {"rival": goal.rival, "margin": plain(goal.margin), "verdict": goal.verdict}
            for name, goal in goals(findings).items()
        },
        "newcomers": {metric: plain(found) for metric, found in findings.newcomers.intervals().items()},
    }
