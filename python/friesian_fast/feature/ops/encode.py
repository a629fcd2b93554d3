"""Categories to ids: by a fixed dictionary, or by a vocabulary."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column, put, require_sha256
from friesian_fast.feature.ops.cast import cast_array
from friesian_fast.feature.vocabulary_file import load_index, values_sha256
from friesian_fast.feature.vocabulary_file import read as read_vocabulary
from friesian_fast.vocab import VocabularyIndex


@dataclass(frozen=True, slots=True)
class EncodeFixed(Op):
    """Ids from a small dictionary; int32, moved last. Unknown values are null, or with `strict` an error.

    With a separator the text is a list of tokens, as for `EncodeVocabulary`; then none is an error.
    """

    column: str
    ids: tuple[tuple[str, int], ...]
    strict: bool
    separator: str | None = None
    keep: str = "min"
    name = "encode_fixed"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def params(self) -> dict[str, Any]:
        split = {} if self.separator is None else {"separator": self.separator, "keep": self.keep}
        return {"ids": dict(self.ids), "strict": self.strict, **split}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> EncodeFixed:
        split = (params.get("separator"), params.get("keep", "min"))
        return cls(inputs[0], tuple(params["ids"].items()), params["strict"], *split)

    def apply(self, batch: Any) -> Any:
        import pyarrow.compute as pc

        texts = cast_array(column(batch, self.column), "string")
        if self.separator is not None:
            return put(batch, {self.column: split_ids(texts, self.separator, self.keep, self._ids)}, last=True)
        found = self._ids(texts)
        if self.strict and found.null_count:
            unknown = texts.filter(pc.is_null(found))[0].as_py()
            known = ", ".join(repr(key) for key, _ in self.ids)
            raise InvalidInputError(
                f"column '{self.column}' has the value {unknown!r}; it may be {known}; correct or drop such rows"
            )
        return put(batch, {self.column: found}, last=True)

    def _ids(self, texts: Any) -> Any:
        import pyarrow as pa
        import pyarrow.compute as pc

        keys = pa.array([key for key, _ in self.ids], pa.string())
        return pa.array([i for _, i in self.ids], pa.int32()).take(pc.index_in(texts, value_set=keys))


@dataclass(frozen=True, slots=True)
class EncodeVocabulary(Op):
    """Ids from a vocabulary; unknown and null become null; the column moves last.

    With a separator the text is a list of tokens: `keep` is ``"min"`` for the smallest known id (int32), ``"all"`` for
    the ids in the order of the tokens, ``"sorted"`` for ascending ids (both list of int32, unknown tokens left out).
    """

    column: str
    vocabulary: str
    path: str
    separator: str | None = None
    keep: str = "min"
    read: VocabularyIndex | None = field(default=None, compare=False, repr=False)
    name = "encode_vocabulary"

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.column,)

    @property
    def params(self) -> dict[str, Any]:
        split = {} if self.separator is None else {"separator": self.separator, "keep": self.keep}
        return {"vocabulary": self.vocabulary, **split}

    @property
    def resources(self) -> dict[str, str]:
        return {"vocabulary": self.path}

    @classmethod
    def files(cls, params: Mapping[str, Any]) -> dict[str, str]:
        return {"vocabulary": f"vocabularies/{quote(params['vocabulary'], safe=' ')}.arrow"}

    def opened(self, sha256: str) -> EncodeVocabulary:
        values = read_vocabulary(self.path).column("value")
        require_sha256(self.path, values_sha256(values), sha256)
        return replace(self, read=VocabularyIndex(values))

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> EncodeVocabulary:
        return cls(
            inputs[0],
            params["vocabulary"],
            resources["vocabulary"],
            params.get("separator"),
            params.get("keep", "min"),
        )

    def apply(self, batch: Any) -> Any:
        texts = cast_array(column(batch, self.column), "string")
        if self.separator is not None and self.keep != "min":
            return put(batch, {self.column: self._lists(texts)}, last=True)
        return put(batch, {self.column: _known(self._ids(texts))}, last=True)

    def _ids(self, texts: Any) -> Any:
        import pyarrow as pa

        if len(texts) == 0:  # planning asks for the type only, and needs no index for that
            return pa.array([], pa.int32())
        index = self._index()
        found = index.lookup(texts) if self.separator is None else index.lookup_split_min(texts, self.separator)
        return pa.array(found, pa.int32())

    def _index(self) -> VocabularyIndex:
        return load_index(self.path) if self.read is None else self.read

    def _lists(self, texts: Any) -> Any:
        import pyarrow as pa

        if len(texts) == 0:
            return pa.array([], pa.list_(pa.int32()))
        assert self.separator is not None
        index = self._index()
        return split_ids(texts, self.separator, self.keep, lambda tokens: _known(pa.array(index.lookup(tokens))))


def split_ids(texts: Any, separator: str, keep: str, ids_of: Callable[[Any], Any]) -> Any:
    """The ids of the tokens of each text; `ids_of` gives those of an array of tokens, null for unknown ones.

    `keep` is as for `EncodeVocabulary`; a text without a known token gives null.
    """
    import pyarrow as pa

    rows = [[] if text is None else split_tokens(text, separator) for text in texts.to_pylist()]
    ids = iter(ids_of(pa.array([token for row in rows for token in row], pa.string())).to_pylist())
    known = [[found for _ in row if (found := next(ids)) is not None] for row in rows]
    if keep == "min":
        return pa.array([min(row, default=None) for row in known], pa.int32())
    ordered = [sorted(row) for row in known] if keep == "sorted" else known
    return pa.array([row or None for row in ordered], pa.list_(pa.int32()))


def split_tokens(text: str, separator: str) -> list[str]:
    """The tokens of a text, without empty ones at the end; an empty text is one empty token."""
    tokens = text.split(separator)
    while len(tokens) > 1 and not tokens[-1]:
        tokens.pop()
    return tokens if text == "" or tokens != [""] else []


def _known(ids: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    return pc.if_else(pc.equal(ids, 0), pa.scalar(None, pa.int32()), ids)
