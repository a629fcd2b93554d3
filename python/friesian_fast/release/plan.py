"""``publish.yaml``: what a use case hands over. Its paths are relative to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from friesian_fast._files import replacing
from friesian_fast.errors import ConfigError, MissingExtraError, NotFoundError
from friesian_fast.rank import RUNTIMES
from friesian_fast.release.manifest import MAX_CANDIDATES

ENTITIES = ("user", "item")
CANDIDATES = 50  # what the recommender ranks unless it is asked for more


@dataclass(frozen=True, slots=True, kw_only=True)
class Interactions:
    """The log behind the fallback list; without `label` every row counts, with it those above 0."""

    path: Path
    item: str
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemColumnsPlan:
    """Columns of the items that filters and rules compare; the id column is that of the item rows."""

    path: Path
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Who had which item before: columns of a Parquet file or directory."""

    path: Path
    user: str
    item: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidatesPlan:
    """What a nearline step proposes: a row for each user and item, with the columns of row set ``candidate``."""

    path: Path
    user: str
    item: str
    score: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RankPlan:
    """What may run the ranker; nothing said means what is installed, timed and checked.

    Parameters
    ----------
    runtime : str, optional
        To be taken in any case, fast or not.
    runtimes : tuple of str, optional
        Those to choose from, besides ``onnxruntime-fp32``.
    candidates : int, default 50
        How many items a request ranks that does not say ``canK``. More cost more, and lie closer together.
    """

    runtime: str | None = None
    runtimes: tuple[str, ...] | None = None
    candidates: int = CANDIDATES


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishPlan:
    """Where the parts of a release come from.

    Parameters
    ----------
    spec : Path
    rows, vectors : mapping of "user" and "item" to Path
        Parquet files, or directories of them.
    ranker : Path
        Directory of ``ranker.onnx`` and ``ranker.json``.
    interactions : Interactions
    rank : RankPlan
    columns : ItemColumnsPlan, optional
    seen : Seen, optional
    candidates : CandidatesPlan, optional
    rules : Path, optional
        A JSON file.
    """

    spec: Path
    rows: Mapping[str, Path]
    vectors: Mapping[str, Path]
    ranker: Path
    interactions: Interactions
    rank: RankPlan = RankPlan()
    columns: ItemColumnsPlan | None = None
    seen: Seen | None = None
    candidates: CandidatesPlan | None = None
    rules: Path | None = None

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> PublishPlan:
        """Read a plan.

        Raises
        ------
        NotFoundError
            If the file is not there.
        ConfigError
            If it is not YAML, or a key is missing, unknown or of the wrong type.
        """
        path = Path(path)
        data = _read_yaml(path)
        base = path.parent
        _check_keys(
            data,
            path,
            required=("spec", "rows", "vectors", "ranker", "interactions"),
            optional=("rank", "columns", "seen", "candidates", "rules"),
        )
        interactions = _mapping(data, path, "interactions")
        _check_keys(interactions, path, required=("path", "item"), optional=("label",), under="interactions.")
        for key in ("rows", "vectors"):
            _check_keys(_mapping(data, path, key), path, required=ENTITIES, under=f"{key}.")
        label = interactions.get("label")
        return cls(
            spec=base / _string(data, path, "spec"),
            rows={name: base / _string(data["rows"], path, name, "rows.") for name in ENTITIES},
            vectors={name: base / _string(data["vectors"], path, name, "vectors.") for name in ENTITIES},
            ranker=base / _string(data, path, "ranker"),
            interactions=Interactions(
                path=base / _string(interactions, path, "path", "interactions."),
                item=_string(interactions, path, "item", "interactions."),
                label=None if label is None else _string(interactions, path, "label", "interactions."),
            ),
            rank=_rank(data, path),
            columns=_columns_plan(data, path),
            seen=_seen(data, path),
            candidates=_candidates(data, path),
            rules=base / _string(data, path, "rules") if "rules" in data else None,
        )


def _columns_plan(data: Mapping[str, Any], path: Path) -> ItemColumnsPlan | None:
    if "columns" not in data:
        return None
    columns = _mapping(data, path, "columns")
    _check_keys(columns, path, required=("path", "names"), under="columns.")
    names = columns["names"]
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        raise ConfigError(f"{path}: 'columns.names' must be a list of column names, not {names!r}")
    if len(set(names)) != len(names):
        raise ConfigError(f"{path}: 'columns.names' names a column twice: {', '.join(names)}")
    return ItemColumnsPlan(path=path.parent / _string(columns, path, "path", "columns."), names=tuple(names))


def _seen(data: Mapping[str, Any], path: Path) -> Seen | None:
    if "seen" not in data:
        return None
    seen = _mapping(data, path, "seen")
    _check_keys(seen, path, required=("path", "user", "item"), under="seen.")
    return Seen(
        path=path.parent / _string(seen, path, "path", "seen."),
        user=_string(seen, path, "user", "seen."),
        item=_string(seen, path, "item", "seen."),
    )


def _candidates(data: Mapping[str, Any], path: Path) -> CandidatesPlan | None:
    if "candidates" not in data:
        return None
    given = _mapping(data, path, "candidates")
    _check_keys(given, path, required=("path", "user", "item", "score"), under="candidates.")
    return CandidatesPlan(
        path=path.parent / _string(given, path, "path", "candidates."),
        user=_string(given, path, "user", "candidates."),
        item=_string(given, path, "item", "candidates."),
        score=_string(given, path, "score", "candidates."),
    )


def write_plan(path: str | os.PathLike[str], plan: PublishPlan) -> None:
    """Write a plan, its paths relative to it, whole or not at all."""
    path = Path(path)

    def relative(target: Path) -> str:
        return os.path.relpath(target, path.parent)

    interactions = {"path": relative(plan.interactions.path), "item": plan.interactions.item}
    if plan.interactions.label is not None:
        interactions["label"] = plan.interactions.label
    data: dict[str, Any] = {
        "spec": relative(plan.spec),
        "rows": {name: relative(target) for name, target in plan.rows.items()},
        "vectors": {name: relative(target) for name, target in plan.vectors.items()},
        "ranker": relative(plan.ranker),
        "interactions": interactions,
    }
    rank: dict[str, Any] = {}
    if plan.rank.runtime is not None:
        rank["runtime"] = plan.rank.runtime
    elif plan.rank.runtimes is not None:
        rank["runtimes"] = list(plan.rank.runtimes)
    if plan.rank.candidates != CANDIDATES:
        rank["candidates"] = plan.rank.candidates
    if rank:
        data["rank"] = rank
    if plan.columns is not None:
        data["columns"] = {"path": relative(plan.columns.path), "names": list(plan.columns.names)}
    if plan.seen is not None:
        data["seen"] = {"path": relative(plan.seen.path), "user": plan.seen.user, "item": plan.seen.item}
    if plan.candidates is not None:
        given = plan.candidates
        data["candidates"] = {
            "path": relative(given.path),
            "user": given.user,
            "item": given.item,
            "score": given.score,
        }
    if plan.rules is not None:
        data["rules"] = relative(plan.rules)
    text = _yaml().safe_dump(data, sort_keys=False)
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")


def _rank(data: Mapping[str, Any], path: Path) -> RankPlan:
    if "rank" not in data:
        return RankPlan()
    rank = _mapping(data, path, "rank")
    _check_keys(rank, path, required=(), optional=("runtime", "runtimes", "candidates"), under="rank.")
    if {"runtime", "runtimes"} <= rank.keys():
        raise ConfigError(f"{path} has 'rank.runtime', which decides, and 'rank.runtimes', to choose from; keep one")
    names = rank.get("runtimes")
    if names is not None and (not isinstance(names, list) or not names):
        raise ConfigError(f"{path}: 'rank.runtimes' must be a list of names, not {names!r}")
    for name in [rank["runtime"]] if "runtime" in rank else names or []:
        if name not in RUNTIMES:
            raise ConfigError(f"{path}: 'rank' names the runtime {name!r}; known are {', '.join(RUNTIMES)}")
    candidates = rank.get("candidates", CANDIDATES)
    if not isinstance(candidates, int) or isinstance(candidates, bool) or not 1 <= candidates <= MAX_CANDIDATES:
        raise ConfigError(
            f"{path}: 'rank.candidates' must be a whole number from 1 to {MAX_CANDIDATES}, not {candidates!r}"
        )
    return RankPlan(
        runtime=rank.get("runtime"), runtimes=None if names is None else tuple(names), candidates=candidates
    )


def _yaml() -> Any:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("reading publish.yaml", "serve") from error
    return yaml


def _read_yaml(path: Path) -> Mapping[str, Any]:
    yaml = _yaml()
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no publish plan at {path}; give the path of a publish.yaml") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path} is not a mapping of keys; it needs spec, rows, vectors, ranker and interactions")
    return data


def _check_keys(
    data: Mapping[str, Any], path: Path, *, required: tuple[str, ...], optional: tuple[str, ...] = (), under: str = ""
) -> None:
    for key in required:
        if key not in data:
            raise ConfigError(f"{path} lacks the key '{under}{key}'")
    for key in data:
        if key not in required + optional:
            known = ", ".join(required + optional)
            raise ConfigError(f"{path} has the unknown key '{under}{key}'; known here are {known}")


def _mapping(data: Mapping[str, Any], path: Path, key: str) -> Mapping[str, Any]:
    if not isinstance(data[key], dict):
        raise ConfigError(f"{path}: '{key}' must be a mapping, not {data[key]!r}")
    return dict(data[key])


def _string(data: Mapping[str, Any], path: Path, key: str, under: str = "") -> str:
    if not isinstance(data[key], str) or not data[key]:
        raise ConfigError(f"{path}: '{under}{key}' must be a non-empty string, not {data[key]!r}")
    return str(data[key])
