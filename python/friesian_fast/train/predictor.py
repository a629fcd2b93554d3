"""Predictions for all rows of a data set, written beside what the rows hold."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from friesian_fast._files import replacing
from friesian_fast.train.columns import first_row, read_piece, read_stretch, take
from friesian_fast.train.comm import Array, Comm
from friesian_fast.train.fields import Field, columns_of
from friesian_fast.train.job import Done, Task, Work, fields_of
from friesian_fast.train.order import Piece, shares_in_order


def predict(work: Work, comm: Comm, task: Task) -> Done:
    """Write this worker's part of the rows with their predictions, one file a row group, in the order of the data."""
    assert work.out is not None
    fields = fields_of(work, task)
    for number, piece in enumerate(work.source.pieces):
        if number % comm.world != comm.rank:
            continue
        rows = _with_predictions(work, comm, task, fields, piece, first=number == comm.rank)
        with replacing(work.out / f"part-{number:05d}.parquet") as partial:  # Spark may run a task twice
            pq.write_table(rows, partial, compression="lz4")
    return Done()


def _with_predictions(work: Work, comm: Comm, task: Task, fields: list[Field], piece: Piece, *, first: bool) -> Any:
    columns = read_stretch([piece], 0, piece.rows, fields)
    if first:
        task.build_for_predict(fields, take(columns, fields, np.arange(1)))
        if work.state is not None:
            task.load(work.state)
    parts = []
    for _, share in shares_in_order(piece.rows, work.batch_size):
        inputs = take(columns, fields, share.rows)
        with comm.step():
            parts.append(task.predict(inputs))
    values = np.concatenate(parts)
    rows = read_piece(piece)
    if "prediction" in rows.column_names:
        rows = rows.drop_columns(["prediction"])
    return rows.append_column("prediction", prediction_column(values))


def build_like(work: Work, task: Task) -> None:
    """Make the weights of a model as the data of a work makes them."""
    fields = fields_of(work, task)
    row = first_row(work.source.pieces[0], columns_of(fields))
    columns = read_stretch([row], 0, 1, fields)
    task.build_for_predict(fields, take(columns, fields, np.arange(1)))


def prediction_column(values: Array) -> Any:
    """An Arrow column of numbers of shape (n,) or (n, 1), else of lists of one length."""
    flat = np.ascontiguousarray(values.reshape(len(values), -1), np.float32)
    column = pa.array(flat.reshape(-1))
    return column if flat.shape[1] == 1 else pa.FixedSizeListArray.from_arrays(column, flat.shape[1])
