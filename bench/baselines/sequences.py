"""The original's way with histories and negatives, in plain PySpark.

A user's rows are collected into one list and exploded again. The original's functions are Scala; here they are Spark's
own expressions on arrays, and for `add_neg_hist_seq`, which draws inside lists, a Python function.
"""

from __future__ import annotations

import random
from typing import Any


def add_hist_seq(frame: Any, most: int, last: int | None = None) -> Any:
    """collect_list of a user's rows, sorted; each row gets a slice of the list."""
    from pyspark.sql import functions as sql

    rest = [name for name in frame.columns if name != "user"]
    order = ["time", *(name for name in rest if name != "time")]
    grouped = frame.groupBy("user").agg(sql.sort_array(sql.collect_list(sql.struct(*order))).alias("rows"))
    first = sql.lit(1) if last is None else sql.greatest(sql.lit(1), sql.size("rows") - last)
    places = sql.filter(sql.sequence(sql.lit(0), sql.size("rows") - 1), lambda at: at >= first)
    placed = grouped.select("user", "rows", sql.explode(places).alias("at"))
    begin = sql.greatest(sql.lit(0), sql.col("at") - most)
    before = sql.transform(sql.slice("rows", begin + 1, sql.col("at") - begin), lambda row: row["item"])
    columns = []
    for name in rest:
        columns.append(sql.col("rows")[sql.col("at")][name].alias(name))
        if name == "item":
            columns.append(before.alias("item_hist_seq"))
    return placed.select("user", *columns)


def add_neg_hist_seq(frame: Any, item_size: int, neg_num: int) -> Any:
    """For every element of the list so many others, by a Python function."""
    from pyspark.sql import functions as sql

    def draw(items: list[int]) -> list[list[int]]:
        drawn = []
        for item in items:
            row = []
            while len(row) < neg_num:
                negative = 1 + int(random.random() * (item_size - 1))
                if negative != item:
                    row.append(negative)
            drawn.append(row)
        return drawn

    return frame.withColumn("neg_item_hist_seq", sql.udf(draw, "array<array<int>>")("item_hist_seq"))


def add_negative_samples(frame: Any, item_size: int, neg_num: int) -> Any:
    """An array of the negatives and the row's own item, exploded."""
    from pyspark.sql import functions as sql

    draws = sql.array(*[(sql.rand() * (item_size - 2)).cast("int") + 1 for _ in range(neg_num)])

    def negative(drawn: Any) -> Any:  # of a draw that is a value by now: an expression would draw twice
        item = sql.when(drawn >= sql.col("item"), drawn + 1).otherwise(drawn)
        return sql.struct(item.alias("item"), sql.lit(0).alias("label"))

    own = sql.struct(sql.col("item").alias("item"), sql.lit(1).alias("label"))
    pairs = sql.concat(sql.transform("drawn", negative), sql.array(own))
    drawn = frame.drop("label").withColumn("drawn", draws)
    exploded = drawn.withColumn("pair", sql.explode(pairs)).drop("item", "drawn")
    return exploded.select(*[name for name in exploded.columns if name != "pair"], "pair.item", "pair.label")


def mask(frame: Any, column: str, size: int) -> Any:
    """Ones, then zeros."""
    from pyspark.sql import functions as sql

    ones = sql.least(sql.size(column), sql.lit(size))
    both = sql.concat(sql.array_repeat(sql.lit(1), ones), sql.array_repeat(sql.lit(0), sql.lit(size) - ones))
    return frame.withColumn(f"{column}_mask", both)


def pad(frame: Any, column: str, size: int, masked: bool = False) -> Any:
    """The last elements, then zeros."""
    from pyspark.sql import functions as sql

    if masked:
        frame = mask(frame, column, size)
    kept = sql.least(sql.size(column), sql.lit(size))
    tail = sql.slice(column, sql.size(column) - kept + 1, kept)
    return frame.withColumn(column, sql.concat(tail, sql.array_repeat(sql.lit(0), sql.lit(size) - kept)))
