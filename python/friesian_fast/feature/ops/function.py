"""A function of our own on whole Arrow columns."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column, put
from friesian_fast.feature.ops.cast import cast_array


@dataclass(frozen=True, slots=True)
class Function(Op):
    """``function(*columns)``; the function is named, ``module:name``, so that tasks and specs can say which it is.

    With `numpy` it takes and returns NumPy arrays instead of Arrow's; with `type` its answer is cast to that.
    """

    columns: tuple[str, ...]
    output: str
    function: str
    numpy: bool = False
    type: str = ""
    name = "function"

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def params(self) -> dict[str, Any]:
        chosen = {"numpy": self.numpy, "type": self.type}
        return {"function": self.function, **{key: value for key, value in chosen.items() if value}}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Function:
        return cls(tuple(inputs), outputs[0], **params)

    def apply(self, batch: Any) -> Any:
        arrays = [column(batch, name) for name in self.columns]
        result = whole(resolve(self.function), arrays, numpy=self.numpy, named=self.function)
        return put(batch, {self.output: cast_array(result, self.type) if self.type else result})


def whole(function: Callable[..., Any], arrays: Sequence[Any], *, numpy: bool, named: str) -> Any:
    """The function's answer on whole columns, as an Arrow array.

    Raises
    ------
    InvalidInputError
        If it is not one value per row; says which function, `named`.
    """
    import pyarrow as pa

    given = [array.to_numpy(zero_copy_only=False) for array in arrays] if numpy else arrays
    result = function(*given)
    if numpy:
        result = pa.array(result)
    if isinstance(result, pa.ChunkedArray):
        result = result.combine_chunks()
    if len(result) != len(arrays[0]):
        raise InvalidInputError(
            f"{named} made {len(result)} values of {len(arrays[0])} rows; it must return one per row"
        )
    return result


def is_importable(function: Callable[..., Any]) -> bool:
    """Whether tasks find the function again by its name, as they do not find lambdas, inner functions and scripts'."""
    module, name = getattr(function, "__module__", None), getattr(function, "__qualname__", "")
    return bool(name) and "<" not in name and "." not in name and module not in (None, "__main__")


def name_of(function: Callable[..., Any]) -> str:
    """``module:name`` of a module-level function.

    Raises
    ------
    InvalidInputError
        If it cannot be found again by that name, as lambdas and inner functions cannot.
    """
    if not is_importable(function):
        name = getattr(function, "__qualname__", repr(function))
        raise InvalidInputError(
            f"{name} cannot be found again by the tasks; define it at the top of a module that can be imported"
        )
    return f"{function.__module__}:{function.__qualname__}"


@lru_cache(maxsize=256)
def resolve(name: str) -> Callable[..., Any]:
    """The function of that ``module:name``."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function
