"""Columns of the items, in the order of an index, and conditions on them as bitmaps."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast._files import replacing_directory, sync
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.recall import leaves
from friesian_fast.recall.ids import quoted
from friesian_fast.recall.predicates import And, IsNull, Not, Or, Predicate

FILE_NAME = "columns.json"
FORMAT = "friesian-item-columns"
VERSION = 1
_DTYPES = ("int32", "int64", "float32", "float64")
_TYPES = (*_DTYPES, "bool", "string")

Bitmap = NDArray[np.uint64]


@dataclass(frozen=True, slots=True, kw_only=True)
class ItemColumn:
    """One column.

    Parameters
    ----------
    name : str
    type : {"int32", "int64", "float32", "float64", "bool", "string"}
    values : ndarray, shape (n,)
        Of the type; int32 for a bool (0 or 1) and for a string (its place in `dictionary`). 0 where there is no value.
    valid : ndarray of uint64 or None
        A bitmap of the rows that have a value; None if all have.
    dictionary : tuple of str or None
        A string column's values, each once, rising.
    """

    name: str
    type: str
    values: NDArray[Any]
    valid: Bitmap | None = None
    dictionary: tuple[str, ...] | None = None


class ItemColumns:
    """Columns whose row i belongs to the vector at position i of an index.

    Made by `from_arrow` or `open`. Reads only, so many threads may use it at once.

    Parameters
    ----------
    rows : int
    columns : sequence of ItemColumn

    Examples
    --------
    >>> import pyarrow as pa
    >>> from friesian_fast.recall import ItemColumns, col
    >>> table = {"price": pa.array([5.0, 20.0, None]), "country": pa.array(["FR", "DE", "FR"])}
    >>> columns = ItemColumns.from_arrow(table)
    >>> columns.matches((col("price") < 10) & (col("country") == "FR")).tolist()
    [True, False, False]
    """

    def __init__(self, rows: int, columns: Sequence[ItemColumn]) -> None:
        self.rows = rows
        self._columns = {column.name: column for column in columns}

    @property
    def names(self) -> tuple[str, ...]:
        """The columns, in order."""
        return tuple(self._columns)

    @classmethod
    def from_arrow(cls, columns: Mapping[str, Any]) -> ItemColumns:
        """Take columns over from Arrow.

        Parameters
        ----------
        columns : mapping of name to pyarrow Array or ChunkedArray, shape (n,)
            Numbers, booleans or strings (also dictionary-encoded), in the order of the index; see
            `IvfIndex.in_layout_order`. NaN counts as no value.

        Raises
        ------
        InvalidInputError
            If there are none, their lengths differ, or one has a type that cannot be compared.
        """
        from friesian_fast.recall.arrow_columns import item_column

        read = [item_column(name, values) for name, values in columns.items()]
        lengths = {len(column.values) for column in read}
        if len(lengths) != 1:
            raise InvalidInputError(f"item columns must be of one length, got {sorted(lengths) or 'no columns'}")
        return cls(lengths.pop(), read)

    def save(self, directory: str | Path) -> None:
        """Write the columns as a directory of NumPy arrays and one JSON file, whole or not at all."""
        with replacing_directory(directory) as building:
            listed = []
            for number, column in enumerate(self._columns.values()):
                np.save(building / f"{number}.npy", column.values)
                if column.valid is not None:
                    np.save(building / f"{number}.valid.npy", column.valid)
                dictionary = None if column.dictionary is None else list(column.dictionary)
                listed.append({"name": column.name, "type": column.type, "dictionary": dictionary})
            data = {"format": FORMAT, "version": VERSION, "rows": self.rows, "columns": listed}
            (building / FILE_NAME).write_text(json.dumps(data, ensure_ascii=False) + "\n", encoding="utf-8")
            for path in building.iterdir():
                sync(path)

    @classmethod
    def open(cls, directory: str | Path) -> ItemColumns:
        """Map what `save` wrote.

        Raises
        ------
        NotFoundError
            If it is not there.
        InvalidInputError
            If a file is missing, damaged, or does not fit the others; it names the file.
        """
        path = Path(directory) / FILE_NAME
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError as error:
            raise NotFoundError(f"there are no item columns at {path}") from error
        except (ValueError, RecursionError, OSError) as error:
            raise InvalidInputError(f"{path} cannot be read as JSON: {error}") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT or data.get("version") != VERSION:
            raise InvalidInputError(f"{path} is not of format {FORMAT}, version {VERSION}; write the columns again")
        rows, listed = data.get("rows"), data.get("columns")
        if not isinstance(rows, int) or rows < 0 or not isinstance(listed, list):
            raise InvalidInputError(f"{path} lacks a usable 'rows' or 'columns'")
        return cls(rows, [_open_column(path, number, entry, rows) for number, entry in enumerate(listed)])

    def compile(self, predicate: Predicate) -> Bitmap:
        """The rows that meet a condition.

        Parameters
        ----------
        predicate : Predicate

        Returns
        -------
        ndarray of uint64, shape (ceil(n / 64),)
            Bit i % 64, from the lowest, of word i / 64 is row i; those behind the last row are 0.

        Raises
        ------
        InvalidInputError
            If a column is not there, or is compared with a value of another kind.
        """
        return self._compile(predicate, negated=False)

    def matches(self, predicate: Predicate) -> NDArray[np.bool_]:
        """`compile` as one bool a row."""
        return bits_of(self.compile(predicate), self.rows)

    def select(self, positions: NDArray[np.integer[Any]]) -> ItemColumns:
        """The rows at some positions, in their order."""
        taken = []
        for column in self._columns.values():
            valid = None if column.valid is None else bitmap_of(bits_of(column.valid, self.rows)[positions])
            values = column.values[positions]
            taken.append(
                ItemColumn(name=column.name, type=column.type, values=values, valid=valid, dictionary=column.dictionary)
            )
        return ItemColumns(len(positions), taken)

    def column(self, name: str) -> ItemColumn:
        """One column.

        Raises
        ------
        InvalidInputError
            If there is none of that name; it lists those there are.
        """
        if name not in self._columns:
            known = ", ".join(self._columns) or "no columns"
            raise InvalidInputError(f"the items have no column {quoted(name)} to filter by; they have {known}")
        return self._columns[name]

    def _compile(self, predicate: Predicate, negated: bool) -> Bitmap:
        """Negation goes down to the comparisons, where rows without a value stay out either way."""
        if isinstance(predicate, Not):
            return self._compile(predicate.part, not negated)
        if isinstance(predicate, (And, Or)):
            every = isinstance(predicate, And) != negated
            combined = full_bitmap(self.rows) if every else np.zeros(_words(self.rows), np.uint64)
            for part in predicate.parts:
                bits = self._compile(part, negated)
                (np.bitwise_and if every else np.bitwise_or)(combined, bits, out=combined)
            return combined
        column = self.column(predicate.column)  # type: ignore[attr-defined]
        valid = full_bitmap(self.rows) if column.valid is None else column.valid
        if isinstance(predicate, IsNull):
            return valid.copy() if negated else full_bitmap(self.rows) & ~valid
        bits = leaves.bitmap(column, predicate)
        return valid & ~bits if negated else valid & bits


def full_bitmap(rows: int) -> Bitmap:
    """Every row."""
    words = np.full(_words(rows), np.uint64(2**64 - 1))
    if rows % 64:
        words[-1] = np.uint64(2 ** (rows % 64) - 1)
    return words


def bitmap_of(flags: NDArray[np.bool_]) -> Bitmap:
    """A bitmap of one bool a row."""
    packed = np.packbits(flags, bitorder="little")
    words = np.zeros(_words(len(flags)) * 8, np.uint8)
    words[: len(packed)] = packed
    return words.view("<u8").astype(np.uint64, copy=False)


def bits_of(words: Bitmap, rows: int) -> NDArray[np.bool_]:
    """One bool a row of a bitmap."""
    flags = np.unpackbits(words.astype("<u8", copy=False).view(np.uint8), count=rows, bitorder="little")
    return flags.astype(np.bool_)


def bits_at(words: Bitmap, positions: NDArray[Any]) -> NDArray[np.bool_]:
    """Whether the bits at some positions are set; False behind the end."""
    inside = positions < 64 * len(words)
    at = np.where(inside, positions, 0).astype(np.int64)
    if len(words) == 0:
        return np.zeros(len(positions), np.bool_)
    found: NDArray[np.bool_] = ((words[at >> 6] >> (at & 63).astype(np.uint64)) & np.uint64(1)).astype(np.bool_)
    found[~inside] = False
    return found


def _words(rows: int) -> int:
    return -(-rows // 64)


def _open_column(path: Path, number: int, entry: Any, rows: int) -> ItemColumn:
    if not isinstance(entry, dict) or not isinstance(entry.get("name"), str) or entry.get("type") not in _TYPES:
        raise InvalidInputError(f"{path}: column {number} needs a 'name' and a 'type' of {', '.join(_TYPES)}")
    kind, dictionary = entry["type"], entry.get("dictionary")
    dtype = kind if kind in _DTYPES else "int32"
    values = _load(path.with_name(f"{number}.npy"), dtype, rows)
    limit = 2 if kind == "bool" else None
    if kind == "string":
        if not isinstance(dictionary, list) or any(not isinstance(text, str) for text in dictionary):
            raise InvalidInputError(f"{path}: string column '{entry['name']}' has no dictionary of strings")
        if any(a >= b for a, b in itertools.pairwise(dictionary)):
            raise InvalidInputError(f"{path}: the dictionary of column '{entry['name']}' does not rise")
        limit = max(len(dictionary), 1)
    if limit is not None and rows and (int(values.min()) < 0 or int(values.max()) >= limit):
        raise InvalidInputError(f"{path.with_name(f'{number}.npy')} has codes outside [0, {limit}); write it again")
    valid_path = path.with_name(f"{number}.valid.npy")
    valid = _load(valid_path, "uint64", _words(rows)) & full_bitmap(rows) if valid_path.exists() else None
    return ItemColumn(
        name=entry["name"],
        type=kind,
        values=values,
        valid=valid,
        dictionary=tuple(dictionary) if dictionary is not None and kind == "string" else None,
    )


def _load(path: Path, dtype: str, length: int) -> NDArray[Any]:
    try:
        # An empty array cannot be mapped.
        array = np.load(path, mmap_mode="r" if length else None, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise InvalidInputError(f"{path} cannot be read as a NumPy array: {error}") from error
    if not isinstance(array, np.ndarray) or array.dtype != dtype or array.shape != (length,):
        raise InvalidInputError(f"{path} is not a {dtype} array of shape ({length},); write the columns again")
    if not array.flags.c_contiguous:
        raise InvalidInputError(f"{path} is not contiguous; write the columns again")
    return array
