"""Several users of one call."""

from __future__ import annotations

from collections.abc import Iterable

from friesian_fast.recommend import Recommendation, Recommender
from friesian_services import call


def recommend_all(
    recommender: Recommender, users: Iterable[int | str], k: int | None, candidates: int | None
) -> list[Recommendation]:
    """One answer for each user, as long as somebody waits for them.

    Raises
    ------
    DeadlineError
        If the caller's time is up before all are answered.
    """
    answers = []
    for user in users:
        call.remaining()
        answers.append(recommender.recommend(user, k=k, candidates=candidates))
    return answers
