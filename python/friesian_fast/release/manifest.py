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
VERSION = 1
FILE_NAME = "manifest.json"

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
    """The item index; `recall` of the top `recall_k`, at `nprobe` and `rerank`, was measured against exact search."""

    file: str
    layout: str
    vectors: int
    dim: int
    metric: str
    nlist: int
    nprobe: int
    rerank: int
    recall: float
    recall_k: int
    recall_queries: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RankerEntry:
    """The ranker; `max_error` is its scores' largest difference from the training framework's."""

    file: str
    runtime: str
    max_error: float


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
                "install the friesian_fast that made it, or publish again"
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
            ranker=_entry(RankerEntry, fields["ranker"], "ranker"),
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
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        if not _CHECKS[str(field.type)](data[field.name]):
            raise ReleaseError(f"'{where}' has {field.name} = {data[field.name]!r}, which is no valid {field.type}")
    return cls(**data)


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


def _object(fields: Mapping[str, Any], name: str) -> list[tuple[str, Any]]:
    if not isinstance(fields[name], dict):
        raise ReleaseError(f"'{name}' is not an object")
    return list(fields[name].items())
