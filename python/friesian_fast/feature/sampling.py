"""Table methods that draw by chance, from a seed and the rows' values: negatives, and samples of lists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature.ops import NegativeHistory, NegativeSamples, SampleListwise
from friesian_fast.feature.ops.lists import is_list
from friesian_fast.feature.rows import _count, _seed
from friesian_fast.feature.sequence import SequenceTable, _is_integer
from friesian_fast.feature.session import get_session
from friesian_fast.feature.user_negatives import with_user_negatives

T = TypeVar("T", bound="SamplingTable")


class SamplingTable(SequenceTable):
    """The part of `FeatureTable` that draws by chance.

    What is drawn for a row depends on the seed and on the values of all its columns, and on nothing else: neither on
    the partition nor on the machine. So equal rows get equal draws; where that is not wanted, a column that tells
    them apart (a time, an id of the event) does it.
    """

    def add_negative_samples(
        self: T,
        item_size: int,
        item_col: str = "item",
        label_col: str = "label",
        neg_num: int = 1,
        *,
        user_col: str | None = None,
        seed: int = 0,
    ) -> T:
        """Before each row, which gets label 1, `neg_num` rows with another item and label 0.

        Negatives are uniform on 1 to `item_size` - 1 without the row's own item, or with `user_col` without all items
        of the user. The same seed and row give the same ones; equal rows get equal ones. (The original drew
        without a seed, knew only the row's own item, and never ended if there was no other.)

        Parameters
        ----------
        item_size : int
            One more than the largest item that may be drawn; at least 3.
        item_col : str
            Integers of any size. Of a null item the negatives may be any.
        label_col : str
            A new column of int.
        neg_num : int
        user_col : str, optional
            Brings the rows of each user together first, and excludes all their items. The result is then ordered by
            user, and by the other columns from left to right; without, it keeps the order of the rows.
        seed : int

        Returns
        -------
        FeatureTable
            The other columns, then `item_col` and `label_col`.

        Raises
        ------
        InvalidInputError
            Also when the rows are computed and one has no possible negative.
        """
        size, item = self._items(item_size, item_col, "item_col", "add_negative_samples")
        if not isinstance(label_col, str):
            raise InvalidInputError(f"label_col should be str, but got {label_col!r}.")
        self._require_new([label_col])
        count, start = _count("neg_num", neg_num, 1), _seed("seed", seed)
        if user_col is None:
            return self._then(NegativeSamples(item, label_col, tuple(self.columns), size, count, start))
        user = self._plain_column(user_col, "user_col")
        if user == item:
            raise InvalidInputError(f"user_col and item_col should be two columns, but both are '{user}'")
        given = (get_session(), self._plain_parts(), user, item, label_col)
        part = with_user_negatives(*given, item_size=size, neg_num=count, seed=start)
        return self._rewritten(part, "add_negative_samples")

    def add_neg_hist_seq(
        self: T, item_size: int, item_history_col: str, neg_num: int, *, seed: int = 0, exclude: str = "history"
    ) -> T:
        """For each element of a history of items a list of `neg_num` others, as last column ``neg_<item_history_col>``.

        Negatives are uniform on 1 to `item_size` - 1. The same seed and row give the same ones; equal rows get equal
        ones. A null history gives null, an empty one an empty list. (The original drew without a seed, took int only,
        and its negatives could be other items of the history.)

        Parameters
        ----------
        item_size : int
            One more than the largest item that may be drawn; at least 3.
        item_history_col : str
            Lists of integers.
        neg_num : int
        seed : int
        exclude : {"history", "element"}
            No negative is any item of the row's history; or, as in the original, only the element it belongs to.

        Raises
        ------
        InvalidInputError
            Also when the rows are computed and one has no possible negative.
        """
        size, column = self._items(item_size, item_history_col, "item_history_col", "add_neg_hist_seq", lists=True)
        if exclude not in ("history", "element"):
            raise InvalidInputError(f"exclude should be history or element, but got {exclude!r}.")
        self._require_new([f"neg_{column}"])
        count, start = _count("neg_num", neg_num, 1), _seed("seed", seed)
        return self._then(NegativeHistory(column, tuple(self.columns), size, count, start, exclude == "element"))

    def sample_listwise(
        self: T,
        columns: str | Sequence[str],
        num_sampled_list: int,
        num_sampled_item: int,
        random_seed: int | None = None,
        replace: bool = True,
    ) -> T:
        """Of each row `num_sampled_list` rows, whose lists are `num_sampled_item` different elements of the row's.

        The same elements are drawn of all `columns`, in the same random order. Rows with shorter lists, or with null
        ones, are dropped. (The original's partitions all drew the same numbers.)

        Parameters
        ----------
        columns : str or list of str
            Lists, in each row of the same length.
        num_sampled_list : int
        num_sampled_item : int
        random_seed : int, optional
            By default 0. The same seed and row give the same samples; equal rows get equal ones.
        replace : bool
            Put the samples in place of the lists; or add them last, as ``sampled_<column>``.
        """
        names = [columns] if isinstance(columns, str) else columns
        for name in names if isinstance(names, (list, tuple)) else ():
            if name not in self.columns:
                raise InvalidInputError(f"Column '{name}' does not exist in this FeatureTable.")
            if not is_list(self._type(name)):
                kind = dict(self.dtypes)[name]
                raise InvalidInputError(
                    f"Each column should be of list type, but the type of column '{name}' is {kind}"
                )
        chosen = tuple(dict.fromkeys(self._existing(columns)))
        if not chosen:
            raise InvalidInputError("columns is empty; name the list columns to sample")
        if not replace:
            self._require_new([f"sampled_{name}" for name in chosen])
        lists = _count("num_sampled_list", num_sampled_list, 1)
        items = _count("num_sampled_item", num_sampled_item, 1)
        seed = 0 if random_seed is None else _seed("random_seed", random_seed)
        return self._then(SampleListwise(chosen, tuple(self.columns), lists, items, seed, bool(replace)))

    def _items(
        self, item_size: Any, column: Any, argument: str, method: str, *, lists: bool = False
    ) -> tuple[int, str]:
        """The checked size and column of items, which are integers or lists of them."""
        if not isinstance(column, str):
            raise InvalidInputError(f"{argument} should be str, but got {column!r}.")
        self._existing(column, argument)
        kind = self._type(column)
        element = kind.value_type if lists and is_list(kind) else kind
        if lists != is_list(kind) or not _is_integer(element):
            wanted = "lists of integers" if lists else "integers"
            raise InvalidInputError(
                f"Unsupported data type {kind} of column '{column}' in {method}; it should hold {wanted}"
            )
        size = _count("item_size", item_size, 3)
        if size - 1 >= 2 ** (element.bit_width - ("uint" not in str(element))):
            raise InvalidInputError(f"item_size {size} does not fit items of type {element}; cast '{column}'")
        return size, column
