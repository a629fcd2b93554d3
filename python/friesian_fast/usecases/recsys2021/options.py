"""Command-line options that the training steps share with the original's scripts."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from friesian_fast.errors import InvalidInputError

DataDir = Annotated[Path, typer.Option("--data_dir", help="The preprocessed data.")]
BatchSize = Annotated[int, typer.Option("--batch_size", "-b", help="Records in a step.")]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed and cores give the same weights.")]
Cores = Annotated[int | None, typer.Option("--executor_cores", min=1, help="Threads; all cores if not given.")]

_UNUSED = "Accepted, has no effect here."

# The original's flags for its clusters. A training step here is one process on the local cores.
_CLUSTER_FLAGS = {
    "backend": Annotated[str | None, typer.Option("--backend", help="ray or spark; accepted, has no effect here.")],
    "cluster_mode": Annotated[str | None, typer.Option("--cluster_mode", help=_UNUSED)],
    "master": Annotated[str | None, typer.Option("--master", help=_UNUSED)],
    "num_executors": Annotated[int | None, typer.Option("--num_executors", "--num_executor", help=_UNUSED)],
    "executor_memory": Annotated[str | None, typer.Option("--executor_memory", help=_UNUSED)],
    "driver_cores": Annotated[int | None, typer.Option("--driver_cores", help=_UNUSED)],
    "driver_memory": Annotated[str | None, typer.Option("--driver_memory", help=_UNUSED)],
}


def accepts_cluster_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Let a training step be called with the original's cluster flags, which it never sees."""

    @functools.wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        cluster = {name: options.pop(name, None) for name in _CLUSTER_FLAGS}
        _warn_about_cluster(cluster["backend"], cluster["cluster_mode"])
        command(*arguments, **options)

    signature = inspect.signature(command, eval_str=True)
    flags = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _CLUSTER_FLAGS.items()
    ]
    run.__annotations__ = {**command.__annotations__, **_CLUSTER_FLAGS}
    run.__signature__ = signature.replace(parameters=[*signature.parameters.values(), *flags])  # type: ignore[attr-defined]
    return run


def _warn_about_cluster(backend: str | None, cluster_mode: str | None) -> None:
    if backend not in (None, "ray", "spark"):
        raise InvalidInputError(
            f"--backend is '{backend}'; the original knew ray and spark, and neither is needed here"
        )
    if cluster_mode not in (None, "local", "standalone", "yarn", "spark-submit"):
        raise InvalidInputError(f"--cluster_mode is '{cluster_mode}'; use local, standalone, yarn or spark-submit")
    if backend is not None:
        print(f"warning: --backend {backend} has no effect; training runs in this process", file=sys.stderr)
    if cluster_mode not in (None, "local"):
        print(f"warning: --cluster_mode {cluster_mode} has no effect; training runs in this process", file=sys.stderr)


def parse_units(text: str) -> list[int]:
    """Read layer widths such as "1024, 1024"."""
    try:
        units = [int(part) for part in text.split(",")]
    except ValueError:
        units = []
    if not units or min(units) < 1:
        raise InvalidInputError(f"--hidden_units is '{text}'; give widths of at least 1, such as '1024, 1024'")
    return units
