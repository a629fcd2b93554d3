"""Nearest items: an index that Faiss trains and the core searches."""

from friesian_fast.recall.columns import ItemColumns
from friesian_fast.recall.filters import CompiledFilter, Filter
from friesian_fast.recall.index import IvfIndex
from friesian_fast.recall.predicates import Predicate, col, predicate_from_json
from friesian_fast.recall.tuning import Tuning

__all__ = ["CompiledFilter", "Filter", "ItemColumns", "IvfIndex", "Predicate", "Tuning", "col", "predicate_from_json"]
