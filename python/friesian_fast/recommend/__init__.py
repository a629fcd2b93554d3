"""The chain from a user's id to the answer: recall, rows, ranking, top-k."""

from friesian_fast.recall import as_ids
from friesian_fast.recommend.explain import Explanation
from friesian_fast.recommend.listed import ListedRecall, open_recall
from friesian_fast.recommend.recommender import (
    Ahead,
    Recommendation,
    Recommender,
    TooFewCandidatesError,
    open_recommender,
)
from friesian_fast.recommend.rules import RulesStage
from friesian_fast.recommend.stages import (
    Candidates,
    CandidateSource,
    Clock,
    Ids,
    IndexRecall,
    untimed,
)
from friesian_fast.release.manifest import MAX_CANDIDATES

__all__ = [
    "MAX_CANDIDATES",
    "Ahead",
    "CandidateSource",
    "Candidates",
    "Clock",
    "Explanation",
    "Ids",
    "IndexRecall",
    "ListedRecall",
    "Recommendation",
    "Recommender",
    "RulesStage",
    "TooFewCandidatesError",
    "as_ids",
    "open_recall",
    "open_recommender",
    "untimed",
]
