"""What a release serves: its own recommender is asked, as a server would, with what users had allowed and hidden."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from friesian_fast.errors import FriesianError, ReleaseMismatchError
from friesian_fast.recommend import Explanation, Ids, Recommendation, RulesStage, open_recall, open_recommender
from friesian_fast.release.open import Release
from friesian_fast.release.rules import Rules
from friesian_fast.release.tables import read_columns
from friesian_fast.spec import FeatureSpec
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
        """From the release's rows and the sales before the split, which name no other users and items."""
        users, items = (pd.Index(_ids(release, name)) for name in ("user", "item"))
        places = []
        for name, index in (("user", users), ("item", items)):
            places.append(index.get_indexer(sales[f"{name}_id"]))
            if (places[-1] < 0).any():
                unknown = sales[f"{name}_id"].to_numpy()[places[-1] < 0][0]
                raise ReleaseMismatchError(
                    f"the sales name the {name} {unknown!s}, whom release {release.id} does not have; "
                    "give the --data_dir that the release was made of"
                )
        owned = np.zeros((len(users), len(items)), np.bool_)
        owned[places[0], places[1]] = True
        return cls(users=users, items=items, owned=owned)

    def numbers(self, ids: Ids) -> NDArray[np.int64]:
        """A list of items as numbers, filled up with -1 to RECALL_K."""
        found = self.items.get_indexer(list(ids))
        return np.append(found, np.full(RECALL_K - len(found), -1)).astype(np.int64)


def require_made_of(release: Release, data_dir: Path) -> None:
    """Refuse a release of other tables: one of a later split has seen what it would be measured on.

    Raises
    ------
    ReleaseMismatchError
        If its vocabularies, or the rows of its users and items, which tell the days up to the split, are not those
        in `data_dir`.
    """
    mend = f"give the --data_dir that it was made of, or publish what is in {data_dir}"
    spec = FeatureSpec.load(data_dir / "meta" / "spec.json")
    if spec.vocabularies != release.spec.vocabularies:
        raise ReleaseMismatchError(f"release {release.id} knows other users or items than {data_dir}; {mend}")
    for name in ("user", "item"):
        row_set = spec.row_set(name)
        columns = [column.name for column in row_set.columns]
        table = read_columns(data_dir / f"{name}.parquet", [row_set.id_column, *columns])
        ids = table[row_set.id_column].to_numpy()
        store = release.row_store(name)
        rows = store.decode(ids if row_set.id_type == "int64" else ids.tolist()).columns
        same = len(store.ids()) == len(ids) and all(
            np.array_equal(rows[column], table[column].to_numpy()) for column in columns
        )
        store.close()
        if not same:
            raise ReleaseMismatchError(f"release {release.id} has other {name} rows than {data_dir}; {mend}")


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
    answers = _answers(release, catalogue, users, hide_seen=hide_seen, k=RECALL_K)
    return np.stack([catalogue.numbers(answer.ids) for answer in answers])


def explanations(
    release: Release, catalogue: Catalogue, users: NDArray[Any], *, hide_seen: bool
) -> Iterator[Explanation]:
    """What was ranked for each user, on which features, with which scores."""
    for answer in _answers(release, catalogue, users, hide_seen=hide_seen, k=1, explain=True):
        if answer.explanation is not None:  # always, where there is no fallback
            yield answer.explanation


def _answers(
    release: Release, catalogue: Catalogue, users: NDArray[Any], *, hide_seen: bool, k: int, explain: bool = False
) -> Iterator[Recommendation]:
    """Ranked answers only: one that was given the popular items instead would be measured as the ranker's."""
    with closing(open_recommender(_with_rules(release, hide_seen=hide_seen))) as recommender:
        for user in catalogue.users[users].tolist():
            answer = recommender.recommend(user, k=k, explain=explain)
            if answer.fallback is not None:
                raise FriesianError(
                    f"release {release.id} answers user {user}, who has history, with the popular items: "
                    f"{answer.fallback}; mend that and measure again"
                )
            yield answer


def _with_rules(release: Release, *, hide_seen: bool) -> Release:
    """Without the release's own rules, which are not what the ranker is measured by."""
    return replace(release, rules=Rules(hide_seen=True) if hide_seen else None)


def _ids(release: Release, name: str) -> Any:
    store = release.row_store(name)
    ids = store.ids()
    store.close()
    return ids
