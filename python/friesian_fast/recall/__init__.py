"""Nearest items: an index that Faiss trains and the core searches."""

from friesian_fast.recall.index import IvfIndex
from friesian_fast.recall.tuning import Tuning

__all__ = ["IvfIndex", "Tuning"]
