"""Reads and checks everything a plan names, before the first file of a release is written."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.release.candidate_lists import CandidateLists, candidates_of_spec, read_candidates
from friesian_fast.release.plan import ENTITIES, Interactions, PublishPlan, RankPlan
from friesian_fast.release.rules import Rules
from friesian_fast.release.serving_parts import SeenItems, read_item_columns, read_rules, read_seen
from friesian_fast.release.tables import RowTable, VectorTable, read_rows, read_vectors
from friesian_fast.spec import Column, FeatureSpec, RowSet


@dataclass(frozen=True, slots=True, kw_only=True)
class Inputs:
    """What the steps of a publish work on.

    Parameters
    ----------
    spec : FeatureSpec
        With the row sets of the vectors.
    rows, vectors : dict of "user" and "item"
    ranker : Path
        The ONNX file.
    training : dict
        What ``ranker.json`` says.
    interactions : Interactions
    rank : RankPlan
    columns : mapping of name to Arrow array, optional
        Of the items, in the order of their ids.
    seen : SeenItems, optional
    candidates : CandidateLists, optional
    rules : Rules, optional
    rules_path : Path, optional
    """

    spec: FeatureSpec
    rows: dict[str, RowTable]
    vectors: dict[str, VectorTable]
    ranker: Path
    training: dict[str, Any]
    interactions: Interactions
    rank: RankPlan
    columns: dict[str, Any] | None = None
    seen: SeenItems | None = None
    candidates: CandidateLists | None = None
    rules: Rules | None = None
    rules_path: Path | None = None


def read_inputs(plan: PublishPlan) -> Inputs:
    """Read the parts of a plan.

    Raises
    ------
    InvalidInputError, NotFoundError
        If a part is missing, or does not fit the spec or the other parts.
    """
    spec = FeatureSpec.load(plan.spec)
    training, ranker = _read_ranker(plan.ranker, spec)
    rows = {name: read_rows(plan.rows[name], spec.row_set(name)) for name in ENTITIES}
    vectors = {}
    for name in ENTITIES:
        row_set = spec.row_set(name)
        vectors[name] = read_vectors(plan.vectors[name], row_set.id_column, row_set.id_type)
        _check_ids(plan, name, rows[name].ids, vectors[name].ids)
    dims = {name: vectors[name].vectors.shape[1] for name in ENTITIES}
    if dims["user"] != dims["item"]:
        raise InvalidInputError(
            f"{plan.vectors['user']} has vectors of {dims['user']} elements and {plan.vectors['item']} of "
            f"{dims['item']}; both must come from one two-tower model"
        )
    users, items = (rows[name].ids for name in ENTITIES)
    seen = None if plan.seen is None else read_seen(plan.seen, spec, users, items)
    complete = _with_vectors(spec, dims["item"])
    if seen is not None:
        complete = _with_row_set(complete, seen.row_set(spec.row_set("user")))
    candidates = candidates_of_spec(plan, spec)
    if candidates is not None:
        complete = _with_row_set(complete, candidates)
    return Inputs(
        columns=None if plan.columns is None else read_item_columns(plan.columns, spec.row_set("item"), items),
        seen=seen,
        candidates=None if candidates is None else read_candidates(plan, candidates, spec, users, items),
        rules=None if plan.rules is None else read_rules(plan.rules, complete),
        rules_path=plan.rules,
        spec=complete,
        rows=rows,
        vectors=vectors,
        ranker=ranker,
        training=training,
        interactions=plan.interactions,
        rank=plan.rank,
    )


def _check_ids(plan: PublishPlan, name: str, rows: Any, vectors: Any) -> None:
    """Items: the same ids, since every candidate needs features. Users: rows without a vector get the fallback."""
    without_row = np.setdiff1d(vectors, rows)
    without_vector = np.setdiff1d(rows, vectors) if name == "item" else without_row[:0]
    for ids, there, missing in (
        (without_row, plan.vectors[name], plan.rows[name]),
        (without_vector, plan.rows[name], plan.vectors[name]),
    ):
        if len(ids):
            raise InvalidInputError(
                f"{len(ids)} {name} ids of {there} are not in {missing}, such as {ids[0].item()!r}; "
                "make both from the same run of preprocessing and training"
            )


def _read_ranker(directory: Path, spec: FeatureSpec) -> tuple[dict[str, Any], Path]:
    model, report = directory / "ranker.onnx", directory / "ranker.json"
    for path in (model, report):
        if not path.is_file():
            raise NotFoundError(f"there is no {path}; train the ranker first")
    try:
        training = json.loads(report.read_text(encoding="utf-8"))
        error = float(training["max_error"])
        metrics = training.get("metrics", {})
    except (ValueError, KeyError, TypeError, AttributeError) as problem:
        raise InvalidInputError(
            f"{report} lacks a usable 'max_error' or is not JSON ({problem}); train again"
        ) from problem
    if not math.isfinite(error) or not isinstance(metrics, dict):
        raise InvalidInputError(f"{report}: 'max_error' must be finite and 'metrics' a mapping; train again")
    _check_model(model, spec)
    return training, model


def _check_model(model: Path, spec: FeatureSpec) -> None:
    import onnx

    try:
        graph = onnx.load(model, load_external_data=False).graph
    except Exception as error:  # protobuf raises its own kinds, none of them ours to tell apart
        raise InvalidInputError(f"{model} is not an ONNX model ({error}); train the ranker again") from error
    weights = {weight.name for weight in graph.initializer}
    found = {value.name for value in graph.input} - weights
    wanted = {value.name for value in spec.model_inputs}
    if found != wanted:
        raise InvalidInputError(
            f"{model} takes other inputs than the spec says: too many {sorted(found - wanted)}, "
            f"missing {sorted(wanted - found)}; train it on this spec"
        )


def _with_vectors(spec: FeatureSpec, dim: int) -> FeatureSpec:
    """Preprocessing cannot know how long the vectors will be: their row sets join the spec here."""
    for name in ENTITIES:
        entity = spec.row_set(name)
        embedding = Column(name="embedding", type="float32", kind="fixed", length=dim)
        spec = _with_row_set(
            spec,
            RowSet(
                name=f"{name}_vector",
                id_column=entity.id_column,
                id_type=entity.id_type,
                columns=(embedding,),
            ),
        )
    return spec


def _with_row_set(spec: FeatureSpec, wanted: RowSet) -> FeatureSpec:
    """One that publish writes itself; a spec that declares it must declare the same."""
    there = [row_set for row_set in spec.row_sets if row_set.name == wanted.name]
    if there and there[0] != wanted:
        needs = ", ".join(f"{c.kind} {c.type} column '{c.name}' of {c.length}" for c in wanted.columns)
        raise InvalidInputError(
            f"spec '{spec.name}' declares row set '{wanted.name}' as {there[0].columns}, but what is published needs "
            f"id {wanted.id_column} ({wanted.id_type}) and one {needs}"
        )
    return spec if there else replace(spec, row_sets=(*spec.row_sets, wanted))
