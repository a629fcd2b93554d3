"""Reads what is published out of Parquet: one checked, ordered table of rows or vectors per entity."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.recall.arguments import LARGEST_NORM, norms_of
from friesian_fast.spec import Column, RowSet

VECTOR_COLUMN = "prediction"


@dataclass(frozen=True, slots=True)
class RowTable:
    """The rows of one row set, one per id, ascending by id.

    Parameters
    ----------
    ids : int64 ndarray of shape (n,), or list of str
    columns : mapping of name to pyarrow array of n elements
        In the spec's types.
    """

    ids: Any
    columns: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class VectorTable:
    """Vectors, one per id, ascending by id.

    Parameters
    ----------
    ids : int64 ndarray of shape (n,), or list of str
    vectors : float32 ndarray of shape (n, dim)
    """

    ids: Any
    vectors: np.ndarray[Any, np.dtype[np.float32]]


def read_rows(path: Path, row_set: RowSet) -> RowTable:
    """The id and the columns of `row_set`; of several rows with one id the last counts, by (file name, row)."""
    table = read_columns(path, [row_set.id_column, *(column.name for column in row_set.columns)])
    ids, last = last_of_each(path, row_set.id_column, row_set.id_type, table[row_set.id_column])
    table = table.take(pa.array(last))
    columns = {column.name: _typed(path, column, table[column.name]) for column in row_set.columns}
    return RowTable(ids, columns)


def read_vectors(path: Path, id_column: str, id_type: str) -> VectorTable:
    """The id and the ``prediction`` column: lists of the same length, finite and no longer than searches can score.

    The last of one id counts.
    """
    table = read_columns(path, [id_column, VECTOR_COLUMN])
    ids, last = last_of_each(path, id_column, id_type, table[id_column])
    lists = pa.array([]) if table.num_rows == 0 else table[VECTOR_COLUMN].combine_chunks()
    where = f"{path}: column '{VECTOR_COLUMN}'"
    if not _is_list(lists.type) or not pa.types.is_floating(lists.type.value_type):
        raise InvalidInputError(f"{where} has type {lists.type}; vectors are lists of floats")
    if lists.null_count:
        raise InvalidInputError(f"{where} has {lists.null_count} nulls; every row needs a vector")
    lengths = pc.unique(pc.list_value_length(lists)).to_pylist()
    if len(lengths) != 1 or lengths[0] == 0:
        raise InvalidInputError(f"{where} has vectors of the lengths {sorted(lengths)[:5]}; all need the same")
    values = pc.list_flatten(lists)
    flat = values.cast(pa.float32()).to_numpy(zero_copy_only=False)
    vectors = np.ascontiguousarray(flat.reshape(-1, lengths[0])[last])
    broken = ~np.isfinite(vectors).all(axis=1)
    if broken.any():
        first = plain(ids[int(np.argmax(broken))])
        raise InvalidInputError(
            f"{where} has {int(broken.sum())} vectors with NaN or infinity, such as that of {id_column} {first!r}; "
            "the training did not converge"
        )
    norms = norms_of(vectors)
    if norms.max() > LARGEST_NORM:
        longest = int(np.argmax(norms))
        raise InvalidInputError(
            f"{where} has a vector of norm {norms[longest]:.3g}, that of {id_column} {plain(ids[longest])!r}; above "
            f"{LARGEST_NORM:g} scores leave float32: scale the vectors down, or train again"
        )
    return VectorTable(ids, vectors)


def read_columns(path: Path, columns: list[str]) -> Any:
    """These columns of a Parquet file, or of the files of a directory by name, as one pyarrow table."""
    parts = []
    for file in _files(path):
        try:
            parquet = pq.ParquetFile(file)
            names = parquet.schema_arrow.names
            if missing := [name for name in columns if name not in names]:
                raise InvalidInputError(f"{file} has no column '{missing[0]}'; it has {', '.join(names)}")
            parts.append(parquet.read(columns=columns))
        except (OSError, pa.ArrowException) as error:
            raise InvalidInputError(f"{file} cannot be read as Parquet ({error}); write it again") from error
    try:
        table = pa.concat_tables(parts)
    except pa.ArrowException as error:
        raise InvalidInputError(f"{path}: its files differ in their columns' types ({error})") from error
    if table.num_rows == 0:
        raise InvalidInputError(f"{path} has no rows; check the step that wrote it")
    return table.select(columns)


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise NotFoundError(f"there is no file or directory {path}; run the step that writes it")
    files = sorted(file for file in path.rglob("*.parquet") if not file.name.startswith((".", "_")))
    if not files:
        raise NotFoundError(f"{path} holds no .parquet file; run the step that writes it")
    return files


def last_of_each(path: Path, name: str, id_type: str, column: Any) -> tuple[Any, np.ndarray[Any, Any]]:
    """The ids of a column, each once, ascending, and the row where each stands last."""
    where = f"{path}: id column '{name}'"
    if column.null_count:
        raise InvalidInputError(f"{where} has {column.null_count} nulls; every row needs an id")
    if id_type == "int64":
        if not pa.types.is_integer(column.type):
            raise InvalidInputError(f"{where} has type {column.type}; the spec says int64")
        values = column.cast(pa.int64()).to_numpy()
        ids, first = np.unique(values[::-1], return_index=True)
        return ids, len(values) - 1 - first
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise InvalidInputError(f"{where} has type {column.type}; the spec says string")
    encoded = column.combine_chunks().dictionary_encode()
    codes = encoded.indices.to_numpy()
    _, first = np.unique(codes[::-1], return_index=True)
    last = len(codes) - 1 - first  # by code, that is by first appearance
    order = pc.sort_indices(encoded.dictionary).to_numpy()
    return encoded.dictionary.take(pa.array(order)).to_pylist(), last[order]


def _typed(path: Path, column: Column, values: Any) -> Any:
    where = f"{path}: column '{column.name}'"
    scalar = getattr(pa, column.type)()
    wanted = {"scalar": scalar, "list": pa.list_(scalar), "fixed": pa.list_(scalar, column.length)}[column.kind]
    array = values.combine_chunks()
    inner = array.type.value_type if _is_list(array.type) else array.type
    if _is_list(array.type) != (column.kind != "scalar") or not _fits(inner, column.type):
        raise InvalidInputError(f"{where} has type {array.type}; the spec says {column.kind} of {column.type}")
    try:
        array = array.cast(wanted)
    except pa.ArrowException as error:
        raise InvalidInputError(f"{where} does not fit {column.kind} of {column.type}: {error}") from error
    if column.kind == "list" and (longest := pc.max(pc.list_value_length(array)).as_py() or 0) > column.length:
        raise InvalidInputError(f"{where} has a list of {longest} elements; the spec allows {column.length}")
    _check_values(where, column, pc.list_flatten(array) if column.kind != "scalar" else array)
    return array


def _check_values(where: str, column: Column, values: Any) -> None:
    if column.size is not None and len(values) > values.null_count:
        bounds = pc.min_max(values).as_py()
        if bounds["min"] < 0 or bounds["max"] >= column.size:
            raise InvalidInputError(
                f"{where} has values from {bounds['min']} to {bounds['max']}; the spec says 0 to {column.size - 1}"
            )
    if pa.types.is_floating(values.type) and pc.all(pc.is_finite(values)).as_py() is False:
        raise InvalidInputError(f"{where} has NaN or infinity; fill or drop such rows in preprocessing")


def plain(id: Any) -> int | str:
    """An id as a message quotes it: ``1035``, not ``np.int64(1035)``."""
    return id if isinstance(id, str) else int(id)


def _is_list(kind: Any) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _fits(kind: Any, wanted: str) -> bool:
    if wanted.startswith("int"):
        return bool(pa.types.is_integer(kind) or pa.types.is_boolean(kind))
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))
