"""Scripts of the original's style run, imports changed and nothing else, and give what they should for any cut."""

import json
import math
import runpy
import sys
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

SCRIPTS = Path(__file__).parent / "scripts"


@pytest.fixture
def run(spark, monkeypatch):
    """Runs a script in this process, on the session of the tests."""
    monkeypatch.setattr("friesian_fast.compat.stop_session", lambda: None)

    def script(name, **options):
        arguments = [text for key, value in options.items() for text in (f"--{key}", str(value))]
        monkeypatch.setattr(sys, "argv", [name, *arguments])
        runpy.run_path(str(SCRIPTS / f"{name}.py"), run_name="__main__")

    return script


def write_parts(rows, directory, parts):
    directory.mkdir(parents=True)
    step = -(-rows.num_rows // parts)
    for number in range(parts):
        pq.write_table(rows.slice(number * step, step), directory / f"part-{number}.parquet")


def write_lines(lines, directory, parts, name="part"):
    directory.mkdir(parents=True)
    for number in range(parts):
        text = "".join(f"{line}\n" for line in lines[number::parts])
        (directory / f"{name}-{number}.txt").write_text(text, encoding="utf-8")


def rows_of(path):
    return pq.read_table(path).to_pylist()


def ids_of(values):
    """By descending count, then by value, from 1."""
    counts = Counter(value for value in values if value is not None)
    return {value: at for at, value in enumerate(sorted(counts, key=lambda one: (-counts[one], one)), start=1)}


def raw_posts(rows, start):
    at = range(start, start + rows)
    return pa.table(
        {
            "row": list(at),
            "verified": [i % 3 == 0 for i in at],
            "followers": pa.array([i * i % 2000 for i in at], pa.int64()),
            "media": [["", "Photo", "Video"][i % 3] for i in at],
            "language": [f"l{i * i % 5}" for i in at],
            "tags": [None if i % 7 == 0 else "\t".join(f"t{j}" for j in range(i % 4)) for i in at],
            "user_id": [f"u{i % 6}" for i in at],
            "author_id": [f"u{i % 11}" for i in at],
            "like_time": pa.array([None if i % 2 else i for i in at], pa.int32()),
            "reply_time": pa.array([None if i % 5 else i for i in at], pa.int32()),
        }
    )


@pytest.mark.filterwarnings("ignore:Spark runs already")
@pytest.mark.parametrize("parts", [1, 3])
def test_wide_and_deep(run, tmp_path, parts):
    train, test = raw_posts(40, 0), raw_posts(10, 40)
    write_parts(train, tmp_path / "train", parts)
    write_parts(test, tmp_path / "test", parts)
    run("wide_and_deep", data_dir=tmp_path, executor_cores=1, executor_memory="1g")
    raw = train.to_pylist()
    everyone = [row[name] for row in raw + test.to_pylist() for name in ("user_id", "author_id")]
    users, languages = ids_of(everyone), ids_of(row["language"] for row in raw)
    tags = ids_of(tag for row in raw for tag in (row["tags"] or "").split("\t"))
    longest = max(len(row["tags"].split("\t")) if row["tags"] else 0 for row in raw)
    made = {row["row"]: row for row in rows_of(tmp_path / "preprocessed" / "train")}
    assert len(made) == 40
    for row in raw:
        found = made[row["row"]]
        length = len(row["tags"].split("\t")) if row["tags"] else 0
        assert found["user_id"] == users[row["user_id"]]
        assert found["language"] == languages[row["language"]]
        assert found["tags"] == min(tags[tag] for tag in (row["tags"] or "").split("\t"))
        assert found["followers"] == sum(row["followers"] >= edge for edge in (1, 100, 1000))
        assert found["len_tags"] == pytest.approx(length / longest)
        assert found["label"] == int((row["like_time"] or 0) + (row["reply_time"] or 0) > 0)
        assert 0 <= found["media_language"] < 600
    assert len(rows_of(tmp_path / "preprocessed" / "test")) == 10
    sizes = json.loads((tmp_path / "preprocessed" / "meta" / "categorical_sizes.json").read_text())
    assert sizes == {"user_id": len(users), "tags": len(tags), "language": len(languages)}


@pytest.mark.filterwarnings("ignore:Spark runs already")
@pytest.mark.parametrize("parts", [1, 3])
def test_book_histories(run, tmp_path, parts):
    reviews = [(f"u{i % 4}", f"b{i * 7 % 20}", 1000 - i) for i in range(30)] + [("once", "b0", 5)]
    lines = [json.dumps({"reviewerID": u, "asin": b, "unixReviewTime": t, "summary": "fine"}) for u, b, t in reviews]
    write_lines([*lines, json.dumps({"reviewerID": None, "asin": "b1", "unixReviewTime": 3})], tmp_path / "r", parts)
    books = {f"b{i}": f"c{i % 3}" for i in range(20)}
    write_lines([json.dumps({"asin": b, "category": c}) for b, c in books.items()], tmp_path / "m", parts)
    run("book_histories", input_transaction=tmp_path / "r", input_meta=tmp_path / "m", output=tmp_path / "out")
    users, items = ids_of(u for u, _, _ in reviews), ids_of(b for _, b, _ in reviews)
    categories = ids_of(books.values())
    category_of = {items[b]: categories[c] for b, c in books.items() if b in items}
    by_user = defaultdict(list)
    for user, book, _ in sorted(reviews, key=lambda one: one[2]):
        by_user[users[user]].append(items[book])
    made = rows_of(tmp_path / "out" / "data")
    assert Counter(row["label"] for row in made) == {0: 4, 1: 4}  # a user with one review has no history
    for row in made:
        *history, last = by_user[row["user"]]
        assert (row["item"] == last) == (row["label"] == 1)
        assert row["category"] == category_of[row["item"]]
        assert row["item_hist_seq_len"] == len(history)
        assert row["item_hist_seq"] == (history[-6:] + [0] * 6)[:6]
        assert row["item_hist_seq_mask"] == ([1] * len(history) + [0] * 6)[:6]
        assert row["category_hist_seq"] == [category_of.get(item, 0) for item in row["item_hist_seq"]]
        for item, negatives in zip(row["item_hist_seq"], row["neg_item_hist_seq"], strict=True):
            assert len(negatives) == 5
            assert item not in negatives or item == 0
    assert rows_of(tmp_path / "out" / "item.parquet") == [{"item": b, "id": i} for b, i in items.items()]


@pytest.mark.filterwarnings("ignore:Spark runs already")
@pytest.mark.parametrize("parts", [1, 3])
def test_ad_crosses(run, tmp_path, parts):
    rows = [[i % 2, i, "" if i % 9 == 0 else i * 3, -i, f"a{i % 3}", f"0{i % 4}", f"z{i}"] for i in range(60)]
    for day in (0, 1):
        write_lines(["\t".join(map(str, row)) for row in rows[day::2]], tmp_path / "raw" / f"day_{day}", parts)
    run("ad_crosses", days="0-1", input_folder=tmp_path / "raw", output_folder=tmp_path / "out", frequency_limit=5)
    train, test = (rows_of(tmp_path / "out" / name) for name in ("saved_data", "saved_data_test"))
    assert len(train) + len(test) == 60
    assert list(train[0])[-2:] == ["_c4__c5", "_c5__c6"]
    assert min(row["c1"] for row in train) == 0
    assert max(row["c1"] for row in train) == 1
    ids = {f"0{i % 4}": None for i in range(4)}
    assert {row["c5"] for row in train + test} == set(range(1, len(ids) + 1))  # "00" is not the number 0
    assert {row["c6"] for row in train + test} == {0}  # all rarer than the limit
    by_pair = {(row["c4"], row["c5"]): row["_c4__c5"] for row in train + test}
    assert all(by_pair[row["c4"], row["c5"]] == row["_c4__c5"] < 10000 for row in train + test)
    assert sorted(path.name for path in (tmp_path / "out" / "models").iterdir()) == [
        "_c4.parquet",
        "_c5.parquet",
        "_c6.parquet",
    ]
    assert math.isclose(max(row["c3"] for row in train), 0.5)  # a column of one value after the logarithm


@pytest.mark.parametrize("parts", [1, 3])
def test_listwise(run, tmp_path, parts, capsys):
    ratings = [(user, item, (user * item) % 5 + 1) for user in range(1, 6) for item in range(1, user + 3)]
    write_lines([":".join(map(str, one)) for one in ratings], tmp_path / "ratings.dat", parts)
    write_lines([f"{item}:film {item}" for item in range(1, 7)], tmp_path / "movies.dat", parts)
    with pytest.warns(UserWarning, match="there is no Ray here: everything runs on Spark"):
        run("listwise", data_dir=tmp_path)
    assert "6 titles" in capsys.readouterr().out
    known = {(user, f"film {item}"): float(rating) for user, item, rating in ratings if item < 7}
    made = rows_of(tmp_path / "lists")
    assert Counter(row["user"] for row in made) == dict.fromkeys(range(1, 6), 4)
    for row in made:
        assert len(set(row["titles"])) == 3
        assert [known[row["user"], title] for title in row["titles"]] == row["ratings"]
