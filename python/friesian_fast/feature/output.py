"""Directories that appear whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from friesian_fast.errors import InvalidInputError


@contextmanager
def whole_directory(path: Path) -> Iterator[Path]:
    """A hidden directory beside `path` to write into; it takes the place of `path` when the block ends well.

    Readers see the old content, then for a moment none, then the new one. What a killed run left beside `path` is
    removed by the next.
    """
    path = path.absolute()
    if path.exists() and not path.is_dir():
        raise InvalidInputError(f"{path} is a file; name a directory to write to, or remove it")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path)
        building = path.with_name(f".{path.name}.building-{os.getpid()}")
        building.mkdir()
    except OSError as error:
        raise InvalidInputError(f"cannot write to {path.parent}: {error.strerror}") from error
    try:
        yield building
        old = path.with_name(f".{path.name}.old-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            path.rename(old)
        building.rename(path)
        shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _remove_leftovers(path: Path) -> None:
    for kind in ("building", "old"):
        prefix = f".{path.name}.{kind}-"
        for leftover in path.parent.glob(f"{glob.escape(prefix)}*"):
            owner = leftover.name[len(prefix) :]
            if owner.isdigit() and (int(owner) == os.getpid() or not _is_alive(int(owner))):
                shutil.rmtree(leftover, ignore_errors=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
