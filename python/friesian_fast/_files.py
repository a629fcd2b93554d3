"""Files and directories that appear whole or not at all."""

from __future__ import annotations

import glob
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from friesian_fast.errors import InvalidInputError


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Give a path beside `path` to write a file or a directory to; it is moved into place when the block ends well.

    When the block fails, what it wrote is removed and `path` is as it was. A directory is not replaced in one instant:
    readers see the old one, then for a moment none, then the new one. What a killed process left beside `path` is
    removed by the next. Directories above are made.

    Yields
    ------
    Path
        Nothing is there yet; it has the suffix of `path`. Sync what has to outlive a crash of the machine.
    """
    target = Path(os.path.abspath(path))  # noqa: PTH100 -- resolve() would write beside what a link points to
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(target)
    partial = _beside(target, "partial")
    try:
        yield partial
        _swap(partial, target)
    finally:
        _remove(partial)
    sync(target.parent)


@contextmanager
def replacing_directory(path: str | Path) -> Iterator[Path]:
    """`replacing`, with the directory made.

    Raises
    ------
    InvalidInputError
        If `path` is a file, or nothing can be written beside it.
    """
    target = Path(os.path.abspath(path))  # noqa: PTH100 -- as above
    if target.exists() and not target.is_dir():
        raise InvalidInputError(f"{target} is a file; name a directory to write to, or remove it")
    with ExitStack() as stack:
        try:
            building = stack.enter_context(replacing(target))
            building.mkdir()
        except OSError as error:
            raise InvalidInputError(f"cannot write to {target.parent}: {error.strerror}") from error
        yield building


def sync(path: Path) -> None:
    """Make a file's content, or the names in a directory, survive a crash of the machine."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _swap(partial: Path, target: Path) -> None:
    if not (partial.is_dir() and target.is_dir()):
        partial.replace(target)
        return
    old = _beside(target, "old")
    target.rename(old)
    try:
        partial.rename(target)
    except OSError:
        old.rename(target)
        raise
    _remove(old)


def _beside(path: Path, kind: str) -> Path:
    return path.with_name(f".{kind}-{os.getpid()}-{path.name}")


def _remove_leftovers(path: Path) -> None:
    for kind in ("partial", "old"):
        for leftover in path.parent.glob(f".{kind}-*-{glob.escape(path.name)}"):
            owner = leftover.name[len(f".{kind}-") : -len(f"-{path.name}")]
            if owner.isdigit() and (int(owner) == os.getpid() or not _is_alive(int(owner))):
                _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
