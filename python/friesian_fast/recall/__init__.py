"""Nearest items: an index that Faiss trains and the core searches."""

from friesian_fast.recall.columns import ItemColumns
from friesian_fast.recall.index import IvfIndex
from friesian_fast.recall.predicates import Predicate, col, predicate_from_json

__all__ = ["ItemColumns", "IvfIndex", "Predicate", "col", "predicate_from_json"]
