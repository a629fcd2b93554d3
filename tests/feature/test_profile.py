"""The profile of a table: exact where it says so, the same for any cut of the rows, and a page that stands alone."""

import json
import math
import random
import re
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import profile, sketch
from friesian_fast.feature.plan import stage_for
from friesian_fast.feature.sketch import ColumnSketch, Histogram

COLUMNS = {
    "price": pa.array([1.5, None, 20.0, math.nan, 3.0, -math.inf]),
    "count": pa.array([0, 1, 1, None, 3, 1], pa.int32()),
    "item": pa.array(["pen", "ink", None, "pen", "", "pen"]),
    "tags": pa.array([[1, 2], [], None, [3], [4, 5, 6], [7]]),
    "flag": pa.array([True, None, True, False, True, True]),
    "nothing": pa.array([None] * 6, pa.string()),
}


def sketched(values, cuts=1):
    """Of the values in so many parts, merged."""
    total = ColumnSketch()
    step = -(-len(values) // cuts) or 1
    for at in range(0, max(len(values), 1), step):
        one = ColumnSketch()
        one.add(values.slice(at, step))
        one.settle()
        total.merge(one)
    return total


def test_known_answers(make):
    table = make(COLUMNS).profile()
    rows = {row["column"]: row.asDict(recursive=True) for row in table.collect()}
    assert list(rows) == list(COLUMNS)
    price = rows["price"]
    assert (price["type"], price["rows"], price["nulls"], price["null_rate"], price["odd"]) == (
        "double",
        6,
        1,
        1 / 6,
        2,
    )
    assert (price["min"], price["max"], price["mean"], price["distinct"]) == (1.5, 20.0, 24.5 / 3, 3)
    count = rows["count"]
    assert (count["min"], count["max"], count["mean"], count["distinct"]) == (0.0, 3.0, 1.2, 3)
    assert [(one["low"], one["high"], one["count"]) for one in count["histogram"]] == [(0, 1, 1), (1, 2, 3), (3, 4, 1)]
    item = rows["item"]
    assert (item["distinct"], item["distinct_is_exact"], item["top_is_exact"]) == (3, True, True)
    assert item["top"][0] == {"value": "pen", "count": 3}
    assert {one["value"]: one["count"] for one in item["top"]} == {"pen": 3, "ink": 1, "": 1}
    assert (item["min"], item["mean"], item["histogram"]) == (None, None, [])
    tags = rows["tags"]
    assert (tags["min"], tags["max"], tags["mean"], tags["distinct"], tags["top"]) == (0.0, 3.0, 1.4, None, [])
    assert rows["flag"]["top"] == [{"value": "true", "count": 4}, {"value": "false", "count": 1}]
    assert (rows["nothing"]["distinct"], rows["nothing"]["null_rate"], rows["nothing"]["top"]) == (0, 1.0, [])


def test_chosen_columns_and_recorded_ones(make):
    table = make(COLUMNS).fillna(7, "count")
    assert table.profile(columns="count").to_dict()["max"] == [7.0]
    with pytest.raises(InvalidInputError, match=r"\['x'\] do not exist"):
        table.profile(columns=["x"])


def test_one_hot_columns_of_a_dataframe_come_in_pieces(make, monkeypatch):
    table = make({"id": pa.array([0, 2, 1, 2])}).one_hot_encode("id", sizes=3)
    assert table.profile().to_dict()["mean"] == [0.25, 0.25, 0.5]
    monkeypatch.setattr("friesian_fast.feature.ops.unfold.PIECE_VALUES", 6)
    task = {"stage": stage_for(table.parts[0], table.columns).to_json(), "columns": [], "directory": ""}
    seen = []
    monkeypatch.setattr(profile, "_sketched", lambda batches, _: {"rows": seen.extend(b.num_rows for b in batches)})
    list(profile.sketch_batches(json.dumps(task), [pa.record_batch({"id": [0, 2, 1, 2]})]))
    assert len(seen) > 1
    assert sum(seen) == 4


def test_a_table_without_rows(spark, make):
    rows = make({"a": pa.array([], pa.float64()), "b": pa.array([], pa.list_(pa.int32()))}).profile().to_dict()
    assert (rows["rows"], rows["null_rate"], rows["mean"]) == ([0, 0], [None, None], [None, None])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1), st.integers(1, 5))
@example([1e136, -1e-189], 2)
def test_histograms_do_not_depend_on_how_the_values_are_cut(values, cuts):
    array = pa.array(values, pa.float64())
    whole, parts = sketched(array), sketched(array, cuts)
    assert list(whole.histogram.bins()) == list(parts.histogram.bins())
    bins = list(whole.histogram.bins())
    assert sum(count for *_, count in bins) == len(values)
    assert all(sum(low <= value < high for low, high, _ in bins) == 1 for value in values if abs(value) < 1e300)
    assert max(whole.histogram.counts) - min(whole.histogram.counts) < 48


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1))
def test_whole_numbers_have_bins_of_at_least_one(values):
    histogram = Histogram()
    histogram.add(np.array(values, np.float64), whole=True)
    assert all(low == int(low) and high >= low + 1 for low, high, _ in histogram.bins())


@settings(max_examples=40, deadline=None)
@given(st.lists(st.none() | st.text(max_size=3) | st.sampled_from(["a", "b"])), st.integers(1, 4))
def test_counts_of_values_are_exact_and_do_not_depend_on_the_cut(values, cuts):
    one = sketched(pa.array(values, pa.string()), cuts)
    kept = [value for value in values if value is not None]
    assert one.distinct == (len(set(kept)), True)
    assert one.lost == 0
    assert dict(one.top(1000)) == {value: kept.count(value) for value in kept}
    assert one.top(1000) == sketched(pa.array(values, pa.string())).top(1000)


@pytest.mark.parametrize("kind", [pa.int64(), pa.string(), pa.float32()])
def test_many_values_are_estimated(kind):
    values = pa.array(range(60_000)).cast(kind)
    one = sketched(pa.concat_arrays([values, values.slice(100)]), 3)
    count, exact = one.distinct
    assert not exact
    assert abs(count - 60_000) < 2_400  # four standard deviations


def test_frequent_values_are_found_among_many(monkeypatch):
    monkeypatch.setattr(sketch, "_TOP", 50)
    monkeypatch.setattr(sketch, "_WAITING", 100)
    rows = [f"rare{i}" for i in range(3000)] + ["often"] * 500 + ["seldom"] * 200
    random.Random(0).shuffle(rows)
    one = sketched(pa.array(rows), 4)
    assert one.lost > 0
    (first, most), (second, fewer) = one.top(2)
    assert (first, second) == ("often", "seldom")
    assert 500 - one.lost <= most <= 500
    assert 200 - one.lost <= fewer <= 200


def test_zeros_of_both_signs_are_one_value():
    assert sketched(pa.array([0.0, -0.0])).distinct == (1, True)


class Outside(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        self.found += [value for name, value in attrs if name in ("src", "href")]
        self.found += [tag] if tag in ("script", "link", "iframe", "img") else []


def test_the_page_stands_alone_and_shows_every_column(make, tmp_path):
    columns = {**COLUMNS, "<odd & name>": pa.array(["<b>"] * 6)}
    make(columns).profile(tmp_path / "deep" / "profile.html")
    page = (tmp_path / "deep" / "profile.html").read_text(encoding="utf-8")
    outside = Outside()
    outside.feed(page)
    assert outside.found == []
    assert page.count("<h2>") == len(columns)
    assert page.count("<svg") == 3  # price, count, the lengths of tags
    assert "&lt;odd &amp; name&gt;" in page
    assert "<b>" not in page
    assert "2 NaN or infinite" in page
    assert re.search(r"<th>pen</th><td>3</td><td>50\.0%</td>", page)
