"""Metrics of recommendations and of predictions, and the report that shows them; needs NumPy only."""

from friesian_fast.evaluate.bootstrap import Interval, bootstrap_auc, bootstrap_auc_difference, bootstrap_mean
from friesian_fast.evaluate.catalogue import average_popularity, coverage, diversity, exposure, gini, novelty
from friesian_fast.evaluate.lists import Relevant, top_lists
from friesian_fast.evaluate.pointwise import Calibration, GroupAuc, auc, calibration, gauc, logloss
from friesian_fast.evaluate.ranking import (
    average_precision,
    hit_rate,
    mean,
    ndcg,
    precision,
    ranking_metrics,
    recall,
    reciprocal_rank,
)
from friesian_fast.evaluate.split import TemporalSplit, history_slices, temporal_split

__all__ = [
    "Calibration",
    "GroupAuc",
    "Interval",
    "Relevant",
    "TemporalSplit",
    "auc",
    "average_popularity",
    "average_precision",
    "bootstrap_auc",
    "bootstrap_auc_difference",
    "bootstrap_mean",
    "calibration",
    "coverage",
    "diversity",
    "exposure",
    "gauc",
    "gini",
    "history_slices",
    "hit_rate",
    "logloss",
    "mean",
    "ndcg",
    "novelty",
    "precision",
    "ranking_metrics",
    "recall",
    "reciprocal_rank",
    "temporal_split",
    "top_lists",
]
