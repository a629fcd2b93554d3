"""Outputs that appear whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Write a file or directory beside its place and move it there when the block ends without an error.

    Yields
    ------
    Path
        Where to write; same suffix as `path`, nothing there yet.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".partial-{path.name}")
    old = path.with_name(f".replaced-{path.name}")
    _remove(partial)
    try:
        yield partial
        if partial.is_dir() and path.exists():
            path.rename(old)
        partial.rename(path)
    finally:
        _remove(partial)
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def save_json(value: Mapping[str, Any], path: str | Path) -> None:
    """Write a JSON file."""
    with replacing(path) as partial:
        partial.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")
