"""Who had bought what before a moment: how often, how long ago, how much."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse


class History:
    """The orders of known users and items before a moment.

    Parameters
    ----------
    sales : pandas.DataFrame
        ``user_id``, ``item_id``, ``invoice``, ``quantity``, ``time``; what lies after the moment is passed over.
    cut : Timestamp
    users, items : pandas.Index
        Rows and columns of what is counted.

    Attributes
    ----------
    pairs : pandas.DataFrame
        One row for each user and item: ``user``, ``item`` (numbers), ``orders``, ``lines``, ``quantity``, and ``last``
        and ``first``: days between the moment and the last and the first order.
    """

    def __init__(self, sales: pd.DataFrame, cut: pd.Timestamp, users: pd.Index, items: pd.Index) -> None:
        sales = sales[sales["time"] < cut]
        self.users, self.items = users, items
        lines = pd.DataFrame(
            {
                "user": users.get_indexer(sales["user_id"]),
                "item": items.get_indexer(sales["item_id"]),
                "invoice": sales["invoice"].to_numpy(),
                "quantity": sales["quantity"].to_numpy(),
                "days": (cut - sales["time"]).dt.total_seconds().to_numpy() / 86_400.0,
            }
        )
        lines = lines[(lines["user"] >= 0) & (lines["item"] >= 0)]
        self._orders = lines.drop_duplicates(["user", "item", "invoice"])
        of_pair = self._orders.groupby(["user", "item"])["days"]
        pairs = of_pair.agg(orders="size", last="min", first="max")
        grouped = lines.groupby(["user", "item"])["quantity"]
        pairs["lines"], pairs["quantity"] = grouped.size(), grouped.sum()
        self.pairs = pairs.reset_index()

    def counts(self, half_life_days: float | None = None) -> Any:
        """How often each user ordered each item; an order so long ago counts one half, if that is given.

        Returns
        -------
        scipy sparse array of float32, shape (users, items)
        """
        orders = self._orders
        weights = np.ones(len(orders)) if half_life_days is None else 0.5 ** (orders["days"] / half_life_days)
        return self._sparse(orders["user"], orders["item"], weights)

    def matrix(self, column: str) -> Any:
        """A column of `pairs` as a sparse array of float32, shape (users, items)."""
        return self._sparse(self.pairs["user"], self.pairs["item"], self.pairs[column])

    def buyers(self, days: float) -> np.ndarray[Any, np.dtype[np.float32]]:
        """How many users ordered each item within so many days, float32 of shape (items,)."""
        recent = self.pairs.loc[self.pairs["last"] <= days, "item"]
        return np.bincount(recent, minlength=len(self.items)).astype(np.float32)

    def _sparse(self, user: pd.Series, item: pd.Series, values: Any) -> Any:
        shape = (len(self.users), len(self.items))
        # Repeated places are added up.
        return sparse.coo_array((np.asarray(values, np.float32), (user, item)), shape=shape).tocsr()
