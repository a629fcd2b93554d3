"""What a release serves: its own recommender is asked, as a server would, with what users had allowed and hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from friesian_fast.recommend import Explanation, Ids, RulesStage, open_recall, open_recommender
from friesian_fast.release.open import Release
from friesian_fast.release.rules import Rules
from friesian_fast.usecases.online_retail.evaluate import RECALL_K, Truth, Values, both_ways


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """The users and items of a release, in the order of their ids, and who had what.

    Parameters
    ----------
    users, items : pandas.Index
    owned : ndarray of bool, shape (users, items)
    """

    users: pd.Index
    items: pd.Index
    owned: NDArray[np.bool_]

    @classmethod
    def of(cls, release: Release, sales: pd.DataFrame) -> Catalogue:
        """From the release's rows and the sales before the split."""
        users, items = (pd.Index(_ids(release, name)) for name in ("user", "item"))
        owned = np.zeros((len(users), len(items)), np.bool_)
        owned[users.get_indexer(sales["user_id"]), items.get_indexer(sales["item_id"])] = True
        return cls(users=users, items=items, owned=owned)

    def numbers(self, ids: Ids) -> NDArray[np.int64]:
        """A list of items as numbers, filled up with -1 to RECALL_K."""
        found = self.items.get_indexer(list(ids))
        return np.append(found, np.full(RECALL_K - len(found), -1)).astype(np.int64)


def served_values(release: Release, catalogue: Catalogue, truth: Truth) -> Values:
    """Each user's metrics of the lists that are served; see `both_ways`."""

    def lists(users: NDArray[Any], barred: NDArray[np.bool_]) -> NDArray[Any]:
        return served_lists(release, catalogue, users, hide_seen=bool(barred.any()))

    return both_ways(lists, truth, catalogue.owned)


def retrieved_values(release: Release, catalogue: Catalogue, truth: Truth) -> Values:
    """The same of what recall proposes, in its order."""

    def lists(users: NDArray[Any], barred: NDArray[np.bool_]) -> NDArray[Any]:
        shown = _with_rules(release, hide_seen=bool(barred.any()))
        index = shown.index()
        recall = open_recall(shown, index, shown.row_store("user_vector"), rules=RulesStage.of(shown, index))
        ids = (recall.candidates(user, RECALL_K).ids for user in catalogue.users[users].tolist())
        return np.stack([catalogue.numbers(list(found)) for found in ids])

    return both_ways(lists, truth, catalogue.owned)


def served_lists(release: Release, catalogue: Catalogue, users: NDArray[Any], *, hide_seen: bool) -> NDArray[np.int64]:
    """Numbers of the RECALL_K items that each user is shown, best first, int64 of shape (n, RECALL_K)."""
    recommender = open_recommender(_with_rules(release, hide_seen=hide_seen))
    answers = (recommender.recommend(user, k=RECALL_K) for user in catalogue.users[users].tolist())
    lists = np.stack([catalogue.numbers(answer.ids) for answer in answers])
    recommender.close()
    return lists


def explanations(
    release: Release, catalogue: Catalogue, users: NDArray[Any], *, hide_seen: bool
) -> Iterator[Explanation]:
    """What was ranked for each user, on which features, with which scores."""
    recommender = open_recommender(_with_rules(release, hide_seen=hide_seen))
    for user in catalogue.users[users].tolist():
        explanation = recommender.recommend(user, k=1, explain=True).explanation
        assert explanation is not None, "a user with history is never given the fallback"
        yield explanation
    recommender.close()


def _with_rules(release: Release, *, hide_seen: bool) -> Release:
    return replace(release, rules=Rules(hide_seen=True) if hide_seen else None)


def _ids(release: Release, name: str) -> Any:
    store = release.row_store(name)
    ids = store.ids()
    store.close()
    return ids
