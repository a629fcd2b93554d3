"""Packed feature rows by id."""

from friesian_fast.store.base import Ids, RowStore, normal_ids
from friesian_fast.store.codec import PackedRows, RowBatch, RowCodec, Rows
from friesian_fast.store.mapped import MappedRowStore

__all__ = ["Ids", "MappedRowStore", "PackedRows", "RowBatch", "RowCodec", "RowStore", "Rows", "normal_ids"]
