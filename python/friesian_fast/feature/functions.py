"""A table method for any Python function, one row at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.frames import FrameTable, spark_errors
from friesian_fast.feature.ops.merge import common_type

T = TypeVar("T", bound="FunctionTable")


class FunctionTable(FrameTable):
    """The part of `FeatureTable` that applies Python functions to rows."""

    def apply(
        self: T, in_col: str | Sequence[str], out_col: str, func: Callable[[Any], Any], dtype: Any = "string"
    ) -> T:
        """A column computed by any Python function, value by value; `map_arrow` is the fast way.

        Parameters
        ----------
        in_col : str or list of str
            One column: `func` gets its value, None for null. A list: `func` gets a list of the columns' values, of
            their common type (strings, if one of them is a string column).
        out_col : str
            Replaced where it stands, or added last.
        func : function
        dtype : str or pyspark.sql.types.DataType
            What `func` returns. A value of another type becomes null, but an int is a float too (the original made
            it null), and anything a string.
        """
        from pyspark.sql import functions as sql
        from pyspark.sql.pandas.types import from_arrow_type

        if not isinstance(out_col, str):
            raise InvalidInputError("out_col must be a single column")
        if not callable(func):
            raise InvalidInputError(f"func should be a function, but got {type(func).__name__}")
        names = self._existing(in_col, "in_col")
        if isinstance(in_col, str):
            value = sql.col(f"`{in_col}`")
        elif not names:
            raise InvalidInputError("in_col is empty; name the columns that func takes")
        else:
            common = from_arrow_type(common_type({name: self._type(name) for name in names}))
            value = sql.array(*[sql.col(f"`{name}`").cast(common) for name in names])
        with spark_errors(f"apply to {in_col} as {dtype}"):
            kind = sql.udf(func, dtype).returnType
            checked = sql.udf(partial(typed, func, _family(kind)), kind, useArrow=True)
            return self._of(self.df.withColumn(out_col, checked(value)), "apply")


def typed(func: Callable[[Any], Any], family: str, value: Any) -> Any:
    """The function's answer, or None if it is not of that family of types."""
    answer = func(value)
    if not family or answer is None:
        return answer
    truth = type(answer).__name__ in ("bool", "bool_")  # NumPy's, without importing it
    if truth or family == "boolean":
        return bool(answer) if truth and family == "boolean" else None
    if family == "integer":
        return int(answer) if isinstance(answer, Integral) else None
    return float(answer) if isinstance(answer, Real) else None


def _family(kind: Any) -> str:
    from pyspark.sql.types import BooleanType, DecimalType, FractionalType, IntegralType

    if isinstance(kind, BooleanType):
        return "boolean"
    if isinstance(kind, IntegralType):
        return "integer"
    return "float" if isinstance(kind, FractionalType) and not isinstance(kind, DecimalType) else ""
