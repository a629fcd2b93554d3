"""The FeatureSpec: what the features are, frozen into JSON with a fingerprint."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from friesian_fast._files import replacing
from friesian_fast.errors import InvalidInputError, NotFoundError

FORMAT = "friesian-spec"
VERSION = 1
# The row set of what is proposed to each user: its columns are lists, with an element for each candidate.
CANDIDATE = "candidate"
PLACE = "place"  # its column that says where in the item index a candidate lies: a number, but no feature

DType = Literal["int32", "int64", "float32", "float64"]
Kind = Literal["scalar", "fixed", "list"]
IdType = Literal["int64", "string"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One feature of a row set.

    Parameters
    ----------
    name : str
    type : {"int32", "int64", "float32", "float64"}
    kind : {"scalar", "fixed", "list"}, default "scalar"
    length : int, default 1
        Elements of a fixed column; the most a list may hold; 1 for a scalar.
    size : int or None
        A categorical column's values lie in ``[0, size)``.
    """

    name: str
    type: DType
    kind: Kind = "scalar"
    length: int = 1
    size: int | None = None

    def __post_init__(self) -> None:
        if self.type not in get_args(DType):
            raise InvalidInputError(f"column '{self.name}' has type '{self.type}'; use one of {get_args(DType)}")
        if self.kind not in get_args(Kind):
            raise InvalidInputError(f"column '{self.name}' has kind '{self.kind}'; use one of {get_args(Kind)}")
        if self.length < 1 or (self.kind == "scalar" and self.length != 1):
            raise InvalidInputError(f"column '{self.name}' of kind '{self.kind}' has length {self.length}")
        if self.size is not None and self.size < 1:
            raise InvalidInputError(f"column '{self.name}' has size {self.size}; it must be at least 1")


@dataclass(frozen=True, slots=True, kw_only=True)
class RowSet:
    """Rows that are looked up by one id."""

    name: str
    id_column: str
    id_type: IdType
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        if self.id_type not in get_args(IdType):
            raise InvalidInputError(f"row set '{self.name}' has id type '{self.id_type}'; use int64 or string")
        _require_unique((column.name for column in self.columns), f"columns of row set '{self.name}'")
        if not self.columns:
            raise InvalidInputError(f"row set '{self.name}' has no columns")

    def column(self, name: str) -> Column:
        """The column of that name."""
        for column in self.columns:
            if column.name == name:
                return column
        known = ", ".join(column.name for column in self.columns)
        raise NotFoundError(f"row set '{self.name}' has no column '{name}'; it has {known}")


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInput:
    """One input of the ranker and the column that feeds it."""

    name: str
    row_set: str
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Transform:
    """One step from raw columns to features; `params` is plain JSON and holds what was fitted."""

    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """A string → id dictionary, pinned by the hash of its values in id order."""

    size: int
    sha256: str

    @classmethod
    def of(cls, values: Iterable[str]) -> Vocabulary:
        """Of the values in id order; the first has id 1."""
        digest = hashlib.sha256()
        size = 0
        for value in values:
            digest.update(value.encode() + b"\n")
            size += 1
        return cls(size=size, sha256=digest.hexdigest())


@dataclass(frozen=True, slots=True, kw_only=True)
class FeatureSpec:
    """The columns, how they came about, and what the ranker takes.

    `files` and `directory` say where on this machine the transforms' files lie; they are no part of what it means.

    Examples
    --------
    >>> spec = FeatureSpec(name="tiny", row_sets=(RowSet(name="user", id_column="user_id", id_type="int64",
    ...     columns=(Column(name="age", type="float32"),)),),
    ...     model_inputs=(ModelInput(name="age", row_set="user", column="age"),))
    >>> FeatureSpec.from_json(spec.to_json()) == spec
    True
    """

    name: str
    row_sets: tuple[RowSet, ...]
    model_inputs: tuple[ModelInput, ...]
    transforms: tuple[Transform, ...] = ()
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
    # Where the transforms' files lie on this machine: each by its name beside the spec, or all in one directory.
    files: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    directory: Path | None = field(default=None, compare=False, repr=False)
    _ready: dict[Any, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        _require_unique((row_set.name for row_set in self.row_sets), "row sets")
        _require_unique((model_input.name for model_input in self.model_inputs), "model inputs")
        for model_input in self.model_inputs:
            self.input_column(model_input)

    def row_set(self, name: str) -> RowSet:
        """The row set of that name."""
        for row_set in self.row_sets:
            if row_set.name == name:
                return row_set
        known = ", ".join(row_set.name for row_set in self.row_sets)
        raise NotFoundError(f"spec '{self.name}' has no row set '{name}'; it has {known}")

    def input_column(self, model_input: ModelInput) -> Column:
        """The column behind a model input, as the ranker takes it: of a candidate one element of each list."""
        column = self.row_set(model_input.row_set).column(model_input.column)
        if (model_input.row_set, model_input.column) == (CANDIDATE, PLACE):
            raise InvalidInputError(
                f"model input '{model_input.name}' is fed by column '{PLACE}' of row set '{CANDIDATE}', which "
                "says where in the index an item lies and nothing of the pair; feed it another column"
            )
        return replace(column, kind="scalar", length=1) if model_input.row_set == CANDIDATE else column

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values, as written to ``spec.json``."""
        return {
            "format": FORMAT,
            "version": VERSION,
            "name": self.name,
            "row_sets": [
                {
                    "name": row_set.name,
                    "id": {"column": row_set.id_column, "type": row_set.id_type},
                    "columns": [
                        {"name": c.name, "type": c.type, "kind": c.kind, "length": c.length, "size": c.size}
                        for c in row_set.columns
                    ],
                }
                for row_set in self.row_sets
            ],
            "model_inputs": [{"name": m.name, "row_set": m.row_set, "column": m.column} for m in self.model_inputs],
            "transforms": [
                {"op": t.op, "inputs": list(t.inputs), "outputs": list(t.outputs), "params": dict(t.params)}
                for t in self.transforms
            ],
            "vocabularies": {name: {"size": v.size, "sha256": v.sha256} for name, v in self.vocabularies.items()},
        }

    def to_json(self) -> str:
        """Readable JSON; `fingerprint` does not depend on its layout."""
        return json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"

    def fingerprint(self) -> str:
        """SHA-256, in hex, of the canonical JSON."""
        canonical = json.dumps(
            self.to_dict(), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False
        )
        return hashlib.sha256(canonical.encode()).hexdigest()

    def row_tag(self, row_set: str) -> bytes:
        """The 8 bytes that every packed row of this row set starts with."""
        self.row_set(row_set)
        return hashlib.sha256(f"{self.fingerprint()}/{row_set}".encode()).digest()[:8]

    @classmethod
    def from_json(cls, text: str) -> FeatureSpec:
        """Read what `to_json` wrote.

        Raises
        ------
        InvalidInputError
            If the text is not JSON, of another format or version, or lacks a field.
        """
        try:
            data = json.loads(text)
        except json.JSONDecodeError as error:
            raise InvalidInputError(f"the feature spec is not valid JSON: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InvalidInputError(f"this is not a feature spec: its 'format' is not '{FORMAT}'")
        if data.get("version") != VERSION:
            raise InvalidInputError(
                f"the feature spec has version {data.get('version')!r}; this code reads version {VERSION}"
            )
        try:
            return cls(
                name=data["name"],
                row_sets=tuple(_row_set_from(value) for value in data["row_sets"]),
                model_inputs=tuple(ModelInput(**value) for value in data["model_inputs"]),
                transforms=tuple(
                    Transform(
                        op=value["op"],
                        inputs=tuple(value["inputs"]),
                        outputs=tuple(value["outputs"]),
                        params=value["params"],
                    )
                    for value in data["transforms"]
                ),
                vocabularies={name: Vocabulary(**value) for name, value in data["vocabularies"].items()},
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidInputError(f"the feature spec lacks or misnames a field: {error}") from error

    @classmethod
    def load(cls, path: str | Path) -> FeatureSpec:
        """Read a spec file."""
        path = Path(path)
        if not path.is_file():
            raise NotFoundError(f"there is no feature spec at {path}; preprocessing writes it")
        try:
            return replace(cls.from_json(path.read_text(encoding="utf-8")), directory=path.absolute().parent)
        except InvalidInputError as error:
            raise InvalidInputError(f"{path}: {error}") from error

    def save(self, path: str | Path, *, files: bool = False) -> None:
        """Write the spec file, whole or not at all.

        Parameters
        ----------
        path : str or Path
        files : bool, default False
            First write the vocabularies and other files that `transform` needs beside it.

        Raises
        ------
        NotFoundError, InvalidInputError
            If such a file is missing, or is not the one that the spec pins.
        """
        if files:
            from friesian_fast.feature.transform import copy_files

            copy_files(self, Path(path).absolute().parent)
        with replacing(path) as partial:
            partial.write_text(self.to_json(), encoding="utf-8")

    def transform(self, batch: Any, *, outputs: Sequence[str] | None = None, modules: Sequence[str] = ()) -> Any:
        """Raw columns to features, without Spark: the same bits as the table that the transforms were recorded on.

        Vocabularies and other files are looked for beside the spec (`load`), or where the table left them; they are
        checked and read at the first call. Needs pyarrow only.

        Parameters
        ----------
        batch : pyarrow.RecordBatch or pyarrow.Table
            Columns of the types that the table's source had; those that no transform needs may be left out.
        outputs : sequence of str, optional
            The columns to make; by default those the spec ends with, else all.
        modules : sequence of str
            Modules of whose functions the transforms of `map_arrow` may call. Nothing else is imported.

        Returns
        -------
        pyarrow.RecordBatch or pyarrow.Table
            As many rows, in their order.

        Raises
        ------
        InvalidInputError
            If a column is missing or cannot be transformed, a file is not the one that the spec pins, or a function is
            of none of the modules; names it.
        NotFoundError
            If a file is not there.
        """
        key = (None if outputs is None else tuple(outputs), tuple(modules))
        if key not in self._ready:
            from friesian_fast.feature.transform import Transformer

            self._ready[key] = Transformer(self, outputs=key[0], modules=key[1])
        return self._ready[key](batch)


def _row_set_from(data: Mapping[str, Any]) -> RowSet:
    return RowSet(
        name=data["name"],
        id_column=data["id"]["column"],
        id_type=data["id"]["type"],
        columns=tuple(Column(**value) for value in data["columns"]),
    )


def _require_unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InvalidInputError(f"{what}: '{name}' is there twice")
        seen.add(name)
