"""Rules as JSON: known answers and every refusal."""

from __future__ import annotations

import json

import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.release.rules import Cap, Pin, rules_from_json

GOOD = {
    "format": "friesian-rules",
    "version": 1,
    "hide_seen": True,
    "allow": [1, 2, 3],
    "deny": [4],
    "where": {"col": "price", "lt": 10},
    "boosts": [{"where": {"col": "new", "eq": True}, "factor": 1.5}],
    "cap": {"column": "category", "most": 2},
    "diversity": 0.3,
    "pins": [{"id": 9, "place": 2}, {"id": 8, "place": 1}],
}


def text(**changes):
    return json.dumps({**GOOD, **changes})


def test_known_rules():
    rules = rules_from_json(text(), "int64")
    assert rules.hide_seen
    assert (rules.allow, rules.deny, rules.cap, rules.diversity) == (
        (1, 2, 3),
        (4,),
        Cap(column="category", most=2),
        0.3,
    )
    assert rules.where.to_json() == GOOD["where"]
    assert [(boost.where.to_json(), boost.factor) for boost in rules.boosts] == [({"col": "new", "eq": True}, 1.5)]
    assert rules.pins == (Pin(id=8, place=1), Pin(id=9, place=2))
    assert rules.filter.allow == (1, 2, 3)


def test_no_rules():
    rules = rules_from_json('{"format": "friesian-rules", "version": 1}', "string")
    assert (rules.filter, rules.hide_seen, rules.pins, rules.cap, rules.diversity) == (None, False, (), None, None)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("{", "rules: not valid JSON"),
        ("[]", 'rules: not an object with "format": "friesian-rules", "version": 1'),
        (text(version=2), "rules: not an object with"),
        (text(boost=[]), "rules: unknown key 'boost'; known here are format, version, hide_seen"),
        (text(hide_seen=1), "rules: hide_seen must be true or false, got 1"),
        (text(allow=3), "rules: allow must be a list, got 3"),
        (text(allow=["a"]), "rules: allow has 'a'; the item ids of this release are of type int64"),
        (text(deny=[2**63]), "rules: deny has 9223372036854775808"),
        (text(deny=[True]), "rules: deny has True"),
        (text(where=[]), "rules: where must be a condition such as"),
        (text(where={"col": "a"}), "rules: where: filter must compare 'a' by exactly one of"),
        (text(boosts=[{"factor": 2}]), r"rules: boosts\[0\] lacks 'where'"),
        (text(boosts=[{"where": {"col": "a", "eq": 1}, "factor": 0}]), r"boosts\[0\].factor must be a number above 1e"),
        (text(boosts=[3]), r"rules: boosts\[0\] must be an object with where and factor, got 3"),
        (text(cap={"column": "c", "most": 0}), "rules: cap.most must be a whole number from 1, got 0"),
        (text(cap={"column": 1, "most": 1}), "rules: cap.column must be a column's name, got 1"),
        (text(cap={"column": "c", "most": 1, "by": 2}), "rules: unknown key 'cap.by'"),
        (text(diversity=1.1), "rules: diversity must be a number above 0 and at most 1, got 1.1"),
        (text(diversity=True), "rules: diversity must be a number"),
        (text(pins=[{"id": 1}]), r"rules: pins\[0\] lacks 'place'"),
        (text(pins=[{"id": "a", "place": 1}]), r"rules: pins\[0\].id has 'a'"),
        (text(pins=[{"id": 1, "place": 1}, {"id": 2, "place": 1}]), "two pins have the same place"),
        (text(pins=[{"id": 1, "place": 1}, {"id": 1, "place": 2}]), "two pins have the same id"),
    ],
)
def test_rejects(given, message):
    with pytest.raises(InvalidInputError, match=message):
        rules_from_json(given, "int64")
