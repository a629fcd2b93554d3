"""Several users of one call."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from friesian_fast.recall import Filter
from friesian_fast.recommend import Recommendation, Recommender
from friesian_services import call, wire


def recommend_all(
    recommender: Recommender,
    users: Sequence[int | str],
    k: int | None,
    candidates: int | None,
    context: Any,
    explain: bool = False,
    filter: Filter | None = None,
) -> list[Recommendation]:
    """One answer for each user, as long as somebody waits for them.

    Raises
    ------
    InvalidInputError
        If there are more than 10,000 users, an id is longer than 1,024 characters, or the filter does not fit.
    DeadlineError
        If the caller's time is up, or the caller gone, before all are answered.
    """
    wire.check_users(users)
    if explain:  # an explanation keeps every candidate's features until the answer is sent
        wire.check_number(len(users) * max(recommender.sizes(k, candidates)), "explained candidates")
    answers = []
    for user in users:
        call.require_waiting(context)
        answers.append(recommender.recommend(user, k=k, candidates=candidates, explain=explain, filter=filter))
    return answers
