"""TargetCode: what a target encoding knows of a category, as users see it."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from friesian_fast._files import replacing_directory
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.feature.arithmetic import ArithmeticTable
from friesian_fast.feature.plan import Part
from friesian_fast.feature.relational import RelationalTable
from friesian_fast.feature.rows import RowsTable
from friesian_fast.feature.shaping import ShapingTable
from friesian_fast.feature.table import _is_remote

T = TypeVar("T", bound="TargetCode")

# Beside the Parquet files; readers of Parquet skip names that begin so.
_FILE = "_target_code.json"

Means = Mapping[str, tuple[str, float]]


class TargetCode(ShapingTable, ArithmeticTable, RowsTable, RelationalTable):
    """A table of categories, their codes, and how many rows they were made of (``target_encode_count``).

    Parameters
    ----------
    df : pyspark.sql.DataFrame
    cat_col : str or list of str
        The column, or columns, of the category.
    out_target_mean : dict of str to (str, float)
        By column of codes: the target column it was made of, and that column's mean, which is the code of a category
        that is not in the table.
    """

    cat_col: str | list[str]
    out_target_mean: dict[str, tuple[str, float]]

    def __init__(self, df: Any, cat_col: str | Sequence[str], out_target_mean: Means) -> None:
        super().__init__(df)
        self._name(cat_col, out_target_mean)

    @classmethod
    def of_part(cls: type[T], part: Part, cat_col: str | Sequence[str], out_target_mean: Means) -> T:
        """Of files of codes."""
        code = cls.__new__(cls)
        code._set((part,), False, {})
        code._name(cat_col, out_target_mean)
        return code

    @classmethod
    def read_parquet(
        cls: type[T],
        paths: str | Path | Sequence[str | Path],
        cat_col: str | Sequence[str] | None = None,
        out_target_mean: Means | None = None,
    ) -> T:
        """Of the directory that `write_parquet` wrote; or of any Parquet, if the two other arguments are given.

        Raises
        ------
        NotFoundError
            If there is no such path, or it does not say what its columns are and the arguments do not either.
        InvalidInputError
            If the path has a scheme other than ``file://``, and the arguments are not given.
        """
        unsaid = cat_col is None or out_target_mean is None
        given = str(paths if isinstance(paths, (str, Path)) else next(iter(paths), ""))
        if unsaid and _is_remote(given):
            raise InvalidInputError(f"what {given} holds is not read from there; give cat_col and out_target_mean")
        table = RowsTable.read_parquet(paths)
        if cat_col is None or out_target_mean is None:
            first = Path(given.removeprefix("file://"))
            if not (first / _FILE).is_file():
                raise NotFoundError(f"{first} has no {_FILE}; give cat_col and out_target_mean")
            cat_col, out_target_mean = _read(first / _FILE, cat_col, out_target_mean)
        return cls.of_part(table.parts[0], cat_col, out_target_mean)

    @property
    def cat_cols(self) -> list[str]:
        """`cat_col` as a list."""
        return [self.cat_col] if isinstance(self.cat_col, str) else list(self.cat_col)

    def rename(self: T, columns: Mapping[str, str]) -> T:
        """Other names, also in `cat_col` and `out_target_mean` of the result; this table stays as it is."""
        renamed = super().rename(columns)
        new = {old: columns.get(old, old) for old in self.columns}
        cats = [new[name] for name in self.cat_cols]
        renamed.cat_col = cats[0] if isinstance(self.cat_col, str) else cats
        renamed.out_target_mean = {
            new.get(out, out): (columns.get(target, target), mean)
            for out, (target, mean) in self.out_target_mean.items()
        }
        return renamed

    def write_parquet(self, path: str | Path, mode: str = "overwrite") -> None:
        """Write a directory of Parquet files and what `read_parquet` needs, all at once or not at all.

        Parameters
        ----------
        path : str or Path
            On this machine's disks.
        mode : {"overwrite", "error", "ignore"}
            What to do when there is something at `path`.
        """
        if _is_remote(str(path)):
            raise InvalidInputError(
                f"a TargetCode is not written to {path}; write its df there, and keep cat_col and out_target_mean"
            )
        target = Path(str(path).removeprefix("file://"))
        if mode not in ("overwrite", "error", "ignore"):
            raise InvalidInputError(f"mode is '{mode}'; use overwrite, error or ignore")
        if target.exists() and mode == "ignore":
            return
        if target.exists() and mode == "error":
            raise InvalidInputError(f"{target} exists; remove it, or write with mode='overwrite'")
        said = {"cat_col": self.cat_col, "out_target_mean": self.out_target_mean}
        with replacing_directory(target) as building:
            super().write_parquet(building)
            (building / _FILE).write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")

    def _name(self, cat_col: str | Sequence[str], out_target_mean: Means) -> None:
        cats = [cat_col] if isinstance(cat_col, str) else cat_col
        if not isinstance(cats, (list, tuple)) or not cats or not all(isinstance(name, str) for name in cats):
            raise InvalidInputError(f"cat_col should be str or a list of str, but got {cat_col}.")
        if not isinstance(out_target_mean, Mapping):
            raise InvalidInputError(f"out_target_mean should be dict, but get {type(out_target_mean).__name__}")
        for out, pair in out_target_mean.items():
            if not isinstance(pair, (list, tuple)) or len(pair) != 2 or not isinstance(pair[1], (int, float)):
                raise InvalidInputError(f"out_target_mean of {out} should be (target column, mean), but got {pair}")
        self._existing([*cats, *out_target_mean], "cat_col and out_target_mean")
        self.cat_col = cat_col if isinstance(cat_col, str) else list(cat_col)
        self.out_target_mean = {out: (str(pair[0]), float(pair[1])) for out, pair in out_target_mean.items()}

    def _with(self: T, parts: Iterable[Part], *, distinct: bool = False, more: Mapping[str, Any] | None = None) -> T:
        table = super()._with(parts, distinct=distinct, more=more)
        table.cat_col = self.cat_col if isinstance(self.cat_col, str) else list(self.cat_col)
        table.out_target_mean = dict(self.out_target_mean)
        return table


def _read(path: Path, cat_col: Any, out_target_mean: Any) -> tuple[Any, Any]:
    try:
        said = json.loads(path.read_text(encoding="utf-8"))
        return cat_col or said["cat_col"], out_target_mean or said["out_target_mean"]
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidInputError(f"{path} does not say what the codes are ({error}); write them again") from error
