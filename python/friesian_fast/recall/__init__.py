"""Nearest items: an index that Faiss trains and the core searches."""

from friesian_fast.recall.index import IvfIndex

__all__ = ["IvfIndex"]
