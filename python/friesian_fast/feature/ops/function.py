"""A function of our own on whole Arrow columns."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops.base import Op, column, put


@dataclass(frozen=True, slots=True)
class Function(Op):
    """``function(*columns)``; the function is named, ``module:name``, so that tasks and specs can say which it is."""

    columns: tuple[str, ...]
    output: str
    function: str
    name = "function"

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.columns

    @property
    def outputs(self) -> tuple[str, ...]:
        return (self.output,)

    @property
    def params(self) -> dict[str, Any]:
        return {"function": self.function}

    @classmethod
    def create(
        cls, inputs: Sequence[str], outputs: Sequence[str], params: Mapping[str, Any], resources: Mapping[str, str]
    ) -> Function:
        return cls(tuple(inputs), outputs[0], params["function"])

    def apply(self, batch: Any) -> Any:
        result = resolve(self.function)(*(column(batch, name) for name in self.columns))
        if len(result) != batch.num_rows:
            raise InvalidInputError(
                f"{self.function} made {len(result)} values of {batch.num_rows} rows; it must return one per row"
            )
        return put(batch, {self.output: result})


def name_of(function: Callable[..., Any]) -> str:
    """``module:name`` of a module-level function.

    Raises
    ------
    InvalidInputError
        If it cannot be found again by that name, as lambdas and inner functions cannot.
    """
    module, name = function.__module__, function.__qualname__
    if "<" in name or module == "__main__":
        raise InvalidInputError(
            f"{name} cannot be found again by the tasks; define it at the top of a module that can be imported"
        )
    return f"{module}:{name}"


@lru_cache(maxsize=256)
def resolve(name: str) -> Callable[..., Any]:
    """The function of that ``module:name``."""
    module, _, attribute = name.partition(":")
    function: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
    return function
