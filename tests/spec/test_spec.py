"""The FeatureSpec: JSON round trip, the fingerprint as an independent definition gives it, named errors."""

import dataclasses
import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from friesian_fast.errors import FriesianError, InvalidInputError, NotFoundError
from friesian_fast.spec import Column, FeatureSpec, ModelInput, RowSet, Transform, Vocabulary


def make_spec(**changes):
    spec = FeatureSpec(
        name="tiny",
        row_sets=(
            RowSet(
                name="user",
                id_column="user_id",
                id_type="int64",
                columns=(Column(name="age", type="float32"), Column(name="plan", type="int32", size=3)),
            ),
            RowSet(
                name="item",
                id_column="sku",
                id_type="string",
                columns=(Column(name="tags", type="int32", kind="list", length=20, size=100),),
            ),
        ),
        model_inputs=(
            ModelInput(name="user_age", row_set="user", column="age"),
            ModelInput(name="tags", row_set="item", column="tags"),
        ),
        transforms=(Transform(op="cut_bins", inputs=("age",), outputs=("age",), params={"edges": [1.0, 10.5]}),),
        vocabularies={"tags": Vocabulary(size=99, sha256="00" * 32)},
    )
    return dataclasses.replace(spec, **changes)


def test_fingerprint_known_answer():
    """Anchored: a change here means every published release becomes unreadable."""
    assert make_spec().fingerprint() == "8384864350b1063162ea1613f0b170c7b9e567778762c019b98aa5bbb1ff4297"


def test_fingerprint_is_sha256_of_canonical_json():
    spec = make_spec()
    canonical = json.dumps(json.loads(spec.to_json()), sort_keys=True, separators=(",", ":"))
    assert spec.fingerprint() == hashlib.sha256(canonical.encode("ascii")).hexdigest()


def test_row_tag_is_the_start_of_the_hash_of_fingerprint_and_name():
    spec = make_spec()
    want = hashlib.sha256(f"{spec.fingerprint()}/item".encode("ascii")).digest()[:8]
    assert spec.row_tag("item") == want
    assert spec.row_tag("user") != want


def test_vocabulary_hash_is_over_lines_in_id_order():
    assert Vocabulary.of(["b", "ä"]) == Vocabulary(size=2, sha256=hashlib.sha256("b\nä\n".encode()).hexdigest())
    assert Vocabulary.of(["ä", "b"]) != Vocabulary.of(["b", "ä"])


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"transforms": ()},
        {"transforms": (Transform(op="cut_bins", inputs=("age",), outputs=("age",), params={"edges": [1.0, 10.25]}),)},
        {"vocabularies": {"tags": Vocabulary(size=99, sha256="01" * 32)}},
        {"model_inputs": (ModelInput(name="tags", row_set="item", column="tags"),)},
    ],
    ids=["name", "no transforms", "an edge", "a vocabulary", "the inputs"],
)
def test_any_change_changes_fingerprint_and_tags(changes):
    assert make_spec(**changes).fingerprint() != make_spec().fingerprint()
    assert make_spec(**changes).row_tag("user") != make_spec().row_tag("user")


@given(
    name=st.text(max_size=20),
    edges=st.lists(st.floats(allow_nan=False, allow_infinity=False), max_size=5),
    size=st.integers(1, 2**40),
)
def test_json_round_trip_keeps_the_spec_and_its_fingerprint(name, edges, size):
    spec = make_spec(
        name=name,
        transforms=(Transform(op="x", inputs=("a",), outputs=("b",), params={"edges": edges}),),
        vocabularies={name: Vocabulary(size=size, sha256="ab" * 32)},
    )
    again = FeatureSpec.from_json(spec.to_json())
    assert again == spec
    assert again.fingerprint() == spec.fingerprint()


def test_save_and_load(tmp_path):
    path = tmp_path / "spec.json"
    make_spec().save(path)
    assert FeatureSpec.load(path) == make_spec()
    assert [p.name for p in tmp_path.iterdir()] == ["spec.json"]


def test_load_says_what_is_missing(tmp_path):
    with pytest.raises(NotFoundError, match="spec.json"):
        FeatureSpec.load(tmp_path / "spec.json")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not valid JSON"),
        ("[]", "not a feature spec"),
        ('{"format": "other"}', "not a feature spec"),
        ('{"format": "friesian-spec", "version": 2}', "version 2"),
        ('{"format": "friesian-spec", "version": 1, "name": "x"}', "row_sets"),
    ],
)
def test_from_json_rejects(text, message):
    with pytest.raises(InvalidInputError, match=message):
        FeatureSpec.from_json(text)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Column(name="a", type="int8"), "'a' has type 'int8'"),
        (lambda: Column(name="a", type="int32", kind="map"), "kind 'map'"),
        (lambda: Column(name="a", type="int32", length=2), "length 2"),
        (lambda: Column(name="a", type="int32", kind="list", length=0), "length 0"),
        (lambda: Column(name="a", type="int32", size=0), "size 0"),
        (lambda: RowSet(name="r", id_column="i", id_type="int8", columns=(Column(name="a", type="int32"),)), "int8"),
        (lambda: RowSet(name="r", id_column="i", id_type="int64", columns=()), "no columns"),
        (
            lambda: RowSet(name="r", id_column="i", id_type="int64", columns=(Column(name="a", type="int32"),) * 2),
            "'a' is there twice",
        ),
        (lambda: make_spec(model_inputs=(ModelInput(name="x", row_set="user", column="sex"),)), "no column 'sex'"),
        (lambda: make_spec(model_inputs=(ModelInput(name="x", row_set="shop", column="age"),)), "no row set 'shop'"),
        (
            lambda: make_spec(model_inputs=(ModelInput(name="x", row_set="user", column="age"),) * 2),
            "'x' is there twice",
        ),
        (lambda: make_spec().row_tag("shop"), "no row set 'shop'"),
    ],
)
def test_a_spec_that_contradicts_itself_is_refused(make, message):
    with pytest.raises(FriesianError, match=message):
        make()


def test_nan_has_no_place_in_a_spec():
    spec = make_spec(transforms=(Transform(op="x", inputs=(), outputs=(), params={"edge": float("nan")}),))
    with pytest.raises(ValueError, match="JSON"):
        spec.fingerprint()
