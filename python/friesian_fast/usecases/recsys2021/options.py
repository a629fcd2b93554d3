"""Command-line options that the training steps share with the original's scripts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from friesian_fast.errors import InvalidInputError

DataDir = Annotated[Path, typer.Option("--data_dir", help="The preprocessed data.")]
BatchSize = Annotated[int, typer.Option("--batch_size", "-b", help="Records in a step.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed and cores give the same weights.")]
Cores = Annotated[int | None, typer.Option("--executor_cores", min=1, help="Threads; all cores if not given.")]
Backend = Annotated[str | None, typer.Option("--backend", help="ray or spark; accepted, has no effect here.")]
Memory = Annotated[str | None, typer.Option("--executor_memory", help="Accepted, has no effect here.")]


def warn_about_backend(backend: str | None) -> None:
    """Say that the original's cluster backends are not what runs; refuse what the original would refuse."""
    if backend is None:
        return
    if backend not in ("ray", "spark"):
        raise InvalidInputError(
            f"--backend is '{backend}'; the original knew ray and spark, and neither is needed here"
        )
    print(f"warning: --backend {backend} has no effect; training runs in this process", file=sys.stderr)


def parse_units(text: str) -> list[int]:
    """Read layer widths such as "1024, 1024"."""
    try:
        units = [int(part) for part in text.split(",")]
    except ValueError:
        units = []
    if not units or min(units) < 1:
        raise InvalidInputError(f"--hidden_units is '{text}'; give widths of at least 1, such as '1024, 1024'")
    return units
