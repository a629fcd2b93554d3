"""What the training steps read of preprocessing's outputs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError, NotFoundError


def require_preprocessed(data_dir: Path) -> None:
    """Refuse a directory that preprocessing has not filled."""
    if not data_dir.is_dir():
        raise NotFoundError(f"there is no directory {data_dir}; run the preprocess step first")
    if not any(data_dir.iterdir()):
        raise InvalidInputError(f"the directory {data_dir} is empty; run the preprocess step first")


class Sizes:
    """The numbers of known values that preprocessing counted, by column.

    Parameters
    ----------
    data_dir : Path
        Holds ``meta/categorical_sizes.json``.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / "meta" / "categorical_sizes.json"
        if not self._path.is_file():
            raise NotFoundError(f"there is no {self._path}; run the preprocess step first")
        try:
            sizes = json.loads(self._path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise InvalidInputError(
                f"{self._path} is not valid JSON ({error}); run the preprocess step again"
            ) from error
        if not isinstance(sizes, dict):
            raise InvalidInputError(f"{self._path} is not a mapping of column to size; run the preprocess step again")
        self._sizes: dict[str, Any] = sizes

    def __getitem__(self, column: str) -> int:
        size = self._sizes.get(column)
        if not isinstance(size, int) or size < 0:
            raise InvalidInputError(
                f"{self._path} has no usable size for column '{column}'; run the preprocess step again"
            )
        return size


def optimum_auc(data_dir: Path) -> float | None:
    """The best AUC possible on the test rows, if the generator's report lies with the raw data."""
    for directory in (data_dir.resolve().parent, data_dir):
        path = directory / "generator.json"
        if path.is_file():
            value = json.loads(path.read_text(encoding="utf-8")).get("test", {}).get("optimum_auc")
            return None if value is None else float(value)
    return None
