"""Table methods on sequences: histories of users, lists of one length, values looked up for lists of ids."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.frames import FrameTable
from friesian_fast.feature.history import with_histories
from friesian_fast.feature.ops import LookUp, Mask, Pad
from friesian_fast.feature.ops.lists import is_list, token_array
from friesian_fast.feature.ops.lookup import write_dictionary
from friesian_fast.feature.rows import _count
from friesian_fast.feature.session import get_session
from friesian_fast.feature.tasks import scratch

T = TypeVar("T", bound="SequenceTable")

# No user has more rows in one shard; larger bounds, such as sys.maxsize, mean the same.
_MOST = 2**31 - 1


class SequenceTable(FrameTable):
    """The part of `FeatureTable` that makes and shapes lists."""

    def add_hist_seq(
        self: T,
        cols: str | Sequence[str],
        user_col: str,
        sort_col: str = "time",
        min_len: int = 1,
        max_len: int = 100,
        num_seqs: int = 2147483647,
    ) -> T:
        """To each row of a user what the user's rows before it hold in `cols`, as lists ``<column>_hist_seq``.

        The rows are brought together by user now, on scratch files that live as long as this process; the lists are
        made where the result is used. A user with millions of rows needs no more memory than the plain columns of a
        shard of users, and 16.8 million values of each history at once (with `max_len` above 32,768 up to 512 times
        `max_len`). Columns of any type have a history, and anything that has an order sorts
        (the original took int, long, float and double, sorted by long only, and held each user in one row).

        Parameters
        ----------
        cols : str or list of str
        user_col : str
            Users with one row are dropped. Rows whose user is null are those of one user.
        sort_col : str
            Older rows first, null before all others. Rows of the same time come by their other columns from left to
            right, so the result does not depend on how the table is cut.
        min_len : int
            The rows of a user that are left out at the start: what remains has histories of at least so many.
        max_len : int
            Of longer histories the last so many.
        num_seqs : int
            Of each user the last so many rows.

        Returns
        -------
        FeatureTable
            `user_col`, then the other columns in their order, after each of `cols` its history, oldest first; nulls
            stay in it. The rows of a user follow each other, in order of time.
        """
        names = list(dict.fromkeys(self._existing(cols, "cols")))
        user, order = self._plain_column(user_col, "user_col"), self._plain_column(sort_col, "sort_col")
        if user == order:
            raise InvalidInputError(f"user_col and sort_col should be two columns, but both are '{user}'")
        bounds = {
            "min_len": min(_count("min_len", min_len, 0), _MOST),
            "max_len": min(_count("max_len", max_len, 1), _MOST),
            "num_seqs": min(_count("num_seqs", num_seqs, 1), _MOST),
        }
        self._require_new([f"{name}_hist_seq" for name in names])
        part = with_histories(get_session(), self._plain_parts(), names, user, order, **bounds)
        return self._rewritten(part, "add_hist_seq")

    def mask(self: T, mask_cols: str | Sequence[str], seq_len: int = 100) -> T:
        """For each list column a last column ``<column>_mask``: as many ones as the list is long, then zeros.

        Parameters
        ----------
        mask_cols : str or list of str
        seq_len : int
            The length of the masks, an array of int; a longer list gives ones only, a null list null.
        """
        names = self._list_columns(mask_cols, "mask_cols")
        self._require_new([f"{name}_mask" for name in names])
        length = _count("seq_len", seq_len, 1)
        return self._then(*(Mask(name, length) for name in names))

    def pad(
        self: T,
        cols: str | Sequence[str],
        seq_len: int = 100,
        mask_cols: str | Sequence[str] | None = None,
        mask_token: float | str = 0,
    ) -> T:
        """Give lists one length, in place: the last `seq_len` elements, or all of them and tokens after them.

        Elements of any type are padded, an empty list too (the original refused float, and failed on empty lists);
        a null list stays null.

        Parameters
        ----------
        cols : str or list of str
            Of a list of lists, the outer one is padded with rows of tokens as long as its first row.
        seq_len : int
        mask_cols : str or list of str, optional
            Columns that also get a `mask`, by their lengths before.
        mask_token : int, float or str
            Cast to the elements' type; for strings its text.
        """
        names = self._list_columns(cols, "cols")
        length = _count("seq_len", seq_len, 1)
        if not _is_token(mask_token):
            raise InvalidInputError(f"mask_token should be a finite number or str, but got {mask_token!r}.")
        for name in names:
            try:
                token_array(mask_token, _innermost(self._type(name)))
            except InvalidInputError as error:
                raise InvalidInputError(f"{error}; that is column '{name}'") from error
        masked = self if mask_cols is None else self.mask(mask_cols, length)
        return masked._then(*(Pad(name, length, mask_token) for name in names))

    def add_value_features(self: T, columns: str | Sequence[str], dict_tbl: Any, key: str, value: str) -> T:
        """Look integers up in a dictionary, also those in lists and lists of lists; unknown ones give 0, null stays.

        Every column must be there (the original skipped those that were not), and of each integer type.

        Parameters
        ----------
        columns : str or list of str
        dict_tbl : Table
            Its first two columns are keys, integers, and values, integers or floats. Pairs with a null are left out;
            of several values of a key the smallest counts. It is collected now and mapped by the tasks.
        key, value : str
            For the names: the new column has the old one's name with `value` for every `key`. Without a `key` in it,
            the column is replaced where it stands.
        """
        names = self._existing(columns)
        for name in names:
            if not _is_integer(_innermost(self._type(name))):
                raise InvalidInputError(
                    f"Unsupported data type {self._type(name)} of column '{name}' in add_value_features; it should "
                    "hold integers, lists of them, or lists of lists"
                )
        if not isinstance(key, str) or not isinstance(value, str) or not key:
            raise InvalidInputError(f"key and value should be str, key not empty, but got {key!r} and {value!r}.")
        outputs = [name.replace(key, value) for name in names]
        self._require_new([new for name, new in zip(names, outputs, strict=True) if new != name])
        path = scratch("dictionary") / "pairs.arrow"
        sha256 = write_dictionary(path, _pairs(dict_tbl))
        pairs = zip(names, outputs, strict=True)
        return self._then(*(LookUp(name, output, sha256, str(path)) for name, output in pairs))

    def _list_columns(self, columns: Any, argument: str) -> list[str]:
        names = self._existing(columns, argument)
        for name in names:
            if not is_list(self._type(name)):
                raise InvalidInputError(f"column '{name}' should be of list type, but it has type {self._type(name)}")
        return list(dict.fromkeys(names))

    def _plain_column(self, column: Any, argument: str) -> str:
        """The name of one column of single values, which have an order."""
        import pyarrow as pa

        if not isinstance(column, str):
            raise InvalidInputError(f"{argument} should be str, but got {column!r}.")
        self._existing(column, argument)
        if pa.types.is_nested(self._type(column)):
            raise InvalidInputError(f"{argument} '{column}' has type {self._type(column)}, which has no order")
        return column


def _pairs(dict_tbl: Any) -> Any:
    from friesian_fast.feature.table import Table

    if not isinstance(dict_tbl, Table):
        raise InvalidInputError(f"dict_tbl should be a Table, but got {type(dict_tbl).__name__}")
    import pyarrow as pa

    names = dict_tbl.columns[:2]
    if len(names) < 2:
        raise InvalidInputError(f"dict_tbl should have two columns, keys and values, but it has {', '.join(names)}")
    key_type, value_type = (dict_tbl._type(name) for name in names)
    if not _is_integer(key_type) or not (_is_integer(value_type) or pa.types.is_floating(value_type)):
        raise InvalidInputError(
            f"the first two columns of dict_tbl should be integers, and integers or floats, but '{names[0]}' and "
            f"'{names[1]}' have types {key_type} and {value_type}"
        )
    frame = dict_tbl.df.select(*[f"`{name}`" for name in names]).dropna()
    return frame.toArrow()


def _innermost(kind: Any) -> Any:
    for _ in range(2):
        kind = kind.value_type if is_list(kind) else kind
    return kind


def _is_integer(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) and kind != pa.uint64())


def _is_token(value: Any) -> bool:
    if isinstance(value, str):
        return True
    return isinstance(value, (int, float)) and math.isfinite(value)
