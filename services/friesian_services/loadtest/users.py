"""Whom to ask for: user ids from a range, a file or a release, drawn evenly."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from friesian_fast.errors import InvalidInputError
from friesian_fast.recommend import Ids, as_ids
from friesian_fast.release.open import open_release

_RANGE = re.compile(r"([0-9]{1,18})-([0-9]{1,18})")
_BLOCK = 4096


def read_users(users: str | None, releases: Path | None) -> range | Ids:
    """The ids to draw from.

    Parameters
    ----------
    users : str, optional
        ``FIRST-LAST``, both included, or a file with one id a line. Where every line is an integer, so are the ids.
    releases : path, optional
        A release, or a directory of releases: its users that have a vector. One of the two is given.

    Raises
    ------
    InvalidInputError
        If neither or both are given, the range is empty, or the file cannot be read or has no ids.
    """
    if (users is None) == (releases is None):
        raise InvalidInputError("give either --users (FIRST-LAST or a file) or --releases, to say whom to ask for")
    if releases is not None:
        return _of_release(releases)
    assert users is not None
    found = _RANGE.fullmatch(users)
    if found is None:
        return _of_file(Path(users))
    first, last = int(found[1]), int(found[2])
    if first > last:
        raise InvalidInputError(f"--users is {users}, which is empty; give FIRST-LAST")
    return range(first, last + 1)


def draw(ids: range | Ids, seed: int) -> Iterator[int | str]:
    """Ids without end, each as likely as every other."""
    random = np.random.default_rng(seed)
    while True:
        for place in random.integers(0, len(ids), _BLOCK).tolist():
            found = ids[place]
            yield found if isinstance(found, int | str) else int(found)


def _of_release(path: Path) -> Ids:
    release = open_release(path, verify=False)
    store = release.row_store("user_vector")
    ids = store.ids()
    store.close()
    if not len(ids):
        raise InvalidInputError(f"--releases: {release.path} has no users with a vector")
    return ids


def _of_file(path: Path) -> Ids:
    try:
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInputError(
            f"--users is '{path}', neither FIRST-LAST nor a file that can be read: {reason}"
        ) from error
    if not lines:
        raise InvalidInputError(f"--users: {path} has no ids; write one a line")
    try:
        return as_ids([int(line) for line in lines], "int64")
    except (ValueError, OverflowError):
        return lines
