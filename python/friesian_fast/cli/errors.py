"""Turns named failures into one line on stderr and a non-zero exit."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from friesian_fast.errors import FriesianError

P = ParamSpec("P")
R = TypeVar("R")


def reported(command: Callable[P, R]) -> Callable[P, R]:
    """Wrap a command: a `FriesianError` becomes ``error: <message>`` and exit status 1.

    Anything else is a defect of ours and keeps its traceback.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except FriesianError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)

    return run
