"""The manifest of a release, as in ``docs/decisions/0001-spec-row-release.md``; checked when it is read."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from friesian_fast.errors import ReleaseError

FORMAT = "friesian-release"
VERSION = 6
FILE_NAME = "manifest.json"
MAX_CANDIDATES = 10_000  # of one request

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """Size and hash of one file."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSetEntry:
    """One mapped store; `tag` is in hex."""

    file: str
    rows: int
    tag: str


@dataclass(frozen=True, slots=True, kw_only=True)
class IndexEntry:
    """The item index.

    Parameters
    ----------
    file, layout : str
    vectors, dim, nlist, nprobe, rerank : int
    most_lists : int
    margin : float
        A search without a filter probes at most so many lists, less those beyond the margin; both 0 where it probes
        `nprobe`.
    metric : str
    recall : float
        Of the top `recall_k`, as searches go by default, against exact search.
    recall_k : int
    recall_queries : int
        User vectors that it was measured with; not those that chose `nprobe` and `rerank`, unless there is one only.
    tuned_recall : float
        What those that chose had.
    tuned_queries : int
    """

    file: str
    layout: str
    vectors: int
    dim: int
    metric: str
    nlist: int
    nprobe: int
    most_lists: int
    margin: float
    rerank: int
    recall: float
    recall_k: int
    recall_queries: int
    tuned_recall: float
    tuned_queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeEntry:
    """A runtime as publish measured it; the scores' agreement and errors are those with the reference's.

    Parameters
    ----------
    name, precision : str
    requests : int
        How many it was compared on; all of the ranker's if it may be chosen.
    p50_ms, p99_ms : float
        A request's wall time.
    agreement : float
        The mean share of the reference's ten best that are among the ten best here.
    shown_error : float
        The largest error of a score that an answer may show: of any; where a head is scored better than the rest,
        among the ten best of either. The bound is on this one.
    max_error : float
        The largest error of any score.
    refused : str
        Why it may not be chosen; empty if it may.
    """

    name: str
    precision: str
    requests: int
    p50_ms: float
    p99_ms: float
    agreement: float
    shown_error: float
    max_error: float
    refused: str


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineEntry:
    """What the runtimes were timed on."""

    cpu: str
    simd: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RankerEntry:
    """The ranker.

    Parameters
    ----------
    file : str
        The ONNX model as it was exported, which every machine can run.
    runtime, model : str
        What was chosen, and the file or directory that it runs.
    max_error : float
        The exported model's largest difference from the training framework's scores.
    requests, candidates : int
        How many requests a runtime must hold on to be chosen, and of how many rows at most.
    machine : MachineEntry
    runtimes : tuple of RuntimeEntry
        The first is the reference.
    skipped : mapping of runtime to str
        Those that could not be tried, and why.
    """

    file: str
    runtime: str
    model: str
    max_error: float
    requests: int
    candidates: int
    machine: MachineEntry
    runtimes: tuple[RuntimeEntry, ...]
    skipped: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class PopularEntry:
    """The fallback list."""

    file: str
    items: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is in a release.

    Parameters
    ----------
    id, name, created : str
        The release's id, its spec's name, and when it was made (UTC, ISO 8601).
    spec_fingerprint : str
    files : mapping of path to FileEntry
        Every file but the manifest.
    row_sets : mapping of name to RowSetEntry
    index : IndexEntry
    ranker : RankerEntry
    popular : PopularEntry
    metrics : mapping
        What training and evaluation reported, by name.
    versions : mapping of package to version
    """

    id: str
    name: str
    created: str
    spec_fingerprint: str
    files: Mapping[str, FileEntry]
    row_sets: Mapping[str, RowSetEntry]
    index: IndexEntry
    ranker: RankerEntry
    popular: PopularEntry
    metrics: Mapping[str, Any]
    versions: Mapping[str, str]

    def to_json(self) -> str:
        """Readable JSON."""
        data = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        return json.dumps(data, indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Read what `to_json` wrote.

        Raises
        ------
        ReleaseError
            If the text is not JSON, of another format or version, or a field is missing, unknown or of the wrong type.
        """
        try:
            data = json.loads(text)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ReleaseError(f"it is not valid JSON ({error})") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise ReleaseError(f"its 'format' is not '{FORMAT}', so this is no release manifest")
        if data.get("version") != VERSION:
            raise ReleaseError(
                f"it has version {data.get('version')!r} and this code reads version {VERSION}; "
                "install the friesian_fast that made it"
            )
        fields = {name: value for name, value in data.items() if name not in ("format", "version")}
        _check_fields(cls, fields, "the manifest")
        return cls(
            id=_text(fields, "id"),
            name=_text(fields, "name"),
            created=_text(fields, "created"),
            spec_fingerprint=_text(fields, "spec_fingerprint"),
            files={name: _entry(FileEntry, value, f"files['{name}']") for name, value in _object(fields, "files")},
            row_sets={
                name: _entry(RowSetEntry, value, f"row_sets['{name}']") for name, value in _object(fields, "row_sets")
            },
            index=_entry(IndexEntry, fields["index"], "index"),
            ranker=_ranker(fields["ranker"]),
            popular=_entry(PopularEntry, fields["popular"], "popular"),
            metrics=dict(_object(fields, "metrics")),
            versions=dict(_object(fields, "versions")),
        )


_CHECKS = {
    "str": lambda value: isinstance(value, str),
    "int": lambda value: isinstance(value, int) and not isinstance(value, bool) and value >= 0,
    "float": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value),
}


def _entry(cls: type[T], data: Any, where: str) -> T:
    if not isinstance(data, dict):
        raise ReleaseError(f"'{where}' is not an object")
    _check_fields(cls, data, f"'{where}'")
    _check_values(cls, data, where)
    return cls(**data)


def _check_values(cls: type[Any], data: Mapping[str, Any], where: str) -> None:
    for field in dataclasses.fields(cls):
        if field.name in data and not _CHECKS[str(field.type)](data[field.name]):
            raise ReleaseError(f"'{where}' has {field.name} = {data[field.name]!r}, which is no valid {field.type}")


def _ranker(data: Any) -> RankerEntry:
    if not isinstance(data, dict):
        raise ReleaseError("'ranker' is not an object")
    _check_fields(RankerEntry, data, "'ranker'")
    if not isinstance(data["runtimes"], list):
        raise ReleaseError("'ranker.runtimes' is not a list")
    parts: dict[str, Any] = {
        "machine": _entry(MachineEntry, data["machine"], "ranker.machine"),
        "runtimes": tuple(
            _entry(RuntimeEntry, value, f"ranker.runtimes[{number}]") for number, value in enumerate(data["runtimes"])
        ),
        "skipped": {name: str(why) for name, why in _object(data, "skipped", "ranker.")},
    }
    plain = {name: value for name, value in data.items() if name not in parts}
    _check_values(RankerEntry, plain, "ranker")
    if not 1 <= plain["candidates"] <= MAX_CANDIDATES:
        raise ReleaseError(f"'ranker' has candidates = {plain['candidates']}; a request may rank 1 to {MAX_CANDIDATES}")
    return RankerEntry(**plain, **parts)


def _check_fields(cls: type[Any], data: Mapping[str, Any], where: str) -> None:
    wanted = {field.name for field in dataclasses.fields(cls)}
    if missing := sorted(wanted - data.keys()):
        raise ReleaseError(f"{where} lacks {', '.join(missing)}")
    if unknown := sorted(data.keys() - wanted):
        raise ReleaseError(f"{where} has unknown fields: {', '.join(unknown)}")


def _text(fields: Mapping[str, Any], name: str) -> str:
    if not isinstance(fields[name], str):
        raise ReleaseError(f"'{name}' is not a string")
    return str(fields[name])


def _object(fields: Mapping[str, Any], name: str, under: str = "") -> list[tuple[str, Any]]:
    if not isinstance(fields[name], dict):
        raise ReleaseError(f"'{under}{name}' is not an object")
    return list(fields[name].items())
