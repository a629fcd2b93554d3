"""Table methods on single columns: pick, drop, rename, cast, fill, compute."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.frames import FrameTable, spark_errors
from friesian_fast.feature.ops import TYPES, Cast, Constant, Drop, FillNull, Function, Rename, Select, name_of

T = TypeVar("T", bound="ShapingTable")

# Spark's names of types that `TYPES` has by another.
_SPARK_NAMES = {"bigint": "long", "smallint": "short"}

_INT32 = range(-(2**31), 2**31)


class ShapingTable(FrameTable):
    """The part of `FeatureTable` that shapes columns."""

    def select(self: T, *cols: Any) -> T:
        """These columns: names, lists of names, or Spark column expressions."""
        names = [name for col in cols for name in (col if isinstance(col, (list, tuple)) else [col])]
        if not names:
            raise InvalidInputError("cols should be str or a list of str, but got None.")
        if all(isinstance(name, str) for name in names) and "*" not in names:
            return self._then(Select(tuple(self._existing(names))))
        return self._of(self.df.select(*names), "select")

    def drop(self: T, *cols: str) -> T:
        """All but these columns; names that are not there are ignored."""
        return self._then(Drop(tuple(cols)))

    def rename(self: T, columns: Mapping[str, str]) -> T:
        """Other names, ``{old: new}``; old names that are not there are ignored."""
        if not isinstance(columns, Mapping):
            raise InvalidInputError(f"columns should be a dict of {{old: new}}, but got {columns}.")
        table = self
        for old, new in columns.items():
            if old in table.columns and new != old:
                if new in table.columns:
                    raise InvalidInputError(f"cannot rename '{old}' to '{new}': there is a column of that name already")
                table = table._then(Rename(old, new))
        return table

    def append_column(self: T, name: str, column: Any) -> T:
        """A further column: a constant, or a Spark column expression."""
        if isinstance(column, (bool, int, float, str)):
            _require_finite(column, "column")
            kind = "bool" if isinstance(column, bool) else "float64" if isinstance(column, float) else "string"
            if isinstance(column, int) and not isinstance(column, bool):
                kind = "int32" if column in _INT32 else "int64"
            return self._then(Constant(name, column, kind))
        from pyspark.sql import Column

        if not isinstance(column, Column):
            raise InvalidInputError(
                f"column should be a pyspark.sql.column.Column or a constant, but got {type(column).__name__}"
            )
        return self._of(self.df.withColumn(name, column), "append_column")

    def cast(self: T, columns: str | Sequence[str] | None, dtype: Any) -> T:
        """Cast in place; what cannot be read as the new type becomes null.

        Parameters
        ----------
        columns : str, list of str or None
            None is all of them.
        dtype : str or pyspark.sql.types.DataType
            One of string, str, boolean, bool, int, integer, long, short, float and double; or Spark's type of that
            name. By any other type of Spark's, Spark casts.
        """
        names = self.columns if columns is None else self._existing(columns)
        kind = dtype if isinstance(dtype, str) else _spark_name(dtype)
        if kind in TYPES:
            return self._then(*(Cast(name, TYPES[kind]) for name in names))
        if kind is None or isinstance(dtype, str):
            raise InvalidInputError("dtype should be string, boolean, int, long, short, float, double.")
        from pyspark.sql import functions as sql

        with spark_errors("cast"):
            return self._of(self.df.withColumns({name: sql.col(f"`{name}`").cast(dtype) for name in names}), "cast")

    def fillna(self: T, value: Any, columns: str | Sequence[str] | None) -> T:
        """Replace nulls by `value`.

        Parameters
        ----------
        value : bool, int, float or str
            Must be of the columns' kind; a number is cut to the column's type, so 3.2 fills an int column with 3. Any
            numeric type is accepted (the original refused float, short and decimal).
        columns : str, list of str or None
            None is all of them; with an int of 32 bits, all of type int.
        """
        value = value.item() if isinstance(value, np.generic) else value
        if not isinstance(value, (bool, int, float, str)):
            raise InvalidInputError(f"value should be a number, str or bool, but got {type(value).__name__}")
        _require_finite(value, "value")
        if columns is not None:
            names = self._existing(columns)
        elif isinstance(value, int) and value in _INT32:
            names = [name for name in self.columns if str(self._type(name)) == "int32"]
        else:
            names = self.columns
        for name in names:
            _require_kind(value, name, self._type(name))
        return self._then(*(FillNull(name, value) for name in names))

    def map_arrow(self: T, in_cols: str | Sequence[str], out_col: str, func: Callable[..., Any]) -> T:
        """A column computed by a function on whole Arrow arrays.

        Parameters
        ----------
        in_cols : str or list of str
        out_col : str
            Replaced where it stands, or added last.
        func : function
            Takes one ``pyarrow.Array`` per input and returns one array of the same length; it must be at the top of a
            module, which the tasks import. It is called with batches, also with empty ones.
        """
        if not isinstance(out_col, str):
            raise InvalidInputError("out_col must be a single column")
        return self._then(Function(tuple(self._existing(in_cols, "in_cols")), out_col, name_of(func)))


def _spark_name(dtype: Any) -> str | None:
    """What `TYPES` calls Spark's type, else Spark's own name of it; None if it is no type of Spark's."""
    from pyspark.sql.types import DataType

    if not isinstance(dtype, DataType):
        return None
    name: str = dtype.simpleString()
    return _SPARK_NAMES.get(name, name)


def _require_finite(value: Any, argument: str) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise InvalidInputError(f"{argument} is {value}; it must be finite, as a FeatureSpec holds no other numbers")


def _require_kind(value: Any, name: str, kind: Any) -> None:
    import pyarrow as pa

    whole, decimal = pa.types.is_integer(kind), pa.types.is_decimal(kind)
    if isinstance(value, str):
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InvalidInputError(f"string does not match the type of column {name}")
    elif isinstance(value, bool):
        if not (pa.types.is_boolean(kind) or str(kind) == "int32"):
            raise InvalidInputError(f"boolean does not match the type of column {name}")
    elif not (whole or decimal or pa.types.is_floating(kind)):
        raise InvalidInputError(f"numeric does not match the type of column {name}")
    elif whole or decimal:
        limits = np.iinfo(kind.to_pandas_dtype()) if whole else None
        most = limits.max if limits else 10 ** (kind.precision - kind.scale) - 1
        if not (limits.min if limits else -most) <= int(value) <= most:
            raise InvalidInputError(f"{value} does not fit column {name} of type {kind}; cast the column first")
