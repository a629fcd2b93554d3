"""Nearest items: an index that Faiss trains and the core searches."""

from friesian_fast.recall.columns import ItemColumns
from friesian_fast.recall.filters import CompiledFilter, Filter, with_normal_ids
from friesian_fast.recall.ids import as_ids, quoted
from friesian_fast.recall.index import IvfIndex
from friesian_fast.recall.predicates import Predicate, col, json_of, predicate_from_json, without_duplicates
from friesian_fast.recall.tuning import Tuning

__all__ = [
    "CompiledFilter",
    "Filter",
    "ItemColumns",
    "IvfIndex",
    "Predicate",
    "Tuning",
    "as_ids",
    "col",
    "json_of",
    "predicate_from_json",
    "quoted",
    "with_normal_ids",
    "without_duplicates",
]
