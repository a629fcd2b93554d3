"""Table methods that encode categories by what a target is for them on average."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.fit import StatsRequest, gather
from friesian_fast.feature.frames import FrameTable
from friesian_fast.feature.groups import GroupCounts, GroupRequest, Summed
from friesian_fast.feature.names import crossed_names
from friesian_fast.feature.ops import EncodeTarget, RowFold, Select
from friesian_fast.feature.ops.base import is_number
from friesian_fast.feature.ops.keys import is_category
from friesian_fast.feature.session import get_session
from friesian_fast.feature.shuffle import in_files, rows_in
from friesian_fast.feature.target_code import TargetCode
from friesian_fast.feature.target_fit import MAP_ROWS, CodeRequest, Codes, make_codes, map_of

T = TypeVar("T", bound="TargetTable")

_MOST_FOLDS = 100

_CROWDED = (
    "target_encode: so many rows are equal in all columns but the targets that categories lie in few folds, and many "
    "codes are no more than the mean; keep a column that tells rows apart, such as an id or a time, or give a fold_col"
)


@dataclass(frozen=True, slots=True)
class _Encoding:
    """One category's columns, its outputs with their targets, and where the codes are."""

    cats: list[str]
    outputs: list[str]
    means: list[float]
    codes: Codes
    fold: str | None = None
    folds: tuple[int, ...] = ()

    @property
    def keys(self) -> list[str]:
        return [*self.cats, *([self.fold] if self.fold else [])]


class TargetTable(FrameTable):
    """The part of `FeatureTable` that does target encoding."""

    def target_encode(
        self: T,
        cat_cols: str | Sequence[str | Sequence[str]],
        target_cols: str | Sequence[str],
        target_mean: Mapping[str, float] | None = None,
        smooth: float = 20,
        kfold: int = 2,
        fold_seed: int | None = None,
        fold_col: str = "__fold__",
        drop_cat: bool = False,
        drop_fold: bool = True,
        out_cols: Any = None,
    ) -> tuple[T, list[TargetCode]]:
        """Encode categories by the mean of a target over the other folds, as new last columns (double).

        A row's code is ``(sum + mean * smooth) / (rows + smooth)`` over the rows of its category that are not in its
        fold; where there are none, or the category is null, it is the mean. The result depends on the rows only, not
        on how they are cut: sums are exact, and folds are drawn from what is in a row besides the targets (the
        original's depended on its place). Rows that are equal in all other columns share a fold; a warning tells if
        those are too many. Nulls and NaN in a target add nothing to a sum but do count as rows.

        Parameters
        ----------
        cat_cols : str, list of str, or list of lists of str
            Categories; an inner list is one category of several columns.
        target_cols : str or list of str
            Numeric ones.
        target_mean : dict of str to float, optional
            The means of all targets; by default found in the table.
        smooth : float
            How many rows the mean counts for.
        kfold : int
            How many folds; with 1 all rows of a category count for its code.
        fold_seed : int, optional
            Draws other folds.
        fold_col : str
            If the table has a column of this name, of an integer type, that is the fold (at most 100 of them);
            otherwise the folds' column is named so.
        drop_cat : bool
            Drop the categories' columns.
        drop_fold : bool
            Drop the folds' column.
        out_cols : str, list of str, or list of lists, optional
            A name for one category and one target, a list if there is one of either, else for each category a list by
            target. By default ``<columns joined by _>_te_<target>``.

        Returns
        -------
        FeatureTable
            The columns of the categories come first (and the folds', if kept), the last category's before the others.
        list of TargetCode
            For each category, over all rows: to encode other tables by `encode_target`.
        """
        cats = self._categories(cat_cols)
        targets = self._targets(target_cols, target_mean)
        _require_fit(kfold, smooth, fold_seed)
        outputs = crossed_names(
            cats, targets, out_cols, lambda cat, target: f"{'_'.join(cat)}_te_{target}", "categories and target_cols"
        )
        table, fold = self._folded(targets, kfold, fold_seed, fold_col)
        table._require_new([out for outs in outputs for out in outs])
        session = get_session()
        parts, sums = table._plain_parts(), self._sums(targets)
        groups = [GroupRequest(parts=parts, keys=tuple(cat), sums=sums, fold=fold) for cat in cats]
        counts: list[GroupCounts] = gather(session, groups)
        means = _means(sums, counts[0], target_mean)
        _require_few_folds(fold, counts)
        requests = [
            CodeRequest(group=group, counts=one, outputs=tuple(outs), means=means, smooth=float(smooth))
            for group, one, outs in zip(groups, counts, outputs, strict=True)
        ]
        codes = make_codes(session, requests, [[self._arrow_schema.field(name) for name in cat] for cat in cats])
        telling = {*self.columns} - {*targets}
        alike = any(one.crowded for one in codes) or any(telling <= {*cat} for cat in cats)
        if fold and fold not in self.columns and alike:
            warnings.warn(_CROWDED, stacklevel=2)
        encodings, made = [], []
        for cat, outs, one, counted in zip(cats, outputs, codes, counts, strict=True):
            encodings.append(_Encoding(cat, outs, list(means), one, fold, counted.folds if fold else ()))
            out_target_mean = dict(zip(outs, zip(targets, means, strict=True), strict=True))
            made.append(TargetCode.of_part(one.codes[0], cat if len(cat) > 1 else cat[0], out_target_mean))
        dropped = [name for cat in cats for name in cat] if drop_cat else []
        return table._encoded(encodings, [*dropped, *([fold] if fold and drop_fold else [])]), made

    def encode_target(
        self: T,
        targets: TargetCode | Sequence[TargetCode],
        target_cols: str | Sequence[str] | None = None,
        drop_cat: bool = True,
    ) -> T:
        """Encode categories by codes that `target_encode` made of another table, as new last columns (double).

        Parameters
        ----------
        targets : TargetCode or list of TargetCode
        target_cols : str or list of str, optional
            Only the codes made of these targets; by default all.
        drop_cat : bool
            Drop the categories' columns.

        Returns
        -------
        FeatureTable
            A category that is null, or that its code does not have, gets the mean.
        """
        codes = [targets] if isinstance(targets, TargetCode) else targets
        if not isinstance(codes, (list, tuple)) or not all(isinstance(code, TargetCode) for code in codes):
            raise InvalidInputError(f"targets should be a TargetCode or a list of them, but got {targets}.")
        wanted = _wanted(codes, target_cols)
        for code in codes:
            for name in code.cat_cols:
                if name not in self.columns:
                    raise InvalidInputError(
                        f"{name} in TargetCode.cat_col in targets does not exist in Table; it has "
                        f"{', '.join(self.columns)}"
                    )
        outputs = [out for outs in wanted for out in outs]
        self._require_new(outputs)
        encodings = [_known_codes(code, outs) for code, outs in zip(codes, wanted, strict=True)]
        dropped = [name for code in codes for name in code.cat_cols] if drop_cat else []
        return self._encoded(encodings, dropped)

    def _encoded(self: T, encodings: Sequence[_Encoding], dropped: Sequence[str]) -> T:
        """With the codes as last columns, in the order that one join after the other would give."""
        table, columns = self, list(self.columns)
        for one in encodings:
            table = table._encode_one(one)
            columns = [*one.keys, *(name for name in columns if name not in one.keys), *one.outputs]
        return table._then(Select(tuple(name for name in columns if name not in dropped)))

    def _encode_one(self: T, one: _Encoding) -> T:
        if not one.outputs:
            return self
        if one.codes.map is not None:
            pinned = one.codes.map
            op = EncodeTarget(
                tuple(one.cats), tuple(one.outputs), tuple(one.means), pinned.sha256, pinned.path, one.fold, one.folds
            )
            return self._then(op)
        # Too many categories for every task to hold: Spark brings rows and codes together.
        from pyspark.sql import functions as sql

        codes = FrameTable.__new__(FrameTable)
        codes._set((one.codes.fold_codes,) if one.codes.fold_codes else one.codes.codes, False, {})
        right = codes.df.select(*[f"`{name}`" for name in [*one.keys, *one.outputs]])
        joined = self.df.join(right, on=one.keys, how="left")
        means = zip(one.outputs, one.means, strict=True)
        return self._of(joined.withColumns({n: sql.coalesce(sql.col(f"`{n}`"), sql.lit(mean)) for n, mean in means}))

    def _categories(self, cat_cols: Any) -> list[list[str]]:
        given = [cat_cols] if isinstance(cat_cols, str) else cat_cols
        shaped = isinstance(given, (list, tuple)) and bool(given)
        cats = [[one] if isinstance(one, str) else one for one in given] if shaped else []
        if not cats or not all(
            isinstance(cat, (list, tuple)) and cat and all(isinstance(name, str) for name in cat) for cat in cats
        ):
            raise InvalidInputError(f"cat_cols should be str, list of str or list of list of str, but got {cat_cols}.")
        for name in [name for cat in cats for name in cat]:
            if name not in self.columns:
                raise InvalidInputError(f"{name} in cat_cols does not exist in Table; it has {', '.join(self.columns)}")
            if not is_category(self._type(name)):
                raise InvalidInputError(f"column '{name}' of type {self._type(name)} is no category; cast it first")
        return [list(cat) for cat in cats]

    def _targets(self, target_cols: Any, target_mean: Any) -> list[str]:
        targets = self._existing(target_cols, "target_cols")
        if not targets:
            raise InvalidInputError("target_cols is empty; name the columns to take means of")
        for name in targets:
            if not is_number(self._type(name)):
                kind = self.schema[name].dataType.simpleString()
                raise InvalidInputError(f"target_cols should be numeric but get {name} of type {kind}")
        if target_mean is None:
            return targets
        if not isinstance(target_mean, Mapping):
            raise InvalidInputError(f"target_mean should be dict, but get {type(target_mean).__name__}")
        for name in targets:
            if name not in target_mean:
                raise InvalidInputError(f"target column {name} should be in target_mean {dict(target_mean)}")
            if target_mean[name] is None:
                raise InvalidInputError(f"mean of target column {name} should not be None")
            if not _is_finite(target_mean[name]):
                raise InvalidInputError(
                    f"mean in target_mean should be numeric but get {target_mean[name]!r} for {name}"
                )
        return targets

    def _folded(self: T, targets: Sequence[str], kfold: int, seed: int | None, fold_col: str) -> tuple[T, str | None]:
        """With a column of folds, and its name, if there is to be more than one."""
        import pyarrow as pa

        if kfold == 1:
            return self, None
        if not isinstance(fold_col, str):
            raise InvalidInputError(f"fold_col should be str, but got {fold_col}.")
        if fold_col in self.columns:
            if not pa.types.is_integer(self._type(fold_col)):
                kind = self.schema[fold_col].dataType.simpleString()
                raise InvalidInputError(f"fold_col should be integer type but get {fold_col} of type {kind}")
            return self, fold_col
        # Not the targets: else rows that differ in nothing but the target would tell it by their fold.
        telling = [name for name in self.columns if name not in targets]
        return self._then(RowFold(tuple(telling), fold_col, kfold, seed or 0)), fold_col

    def _sums(self, targets: Sequence[str]) -> tuple[Summed, ...]:
        """How to sum the targets; of floats the largest must be known first."""
        import pyarrow as pa

        floats = [name for name in targets if not pa.types.is_integer(self._type(name))]
        stats = {}
        if floats:
            stats = gather(get_session(), [StatsRequest(parts=self._plain_parts(), columns=tuple(floats))])[0]
        sums = []
        for name in targets:
            rows, largest = 0, 0.0
            if name in stats:
                rows = stats[name].rows
                largest = max(abs(float(bound or 0)) for bound in (stats[name].min, stats[name].max))
                if math.isinf(largest):
                    raise InvalidInputError(f"target column '{name}' has infinite values, so no mean; clip it first")
            sums.append(Summed.of(name, self._type(name), rows, largest))
        return tuple(sums)


def _known_codes(code: TargetCode, outputs: Sequence[str]) -> _Encoding:
    """A TargetCode's look-up: a map of its files, unless it has too many categories."""
    means = [code.out_target_mean[out][1] for out in outputs]
    parts = tuple(in_files(part) for part in code._plain_parts())
    codes = Codes(codes=parts)
    if outputs and sum(rows_in(part) for part in parts) <= MAP_ROWS:
        codes = Codes(codes=parts, map=map_of(get_session(), parts, code.cat_cols, outputs, means))
    return _Encoding(code.cat_cols, list(outputs), means, codes)


def _wanted(codes: Sequence[TargetCode], target_cols: Any) -> list[list[str]]:
    """The outputs of each code that are made of these targets."""
    if target_cols is None:
        return [list(code.out_target_mean) for code in codes]
    names = [target_cols] if isinstance(target_cols, str) else target_cols
    if not isinstance(names, (list, tuple)) or not all(isinstance(name, str) for name in names):
        raise InvalidInputError(f"target_cols should be str or a list of str, but got {target_cols}.")
    known = {target for code in codes for target, _ in code.out_target_mean.values()}
    missing = [name for name in names if name not in known]
    if missing:
        raise InvalidInputError(f"{missing} in target_cols are in none of targets, which are of {sorted(known)}")
    return [[out for out, (target, _) in code.out_target_mean.items() if target in names] for code in codes]


def _means(sums: Sequence[Summed], counts: GroupCounts, given: Mapping[str, float] | None) -> tuple[float, ...]:
    means = []
    for one, whole, known in zip(sums, counts.sums, counts.known, strict=True):
        if given is None and not known:
            raise InvalidInputError(
                f"mean of target column {one.column} should not be None, but the column has no values; fill it first"
            )
        means.append(float(one.number(whole)) / known if given is None else float(given[one.column]))
    return tuple(means)


def _require_fit(kfold: Any, smooth: Any, fold_seed: Any) -> None:
    if not isinstance(kfold, int) or isinstance(kfold, bool) or kfold < 1:
        raise InvalidInputError(f"kfold should be an integer larger than 0, but got {kfold!r}")
    if not _is_finite(smooth) or smooth < 0:
        raise InvalidInputError(f"smooth should be a number of at least 0, but got {smooth!r}")
    whole = isinstance(fold_seed, int) and not isinstance(fold_seed, bool) and -(2**63) <= fold_seed < 2**63
    if fold_seed is not None and not whole:
        raise InvalidInputError(f"fold_seed should be an int of 64 bits or None, but got {fold_seed!r}")


def _require_few_folds(fold: str | None, counts: Sequence[GroupCounts]) -> None:
    most = max(len(one.folds) for one in counts)
    if most > _MOST_FOLDS:
        raise InvalidInputError(f"fold_col '{fold}' has {most} values; there may be {_MOST_FOLDS} folds at most")


def _is_finite(value: Any) -> bool:
    import numpy as np

    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)
