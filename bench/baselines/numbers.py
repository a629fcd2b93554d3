"""The original's way with numbers, in plain PySpark.

Its Scala functions (clip, log) and passes over rows in the JVM (fillna) are stood in by Spark's own expressions.
"""

from __future__ import annotations

from typing import Any


def min_max_scale(frame: Any, columns: list[str]) -> Any:
    """Spark ML on an assembled vector, which a Python function turns back into columns."""
    from pyspark.ml.feature import MinMaxScaler, VectorAssembler
    from pyspark.sql import functions as sql

    assembled = VectorAssembler(inputCols=columns, outputCol="assembled").transform(frame)
    scaled = MinMaxScaler(inputCol="assembled", outputCol="scaled").fit(assembled).transform(assembled)
    listed = sql.udf(lambda vector: [float(value) for value in vector], "array<float>")
    scaled = scaled.withColumn("scaled", listed("scaled"))
    for i, name in enumerate(columns):
        scaled = scaled.withColumn(name, sql.col("scaled")[i])
    return scaled.drop("assembled", "scaled")


def transform_min_max_scale(frame: Any, bounds: dict[str, tuple[float, float]]) -> Any:
    """A Python function for each column."""
    for name, (low, high) in bounds.items():
        frame = frame.withColumn(name, _scaled(low, high)(name))
    return frame


def _scaled(low: float, high: float) -> Any:
    from pyspark.sql import functions as sql

    return sql.udf(lambda value: float((value - low) / (high - low)), "float")


def cut_bins(frame: Any, columns: list[str], edges: list[float]) -> Any:
    """Spark ML's Bucketizer."""
    from pyspark.ml.feature import Bucketizer

    splits = [-float("inf"), *edges, float("inf")]
    for name in columns:
        cutter = Bucketizer(splits=splits, inputCol=name, outputCol=f"{name}_bin", handleInvalid="keep")
        frame = cutter.transform(frame).drop(name)
        frame = frame.withColumn(f"{name}_bin", frame[f"{name}_bin"].cast("int"))
    return frame


def fill_clip_log(frame: Any, columns: list[str]) -> Any:
    """Spark's own expressions; the original's are Scala functions and a pass over rows."""
    from pyspark.sql import functions as sql

    frame = frame.fillna(0, columns)
    for name in columns:
        clipped = sql.greatest(sql.least(sql.col(name), sql.lit(5000)), sql.lit(0))
        frame = frame.withColumn(name, sql.log(clipped + 1.0))
    return frame


def median(frame: Any, columns: list[str]) -> Any:
    """Approximate quantiles."""
    found = frame.approxQuantile(columns, [0.5], 0.001)
    rows = [(name, values[0]) for name, values in zip(columns, found, strict=True)]
    return frame.sparkSession.createDataFrame(rows, "column string, median double")


def count_tokens(frame: Any, column: str) -> Any:
    """A Python function on each text."""
    from pyspark.sql import functions as sql

    count = sql.udf(lambda text: len(text.split(",")) if text else 0, "int")
    return frame.withColumn("count", count(column))
