"""Table methods on categories: vocabularies, hashes, crosses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.fit import VocabularyRequest, gather
from friesian_fast.feature.ops import CrossHash, EncodeFixed, EncodeVocabulary, HashBucket
from friesian_fast.feature.ops.hashing import NATIVE
from friesian_fast.feature.separator import literal
from friesian_fast.feature.session import get_session
from friesian_fast.feature.string_index import StringIndex, checked_ids
from friesian_fast.feature.table import Table

T = TypeVar("T", bound="CategoricalTable")

Columns = str | Mapping[str, Any] | Sequence[str | Mapping[str, Any]]
Index = StringIndex | Mapping[str, int]


class CategoricalTable(Table):
    """The part of `FeatureTable` that works on categories."""

    def gen_string_idx(
        self,
        columns: Columns,
        freq_limit: int | Mapping[str, int] | None = None,
        order_by_freq: bool = False,
        do_split: bool = False,
        sep: str = ",",
    ) -> Any:
        """Give each category an id: from 1, by descending count, ties by the category's bytes; nulls get none.

        Parameters
        ----------
        columns : str, dict or list of them
            A dict ``{"src_cols": [...], "col_name": "x"}`` makes one vocabulary of several columns.
        freq_limit : int or dict of str to int, optional
            The fewest occurrences a category needs; columns that the dict lacks have no limit.
        order_by_freq : bool
            Has no effect: ids are always ordered by frequency here.
        do_split : bool
            Count the tokens of each text; not for dicts.
        sep : str
            What separates tokens: literal text (see `separator.literal` for patterns in the original's way).

        Returns
        -------
        StringIndex, or list of StringIndex if `columns` is a list
        """
        separator = literal(sep) if do_split else None
        requests, names, kinds = [], [], []
        for column in _each(columns):
            sources, name, split = self._sources(column, do_split)
            names.append(name)
            kinds.append(self._value_type(sources, split))
            cut, limit = separator if split else None, _limit(freq_limit, name)
            requests.append(
                VocabularyRequest(parts=self._plain_parts(), columns=tuple(sources), separator=cut, freq_limit=limit)
            )
        indices = map(StringIndex.from_file, gather(get_session(), requests), names, kinds)
        return list(indices) if isinstance(columns, (list, tuple)) else next(indices)

    def encode_string(
        self: T,
        columns: str | Sequence[str],
        indices: Index | Sequence[Index],
        broadcast: bool = True,
        do_split: bool = False,
        sep: str = ",",
        sort_for_array: bool = False,
        keep_most_frequent: bool = False,
    ) -> T:
        """Replace categories by their ids; the columns become int, unknown ones null, and move last.

        Parameters
        ----------
        columns : str or list of str
        indices : StringIndex, dict, or a list of as many
        broadcast : bool
            Accepted for the original's sake: every task maps the vocabulary's file.
        do_split : bool
            The texts are lists of tokens: the result is the list of the known ids.
        sep : str
            What separates tokens: literal text (see `separator.literal` for patterns in the original's way).
        sort_for_array : bool
            Ascending ids in each list.
        keep_most_frequent : bool
            Of each list only the smallest id, which is the most frequent.
        """
        names = self._existing(columns)
        given = [indices] if isinstance(indices, (StringIndex, Mapping)) else indices
        if not isinstance(given, (list, tuple)) or not all(isinstance(one, (StringIndex, Mapping)) for one in given):
            raise InvalidInputError(f"indices should be StringIndex, dict or a list of them, but got {indices!r}")
        if len(given) != len(names):  # the original's own spelling, which scripts may look for
            raise InvalidInputError(f"columns len doesn't match indices lenngth: {len(names)} and {len(given)}")
        for name in names:
            require_category(name, self._type(name))
        keep = "min" if keep_most_frequent else "sorted" if sort_for_array else "all"
        separator = literal(sep) if do_split else None
        table = self
        for name, index in zip(names, given, strict=True):
            known = index if isinstance(index, StringIndex) else StringIndex.from_dict(index, name)
            table = table._encode(name, known, separator, keep)
        return table

    def encode_fixed(self: T, column: str, ids: Mapping[str, int]) -> T:
        """Replace categories by the ids of a dictionary that must know them all; the column moves last.

        A value that is not in `ids`, or null, is an `InvalidInputError` when the table is written.
        """
        self._existing(column)
        return self._then(EncodeFixed(column, tuple(checked_ids(ids, column).items()), strict=True))

    def category_encode(
        self: T,
        columns: Columns,
        freq_limit: int | Mapping[str, int] | None = None,
        order_by_freq: bool = False,
        do_split: bool = False,
        sep: str = ",",
        sort_for_array: bool = False,
        keep_most_frequent: bool = False,
        broadcast: bool = True,
    ) -> tuple[T, Any]:
        """`gen_string_idx`, then `encode_string` with what it made."""
        indices = self.gen_string_idx(columns, freq_limit, order_by_freq, do_split, sep)
        given = _each(columns)
        made = indices if isinstance(indices, list) else [indices]
        pairs = [
            (source, index)
            for column, index in zip(given, made, strict=True)
            for source in self._sources(column, do_split)[0]
        ]
        table = self.encode_string(
            [source for source, _ in pairs],
            [index for _, index in pairs],
            broadcast,
            do_split,
            sep,
            sort_for_array,
            keep_most_frequent,
        )
        return table, indices

    def hash_encode(self: T, columns: str | Sequence[str], bins: int, method: str = "md5") -> T:
        """``int(hash(str(x)), 16) % bins`` in place, int32; null hashes as the text ``None``.

        Parameters
        ----------
        columns : str or list of str
        bins : int
        method : str
            A hash that ``hashlib`` has, of which md5 is computed natively; or ``"xxh3"``, native and fast on any CPU,
            for models that need not agree with the original.
        """
        _require_method(method)
        _require_bins(bins)
        return self._then(*(HashBucket(name, bins, method) for name in self._existing(columns)))

    def cross_hash_encode(
        self: T,
        cross_columns: Sequence[Any],
        bin_sizes: int | Sequence[int],
        cross_col_names: str | Sequence[str | None] | None = None,
        method: str = "md5",
        *,
        separator: str = "",
    ) -> T:
        """Hash combinations of columns into new last columns.

        Parameters
        ----------
        cross_columns : list of lists of str
            Each with at least two columns; one list alone is accepted too.
        bin_sizes : list of int
        cross_col_names : list of str or None, optional
            By default the columns' names joined by ``_``.
        method : str
            As in `hash_encode`.
        separator : str
            Put between the texts. Without one, as in the original, ("a", "bc") meets ("ab", "c") in one bucket; a text
            that does not occur in the values, such as ``"\\x1f"``, keeps them apart.
        """
        crosses, sizes, names = _crosses(cross_columns, bin_sizes, cross_col_names)
        _require_method(method)
        if not isinstance(separator, str):
            raise InvalidInputError(f"separator should be str, but got {separator!r}")
        outputs = [name or "_".join(columns) for columns, name in zip(crosses, names, strict=True)]
        for columns, output in zip(crosses, outputs, strict=True):
            if outputs.count(output) > 1 or (output in self.columns and output not in columns):
                raise InvalidInputError(f"['{output}'] would be there twice; give other cross_col_names")
        ops = []
        for columns, bins, output in zip(crosses, sizes, outputs, strict=True):
            _require_bins(bins)
            for column in self._existing(columns):
                require_category(column, self._type(column))
            ops.append(CrossHash(tuple(columns), output, bins, method, separator))
        return self._then(*ops)

    cross_columns = cross_hash_encode

    def _encode(self: T, name: str, index: StringIndex, separator: str | None, keep: str) -> T:
        if index.fixed is not None:
            return self._then(EncodeFixed(name, tuple(index.fixed.items()), False, separator, keep))
        key = self._vocabulary_key(index)
        return self._then(EncodeVocabulary(name, key, index.file.path, separator, keep), more={key: index.file})

    def _sources(self, column: str | Mapping[str, Any], do_split: bool) -> tuple[list[str], str, bool]:
        if isinstance(column, str):
            return self._existing(column), column, do_split
        if not isinstance(column, Mapping):
            raise InvalidInputError(f"columns should be str, dict or a list of them, but got {column!r}")
        if "src_cols" not in column:
            raise InvalidInputError("Union columns must has argument 'src_cols'")
        sources = self._existing(column["src_cols"], "src_cols")
        if not sources:
            raise InvalidInputError("src_cols is empty; name the columns to unite")
        return sources, column.get("col_name") or f"{sources[0]}_union", False

    def _value_type(self, columns: Sequence[str], split: bool) -> Any:
        """The type of a vocabulary's values: the columns' own if it is one, else text, as for tokens."""
        import pyarrow as pa

        for name in columns:
            require_category(name, self._type(name))
        kinds = {self._type(name) for name in columns}
        return pa.string() if split or len(kinds) > 1 else kinds.pop()

    def _vocabulary_key(self, index: StringIndex) -> str:
        """The index's name, unless another vocabulary has it."""
        known = self._vocabularies.get(index.col_name)
        if known is None or known.sha256 == index.file.sha256:
            return index.col_name
        return f"{index.col_name}-{index.file.sha256[:8]}"


def _each(columns: Columns) -> list[str | Mapping[str, Any]]:
    given = [columns] if isinstance(columns, (str, Mapping)) else columns
    if not isinstance(given, (list, tuple)):
        raise InvalidInputError(f"columns should be str, dict or a list of them, but got {columns!r}")
    return list(given)


def _limit(freq_limit: Any, name: str) -> int:
    if isinstance(freq_limit, Mapping):
        freq_limit = freq_limit.get(name)
    return 1 if freq_limit is None else require_limit(freq_limit, "freq_limit only supports int, dict or None")


def require_limit(limit: Any, told: str) -> int:
    """A limit of frequency as an int of at least 1; `told` says what it may be."""
    if not isinstance(limit, int):
        raise InvalidInputError(f"{told}, but get {type(limit).__name__}")
    return max(1, limit)


def require_category(name: str, kind: Any) -> None:
    """The column's values must have texts.

    Raises
    ------
    InvalidInputError
        If they are lists, structs, maps or bytes.
    """
    import pyarrow as pa

    if pa.types.is_nested(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind):
        raise InvalidInputError(f"column '{name}' of type {kind} is no category; cast it, or take its elements")


def _require_method(method: str) -> None:
    # Hashes named shake have no length of their own.
    there = {*hashlib.algorithms_available, *NATIVE}
    if not isinstance(method, str) or method not in there or method.startswith("shake_"):
        named = {*hashlib.algorithms_guaranteed, *NATIVE}
        known = ", ".join(sorted(name for name in named if not name.startswith("shake_")))
        raise InvalidInputError(f"there is no hash method '{method}'; there are {known}")


def _require_bins(bins: int) -> None:
    if not isinstance(bins, int) or not 1 <= bins < 2**31:
        raise InvalidInputError(f"bins is {bins!r}; it must be an int from 1 to 2147483647")


def _crosses(columns: Any, sizes: Any, names: Any) -> tuple[list[list[str]], list[int], list[str | None]]:
    if columns and all(isinstance(name, str) for name in columns):  # the flat form of one cross
        columns, sizes, names = [columns], [sizes], names if names is None else [names]
    if not isinstance(columns, (list, tuple)) or not all(isinstance(cross, (list, tuple)) for cross in columns):
        raise InvalidInputError("cross_columns should be a nested list of string")
    if not isinstance(sizes, (list, tuple)) or not all(isinstance(size, int) for size in sizes):
        raise InvalidInputError("bin_sizes should be a list of int")
    if len(columns) != len(sizes):
        raise InvalidInputError("cross_columns and bin_sizes should have the same length")
    if names is None:
        names = [None] * len(columns)
    if not isinstance(names, (list, tuple)):
        raise InvalidInputError("cross_col_names should be None or a list of string")
    if len(names) != len(columns):
        raise InvalidInputError("cross_columns, bin_sizes and cross_col_names should have the same length")
    if not all(isinstance(name, str) for cross in columns for name in cross):
        raise InvalidInputError("cross_columns should be a nested list of string")
    if any(len(cross) < 2 for cross in columns):
        raise InvalidInputError("each element in cross_columns should have >= 2 columns")
    if not all(name is None or isinstance(name, str) for name in names):
        raise InvalidInputError("each element in cross_col_names should be None or string")
    return [list(cross) for cross in columns], list(sizes), list(names)
