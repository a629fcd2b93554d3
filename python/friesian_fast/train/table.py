"""Parquet tables into NumPy columns, with every fault named."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.train.files import replacing


def read_columns(path: str | Path, columns: Mapping[str, str | None]) -> dict[str, NDArray[Any]]:
    """Read the named columns of a Parquet file or directory into memory.

    Parameters
    ----------
    path : str or Path
        A file, or a directory of part files as Spark writes it.
    columns : mapping of str to str or None
        Column name → the NumPy dtype wanted ("int32", "float32", …), or None for the column's own (strings become
        an object array).

    Returns
    -------
    dict of str to ndarray, shape (n,)
        In the order of `columns`, n >= 1, without nulls.

    Raises
    ------
    NotFoundError
        If there is nothing at `path`.
    InvalidInputError
        If it is not Parquet, is empty, lacks a column, or a column holds nulls or does not fit the dtype.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    if not path.exists():
        raise NotFoundError(f"there is no table at {path}; the step before this one writes it")
    if path.is_dir() and not any(path.glob("*.parquet")):
        raise InvalidInputError(f"{path} holds no .parquet files; run the step that writes it again")
    try:
        names = pq.ParquetDataset(path).schema.names
        _require_columns(path, columns, names)
        table = pq.read_table(path, columns=list(columns))
    except (pa.ArrowException, OSError) as error:
        raise InvalidInputError(f"{path} is not readable Parquet: {error}") from error
    if table.num_rows == 0:
        raise InvalidInputError(f"the table at {path} is empty; there is nothing to learn from")
    return {name: _to_numpy(table.column(name), name, dtype, path) for name, dtype in columns.items()}


def _require_columns(path: Path, wanted: Mapping[str, Any], present: list[str]) -> None:
    for name in wanted:
        if name not in present:
            raise InvalidInputError(f"the table at {path} has no column '{name}'; it has {', '.join(present)}")


def _to_numpy(column: Any, name: str, dtype: str | None, path: Path) -> NDArray[Any]:
    import pyarrow as pa

    if column.null_count:
        raise InvalidInputError(f"{path}: column '{name}' holds {column.null_count} nulls; fill them in preprocessing")
    if dtype is not None:
        floating = np.issubdtype(np.dtype(dtype), np.floating)
        try:
            # Integers must not change; floats may lose precision, as float32 models take them.
            column = column.cast(pa.from_numpy_dtype(np.dtype(dtype)), safe=not floating)
        except pa.ArrowException as error:
            raise InvalidInputError(f"{path}: column '{name}' does not fit {dtype}: {error}") from error
    return np.ascontiguousarray(column.to_numpy())


def write_columns(path: str | Path, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write a Parquet directory of one part, as Spark would, whole or not at all.

    Parameters
    ----------
    path : str or Path
        Of the directory; what is there is replaced.
    columns : mapping of str to ndarray, shape (n,) or (n, length)
        A matrix becomes a column of fixed-size lists.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrays = {}
    for name, values in columns.items():
        flat = pa.array(values.reshape(-1))
        arrays[name] = flat if values.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, values.shape[1])
    with replacing(path) as partial:
        partial.mkdir()
        pq.write_table(
            pa.table(arrays), partial / "part-00000.snappy.parquet", compression="snappy", use_dictionary=False
        )
        (partial / "_SUCCESS").touch()
