"""A table method for any Python function, on one row at a time or on whole columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from numbers import Integral, Real
from typing import Any, Literal, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.frames import FrameTable, spark_errors
from friesian_fast.feature.ops.base import put
from friesian_fast.feature.ops.cast import TYPES, cast_array
from friesian_fast.feature.ops.function import Function, is_importable, name_of, whole
from friesian_fast.feature.ops.merge import common_type

T = TypeVar("T", bound="FunctionTable")


class FunctionTable(FrameTable):
    """The part of `FeatureTable` that applies Python functions to rows."""

    def apply(
        self: T,
        in_col: str | Sequence[str],
        out_col: str,
        func: Callable[..., Any],
        dtype: Any = "string",
        *,
        vectorized: Literal["arrow", "numpy"] | None = None,
    ) -> T:
        """A column computed by any Python function: value by value, or much faster on whole columns.

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
            it null), and anything a string. What a vectorised function returns is cast to it.
        vectorized : {"arrow", "numpy"}, optional
            `func` takes one ``pyarrow.Array`` or ``numpy.ndarray`` per column, each of its own type, and returns one of
            as many values. In NumPy a null is NaN in a column of numbers, else None. It sees batches of rows, and must
            not depend on which. At the top of a module that the tasks import it is recorded, and runs in the
            native stage; anywhere else in a pass of its own.

        Raises
        ------
        InvalidInputError
            If an argument cannot be used. What `func` itself raises comes when rows are computed.
        """
        if not isinstance(out_col, str):
            raise InvalidInputError("out_col must be a single column")
        if not callable(func):
            raise InvalidInputError(f"func should be a function, but got {type(func).__name__}")
        names = self._existing(in_col, "in_col")
        if not names:
            raise InvalidInputError("in_col is empty; name the columns that func takes")
        if vectorized not in (None, "arrow", "numpy"):
            raise InvalidInputError(f"vectorized is {vectorized!r}; use 'arrow' or 'numpy', or leave it out")
        if vectorized:
            return self._apply_whole(names, out_col, func, dtype, numpy=vectorized == "numpy")
        return self._apply_rows(names[0] if isinstance(in_col, str) else names, out_col, func, dtype)

    def _apply_rows(self: T, in_col: str | list[str], out_col: str, func: Callable[..., Any], dtype: Any) -> T:
        from pyspark.sql import functions as sql
        from pyspark.sql.pandas.types import from_arrow_type

        if isinstance(in_col, str):
            value = sql.col(f"`{in_col}`")
        else:
            common = from_arrow_type(common_type({name: self._type(name) for name in in_col}))
            value = sql.array(*[sql.col(f"`{name}`").cast(common) for name in in_col])
        with spark_errors(f"apply to {in_col} as {dtype}"):
            kind = sql.udf(func, dtype).returnType
            checked = sql.udf(partial(typed, func, _family(kind)), kind, useArrow=True)
            return self._of(self.df.withColumn(out_col, checked(value)), "apply")

    def _apply_whole(
        self: T, names: list[str], out_col: str, func: Callable[..., Any], dtype: Any, *, numpy: bool
    ) -> T:
        import pyarrow as pa
        from pyspark.sql import functions as sql
        from pyspark.sql.pandas.types import from_arrow_schema, to_arrow_type

        with spark_errors(f"apply to {names} as {dtype}"):
            kind = to_arrow_type(sql.udf(lambda value: value, dtype).returnType)
        if _is_plain(kind) and is_importable(func):
            return self._then(Function(tuple(names), out_col, name_of(func), numpy, str(kind)))
        fields = {field.name: field.type for field in self._arrow_schema} | {out_col: kind}
        run = partial(computed, func, names, out_col, numpy, kind)
        return self._of(self.df.mapInArrow(run, from_arrow_schema(pa.schema(list(fields.items())))))


def computed(
    func: Callable[..., Any], columns: list[str], out: str, numpy: bool, kind: Any, batches: Iterable[Any]
) -> Iterator[Any]:
    """The batches with the column `out` computed by a function on whole columns, and cast to `kind`."""
    for batch in batches:
        named = getattr(func, "__qualname__", repr(func))
        made = whole(func, [batch.column(name) for name in columns], numpy=numpy, named=named)
        yield put(batch, {out: cast_array(made, str(kind)) if _is_plain(kind) else made.cast(kind)})


def _is_plain(kind: Any) -> bool:
    """Whether `cast` knows the Arrow type."""
    import pyarrow as pa

    return any(kind == pa.type_for_alias(name) for name in TYPES.values())


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
