"""The original's way with categories, in plain PySpark: row-at-a-time Python functions, a count and two jobs a column,
a broadcast join a column.
"""

from __future__ import annotations

import hashlib
from typing import Any


def hash_encode(frame: Any, columns: list[str], bins: int) -> Any:
    """A pickled Python function for each column."""
    for name in columns:
        frame = frame.withColumn(name, _bucket(bins)(name))
    return frame


def cross_hash_encode(frame: Any, crosses: list[list[str]], bins: list[int]) -> Any:
    """Spark's concat, then the same function."""
    from pyspark.sql import functions as sql

    for columns, size in zip(crosses, bins, strict=True):
        joined = sql.concat(*[sql.col(name).cast("string") for name in columns])
        frame = frame.withColumn("_".join(columns), _bucket(size)(joined))
    return frame


def gen_string_idx(frame: Any, column: str, freq_limit: int = 0, by_frequency: bool = False) -> Any:
    """Counted, cached; the sizes of all partitions are collected and give each its first id."""
    from pyspark.sql import functions as sql

    counted = frame.filter(sql.col(column).isNotNull()).groupBy(column).count()
    if freq_limit:
        counted = counted.filter(sql.col("count") >= freq_limit)
    counted = (counted.orderBy(sql.desc("count")) if by_frequency else counted).cache()
    partition = sql.spark_partition_id()
    sizes = counted.groupBy(partition.alias("partition")).count().collect()
    first, offsets = 1, []
    for row in sorted(sizes, key=lambda row: row["partition"]):
        offsets += [sql.lit(row["partition"]), sql.lit(first)]
        first += row["count"]
    within = sql.monotonically_increasing_id().bitwiseAND(sql.lit((1 << 33) - 1))
    places = sql.create_map(*offsets)[partition] if offsets else sql.lit(1)
    return counted.sortWithinPartitions(sql.desc("count")).select(column, (places + within).cast("int").alias("id"))


def gen_string_idx_split(frame: Any, column: str) -> Any:
    """The same on the exploded tokens."""
    from pyspark.sql import functions as sql

    return gen_string_idx(frame.select(sql.explode(sql.split(column, ",")).alias(column)), column)


def encode_string(frame: Any, column: str, index: Any, broadcast: bool = True) -> Any:
    """A left join, with the index broadcast whatever its size."""
    from pyspark.sql import functions as sql

    known = sql.broadcast(index) if broadcast else index
    return frame.join(known, on=column, how="left").drop(column).withColumnRenamed("id", column)


def category_encode(frame: Any, column: str, freq_limit: int = 0, by_frequency: bool = False) -> Any:
    """An index, then the join."""
    return encode_string(frame, column, gen_string_idx(frame, column, freq_limit, by_frequency))


def one_hot_encode(frame: Any, column: str) -> Any:
    """The largest value in a job; a Python function gives a list, and each element a column."""
    from pyspark.sql import functions as sql

    size = frame.agg(sql.max(column)).collect()[0][0] + 1
    hot = sql.udf(lambda value: [[int(value == i) for i in range(size)]], "array<array<int>>")
    frame = frame.withColumn("friesian_onehot", hot(column))
    for i in range(size):
        frame = frame.withColumn(f"{column}_{i}", sql.col("friesian_onehot")[0][i])
    return frame.drop("friesian_onehot", column)


def target_encode(frame: Any, cats: list[str], target: str, kfold: int, smooth: float = 20.0) -> Any:
    """Two group-bys and a broadcast join for each category; a Python function divides; a pass fills what is null."""
    from pyspark.sql import functions as sql

    mean = frame.agg(sql.mean(target)).collect()[0][0]
    folded = frame.withColumn("__fold__", sql.monotonically_increasing_id() % kfold)
    for cat in cats:
        output = f"{cat}_te_{target}"
        everywhere = frame.groupBy(cat).agg(sql.sum(target).alias("s"), sql.count("*").alias("c"))
        codes = everywhere.select(cat, _code(mean, smooth)("s", "c").alias(output), "c").cache()
        codes.count()
        inside = folded.groupBy(cat, "__fold__").agg(sql.sum(target).alias("fs"), sql.count("*").alias("fc"))
        both = inside.join(sql.broadcast(everywhere), on=cat)
        left = both.withColumn(output, _code(mean, smooth)(sql.col("s") - sql.col("fs"), sql.col("c") - sql.col("fc")))
        known = left.select(cat, "__fold__", output).cache()
        known.count()
        folded = folded.join(sql.broadcast(known), on=[cat, "__fold__"], how="left").fillna(mean, [output])
    return folded.drop("__fold__")


def _code(mean: float, smooth: float) -> Any:
    from pyspark.sql import functions as sql

    return sql.udf(lambda total, count: (total + mean * smooth) / (count + smooth) if count else None, "double")


def _bucket(bins: int) -> Any:
    from pyspark.sql import functions as sql

    return sql.udf(lambda text: int(hashlib.md5(str(text).encode("utf-8")).hexdigest(), 16) % bins, "int")
