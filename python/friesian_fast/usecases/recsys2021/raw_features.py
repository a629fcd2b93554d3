"""Features of the raw records that are computed on whole Arrow columns."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc


def first_two_media(texts: Any) -> Any:
    """The first two of tab-separated media, joined by an underscore."""
    return pc.binary_join(pc.list_slice(pc.split_pattern(texts, "\t"), 0, 2), "_")


def token_count(texts: Any) -> Any:
    """How many tab-separated tokens there are; none in an empty text. int32."""
    tokens = pc.add(pc.count_substring(texts, "\t"), 1)
    return pc.if_else(pc.equal(texts, ""), 0, tokens).cast(pa.int32())


def engaged(*timestamps: Any) -> Any:
    """1 where any of the timestamps is later than 0. int32."""
    later = pc.greater(timestamps[0], 0)
    for timestamp in timestamps[1:]:
        later = pc.or_(later, pc.greater(timestamp, 0))
    return later.cast(pa.int32())
