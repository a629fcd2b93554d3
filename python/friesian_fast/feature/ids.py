"""Table methods on ids: one-hot columns, other ids in their place, and the values there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.categorical import require_category, require_limit
from friesian_fast.feature.fit import StatsRequest, VocabularyRequest, gather
from friesian_fast.feature.ops import LookUp, OneHot
from friesian_fast.feature.ops.lists import is_list
from friesian_fast.feature.plan import Part
from friesian_fast.feature.reindex_fit import IdMap, map_of_ids
from friesian_fast.feature.scan import open_files
from friesian_fast.feature.session import get_session
from friesian_fast.feature.shuffle import in_files
from friesian_fast.feature.string_index import typed
from friesian_fast.feature.table import Table
from friesian_fast.feature.tasks import scratch
from friesian_fast.feature.vocabulary_file import VocabularyFile, read
from friesian_fast.feature.write import write_batches

T = TypeVar("T", bound="IdsTable")

_MOST_COLUMNS = 100_000
_MOST_VALUES = 20_000_000


class IdsTable(Table):
    """The part of `FeatureTable` that works on ids."""

    def one_hot_encode(
        self: T,
        columns: str | Sequence[str],
        sizes: int | Sequence[int] | None = None,
        prefix: str | Sequence[str] | None = None,
        keep_original_columns: bool = False,
    ) -> T:
        """Columns ``<prefix>_0``, ``<prefix>_1`` and so on (int) where the column stands, 1 where the id is that.

        Parameters
        ----------
        columns : str or list of str
            Of ids from 0. A null, a negative id, or one that is not below the size is an `InvalidInputError`: now if
            the sizes are to be found, else when the rows are computed (the original took negative ids from the end).
        sizes : int or list of int, optional
            How many ids there are; by default the largest and one more, found for all columns in one pass.
        prefix : str or list of str, optional
            By default the column's name.
        keep_original_columns : bool
            Keep the column, before its new ones.
        """
        names = self._existing(columns)
        for name in names:
            self._require_int(name)
        prefixes = _one_each(names, names if prefix is None else prefix, "prefix", str)
        if sizes is None:
            sizes = self._sizes(names)
        counts = _one_each(names, sizes, "sizes", (int, np.integer))
        if any(count < 1 or isinstance(count, bool) for count in counts) or sum(counts) > _MOST_COLUMNS:
            raise InvalidInputError(
                f"sizes are {dict(zip(names, counts, strict=True))}; each must be at least 1, all together at most "
                f"{_MOST_COLUMNS}"
            )
        ops = [
            OneHot(name, one, int(count), bool(keep_original_columns))
            for name, one, count in zip(names, prefixes, counts, strict=True)
        ]
        gone = [] if keep_original_columns else names
        made = [*(name for name in self.columns if name not in gone), *(out for op in ops for out in op.outputs)]
        if len(set(made)) < len(made):
            again = sorted({name for name in made if made.count(name) > 1})
            raise InvalidInputError(f"{again} would be there twice; give another prefix")
        return self._then(*ops)

    def gen_reindex_mapping(
        self: T, columns: str | Sequence[str] = (), freq_limit: int | Mapping[str, int] = 10
    ) -> list[T]:
        """New ids for the ids of each column that occur often enough, found for all columns in one pass.

        Parameters
        ----------
        columns : str or list of str
            Of ids.
        freq_limit : int or dict of str to int
            The fewest occurrences an id needs; a dict must have all columns.

        Returns
        -------
        list of FeatureTable
            For each column a table of it and ``<column>_new`` (int): from 1, by descending count, ties by the digits
            of the id. Nulls get none.
        """
        names = self._existing(columns)
        for name in names:
            self._require_int(name)
        limits = [_limit(name, freq_limit) for name in names]
        files = self._vocabularies_of(names, limits)
        return [self._mapping(name, file) for name, file in zip(names, files, strict=True)]

    def reindex(self: T, columns: str | Sequence[str] = (), index_tbls: Table | Sequence[Table] = ()) -> T:
        """Replace ids, also those in lists or in lists of lists, in place (int); unknown ones become 0, null stays.

        Parameters
        ----------
        columns : str or list of str
        index_tbls : FeatureTable or list of FeatureTable
            One for each column, of `gen_reindex_mapping`: the first column has the old ids, the second the new ones.
        """
        names = self._existing(columns)
        tables = [index_tbls] if isinstance(index_tbls, Table) else index_tbls
        if not isinstance(tables, (list, tuple)) or len(tables) != len(names):
            raise InvalidInputError("each column of columns should have one corresponding index_dict")
        maps: dict[int, IdMap] = {}
        for name, table in zip(names, tables, strict=True):
            _require_ids(name, self._type(name))
            if not isinstance(table, Table) or len(table.columns) < 2:
                raise InvalidInputError(f"index_tbls of column '{name}' should be a Table of old and new ids")
            for own in table.columns[:2]:
                _require_int_type(f"index_tbls of column '{name}': {own}", table._type(own))
            if id(table) not in maps:
                parts = [in_files(part) for part in table._plain_parts()]
                maps[id(table)] = map_of_ids(get_session(), parts, table.columns[:2], name)
        chosen = [maps[id(table)] for table in tables]
        return self._then(*(LookUp(name, name, one.sha256, one.path) for name, one in zip(names, chosen, strict=True)))

    def get_vocabularies(self, columns: str | Sequence[str]) -> dict[str, list[Any]]:
        """The distinct values of columns, in their own types, on the driver; nulls are left out.

        Parameters
        ----------
        columns : str or list of str

        Returns
        -------
        dict of str to list
            By column, by descending count, ties by the value's text; found in one pass for all columns.

        Raises
        ------
        InvalidInputError
            If there are more than 20 million values of one column: `gen_string_idx` leaves them in files.
        """
        names = self._existing(columns)
        for name in names:
            require_category(name, self._type(name))
        files = self._vocabularies_of(names, [1] * len(names))
        for name, file in zip(names, files, strict=True):
            if file.size > _MOST_VALUES:
                raise InvalidInputError(
                    f"column '{name}' has {file.size} distinct values, too many for the driver; use gen_string_idx"
                )
        values = (read(file.path).column("value") for file in files)
        by_name = zip(names, values, strict=True)
        return {name: typed(texts, self._type(name)).to_pylist() for name, texts in by_name}

    def _vocabularies_of(self, names: Sequence[str], limits: Sequence[int]) -> list[VocabularyFile]:
        parts = self._plain_parts()
        requests = [
            VocabularyRequest(parts=parts, columns=(name,), freq_limit=limit)
            for name, limit in zip(names, limits, strict=True)
        ]
        return gather(get_session(), requests)

    def _mapping(self: T, name: str, file: VocabularyFile) -> T:
        import pyarrow as pa

        old = typed(read(file.path).column("value"), self._type(name))
        new = pa.array(np.arange(1, len(old) + 1, dtype=np.int32))
        batch = pa.RecordBatch.from_arrays([old, new], names=[name, f"{name}_new"])
        directory = scratch("reindex")
        write_batches([batch], batch.schema, directory / "part-00000.snappy.parquet")
        table = type(self).__new__(type(self))
        table._set((Part(open_files(directory)),), False, {})
        return table

    def _sizes(self, names: Sequence[str]) -> list[int]:
        found = gather(get_session(), [StatsRequest(parts=self._plain_parts(), columns=tuple(names))])[0]
        for name in names:
            stats = found[name]
            if stats.nulls or stats.max is None or stats.min < 0:
                what = f"{stats.nulls} nulls" if stats.nulls else "no values" if stats.max is None else "negative ids"
                raise InvalidInputError(f"column '{name}' has {what}; one-hot columns need ids from 0 in every row")
        return [int(found[name].max) + 1 for name in names]

    def _require_int(self, name: str) -> None:
        _require_int_type(name, self._type(name))


def _require_int_type(what: str, kind: Any) -> None:
    import pyarrow as pa

    if not pa.types.is_integer(kind):
        raise InvalidInputError(f"{what} should be a column of int, but it has type {kind}")


def _require_ids(name: str, kind: Any) -> None:
    import pyarrow as pa

    inner = kind
    for _ in range(2):
        inner = inner.value_type if is_list(inner) else inner
    if not pa.types.is_integer(inner):
        raise InvalidInputError(f"{name} should be a column of int, or of lists of int, but it has type {kind}")


def _one_each(names: Sequence[str], given: Any, what: str, kind: Any) -> list[Any]:
    values = [given] if isinstance(given, kind) else given
    if not isinstance(values, (list, tuple)) or not all(isinstance(value, kind) for value in values):
        wanted = "str or a list of str" if kind is str else "int or a list of int"
        raise InvalidInputError(f"{what} should be {wanted}, but got {given}.")
    if len(values) != len(names):
        raise InvalidInputError(f"columns and {what} should have the same length")
    return list(values)


def _limit(name: str, freq_limit: Any) -> int:
    if isinstance(freq_limit, Mapping):
        if name not in freq_limit:
            raise InvalidInputError(f"freq_limit has no entry for column '{name}'")
        freq_limit = freq_limit[name]
    return require_limit(freq_limit, "freq_limit only supports int or dict")
