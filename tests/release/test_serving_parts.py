"""What filters and rules need, published and opened: item columns, what users had seen, rules."""

import json

import numpy as np
import pyarrow as pa
import pytest
import yaml
from tests.release.conftest import ITEMS, item_ids, write

from friesian_fast.errors import ConfigError, InvalidInputError, NotFoundError, ReleaseError
from friesian_fast.recall import col
from friesian_fast.recommend import RulesStage
from friesian_fast.release.open import open_release
from friesian_fast.release.plan import PublishPlan, write_plan
from friesian_fast.release.publish import publish

RULES = {
    "format": "friesian-rules",
    "version": 1,
    "hide_seen": True,
    "deny": ["item-03"],
    "where": {"col": "price", "lt": 20},
    "pins": [{"id": "item-07", "place": 1}],
}


def change_plan(outputs, **keys):
    plan = yaml.safe_load((outputs / "publish.yaml").read_text())
    plan.update(keys)
    (outputs / "publish.yaml").write_text(yaml.safe_dump(plan))


@pytest.fixture
def complete(outputs):
    """The outputs with columns, seen items and rules; more items and users than the release has, and repeated rows."""
    names = ["item-99", *item_ids()[::-1], item_ids()[4]]
    prices = [1000.0, *np.arange(ITEMS, dtype=float)[::-1], 4.5]
    colours = pa.array([None if i % 5 == 0 else "rg"[i % 2] for i in range(ITEMS + 2)])
    write(outputs / "catalogue.parquet", {"item_id": names, "price": prices, "colour": colours})
    users = [7, 7, 7, 14, 999, 7, None]
    items = ["item-01", "item-02", "item-01", "item-05", "item-06", "item-99", "item-08"]
    write(outputs / "bought.parquet", {"buyer": pa.array(users), "bought": items})
    (outputs / "rules.json").write_text(json.dumps(RULES))
    change_plan(
        outputs,
        columns={"path": "catalogue.parquet", "names": ["price", "colour", "item_id"]},
        seen={"path": "bought.parquet", "user": "buyer", "item": "bought"},
        rules="rules.json",
    )
    return outputs


def shown(release, user):
    index = release.index()
    stage = RulesStage.of(release, index)
    query = np.ones((1, index.dim), np.float32)
    ids, _ = index.search(query, ITEMS, nprobe=index.nlist, filter=stage.filter_for(np.array([user])))
    return {item for item in ids[0].tolist() if item is not None}


def test_a_release_with_all_of_them(complete, tmp_path):
    publish(complete / "publish.yaml", tmp_path / "releases")
    release = open_release(tmp_path / "releases")
    assert {"rules.json", "index/columns/columns.json", "rows/seen.rows"} <= set(release.manifest.files)
    assert release.manifest.row_sets["seen"].rows == 2
    assert release.spec.row_set("seen").columns[0].length == 2
    index = release.index()
    assert index.columns.names == ("price", "colour", "item_id")
    found, _ = index.search(np.ones((1, 8), np.float32), ITEMS, nprobe=index.nlist, filter=col("price") == 4.5)
    assert found[0, 0] == "item-04"  # the last row of an id counts
    free = {f"item-{i:02d}" for i in range(20)} - {"item-03"}
    assert shown(release, 7) == free - {"item-01", "item-02"}
    assert shown(release, 14) == free - {"item-05"}
    assert shown(release, 21) == free


def test_same_inputs_same_bytes(complete, tmp_path):
    one, two = (publish(complete / "publish.yaml", tmp_path / name) for name in "ab")
    for name in ("rules.json", "rows/seen.rows", "index/columns/columns.json", "index/columns/1.npy"):
        assert (one / name).read_bytes() == (two / name).read_bytes()


def test_the_plan_survives_a_round_trip(complete, tmp_path):
    plan = PublishPlan.load(complete / "publish.yaml")
    write_plan(tmp_path / "other" / "publish.yaml", plan)
    again = PublishPlan.load(tmp_path / "other" / "publish.yaml")
    assert again.columns.names == ("price", "colour", "item_id")
    assert (again.seen.user, again.seen.item) == ("buyer", "bought")
    assert again.rules.resolve() == plan.rules.resolve()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"columns": {"path": "catalogue.parquet"}}, ConfigError, "lacks the key 'columns.names'"),
        ({"columns": {"path": "c", "names": []}}, ConfigError, "'columns.names' must be a list of column names"),
        ({"columns": {"path": "c", "names": ["a", "a"]}}, ConfigError, "names a column twice: a, a"),
        ({"seen": {"path": "c", "user": "u"}}, ConfigError, "lacks the key 'seen.item'"),
        ({"rules": 3}, ConfigError, "'rules' must be a non-empty string, not 3"),
        ({"columns": {"path": "nowhere", "names": ["a"]}}, NotFoundError, "there is no file or directory"),
        ({"columns": {"path": "catalogue.parquet", "names": ["a"]}}, InvalidInputError, "has no column 'a'"),
        (
            {"columns": {"path": "partly.parquet", "names": ["price"]}},
            InvalidInputError,
            "lacks 29 items of the release",
        ),
        (
            {"seen": {"path": "bought.parquet", "user": "bought", "item": "bought"}},
            InvalidInputError,
            "no int64 user ids",
        ),
        (
            {"seen": {"path": "foreign.parquet", "user": "u", "item": "i"}},
            InvalidInputError,
            "no row names a user and an",
        ),
        ({"rules": "no.json"}, NotFoundError, "there are no rules at"),
        ({"rules": "broken.json"}, InvalidInputError, "broken.json: rules: not valid JSON"),
        (
            {"rules": "pins.json"},
            InvalidInputError,
            "pins.json: rules: the pinned item 'item-99' is not in the catalogue",
        ),
        ({"rules": "cap.json"}, InvalidInputError, "cap.json: rules: 'cap' counts the values of column 'price'"),
    ],
)
def test_publish_rejects(complete, tmp_path, change, error, message):
    write(complete / "partly.parquet", {"item_id": ["item-00"], "price": [1.0]})
    write(complete / "foreign.parquet", {"u": [1], "i": ["item-00"]})
    (complete / "broken.json").write_text("{")
    (complete / "pins.json").write_text(json.dumps({**RULES, "pins": [{"id": "item-99", "place": 1}]}))
    (complete / "cap.json").write_text(json.dumps({**RULES, "cap": {"column": "price", "most": 1}}))
    change_plan(complete, **change)
    with pytest.raises(error, match=message):
        publish(complete / "publish.yaml", tmp_path / "releases")
    assert not (tmp_path / "releases" / "CURRENT").exists()


def test_hide_seen_needs_seen(complete, tmp_path):
    plan = yaml.safe_load((complete / "publish.yaml").read_text())
    del plan["seen"]
    (complete / "publish.yaml").write_text(yaml.safe_dump(plan))
    with pytest.raises(InvalidInputError, match="'hide_seen' needs what users have seen; name it in the plan"):
        publish(complete / "publish.yaml", tmp_path / "releases")


def reseal(release, name, content):
    """Changes a file and what the manifest says of it, as a careless hand would."""
    (release / name).write_bytes(content)
    path = release / "manifest.json"
    data = json.loads(path.read_text())
    data["files"][name]["bytes"] = len(content)
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("rules.json", b"{", "rules.json: rules: not valid JSON"),
        ("rules.json", b"\xff", "rules.json: "),
        ("rules.json", json.dumps({**RULES, "where": {"col": "x", "eq": 1}}).encode(), "no column 'x' to filter by"),
        ("rules.json", json.dumps({**RULES, "deny": [3]}).encode(), "deny has 3; the item ids of this release"),
        ("index/columns/columns.json", b"[]", "columns.json is not of format friesian-item-columns"),
        ("index/columns/0.npy", b"", "0.npy cannot be read as a NumPy array"),
    ],
)
def test_a_damaged_release_is_refused(complete, tmp_path, name, content, message):
    release = publish(complete / "publish.yaml", tmp_path / "releases")
    reseal(release, name, content)
    with pytest.raises(ReleaseError, match=message):
        open_release(release, verify=False)


def test_altered_rules_are_noticed(complete, tmp_path):
    release = publish(complete / "publish.yaml", tmp_path / "releases")
    text = (release / "rules.json").read_text()
    (release / "rules.json").write_text(text.replace("item-03", "item-04"))
    with pytest.raises(ReleaseError, match="rules.json was altered: its SHA-256 is not the manifest's"):
        open_release(release)
