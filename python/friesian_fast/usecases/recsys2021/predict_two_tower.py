"""Write one vector per user and per tweet with the trained towers."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from friesian_fast.cli.errors import reported
from friesian_fast.errors import InvalidInputError, NotFoundError
from friesian_fast.train.runtime import available_cores
from friesian_fast.train.table import read_columns, write_columns
from friesian_fast.usecases.recsys2021.options import BatchSize, Cores, DataDir, accepts_cluster_flags
from friesian_fast.usecases.recsys2021.tables import require_preprocessed

Columns = dict[str, NDArray[Any]]


class Tower:
    """One trained tower, run by ONNX Runtime: starting TensorFlow would cost more than the vectors.

    Parameters
    ----------
    path : Path
        The ``.onnx`` file.
    threads : int
    """

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        if not path.is_file():
            raise NotFoundError(f"there is no model at {path}; run the train_two_tower step first")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        try:
            self._session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its exceptions have no common base but Exception
            raise InvalidInputError(f"{path} is not a readable ONNX model; train again ({error})") from error
        self._inputs = {value.name: value.type for value in self._session.get_inputs()}

    @property
    def dtypes(self) -> dict[str, str | None]:
        """The tower's inputs by name, which is also how the columns are fed."""
        return {name: "int32" if "int32" in kind else "float32" for name, kind in self._inputs.items()}

    def vectors(self, columns: Columns, batch_size: int) -> NDArray[np.float32]:
        """Vectors of length 1, shape (n, dim)."""
        rows = len(next(iter(columns.values())))
        batches = []
        for start in range(0, rows, batch_size):
            batch = {name: columns[name][start : start + batch_size] for name in self._inputs}
            batches.append(self._session.run(["prediction"], batch)[0])
        return np.concatenate(batches)


def first_of_each(columns: Columns, id_column: str) -> Columns:
    """The first row of every id, by rising id; an id of 0 is "unknown" and left out."""
    ids, rows = np.unique(columns[id_column], return_index=True)
    rows = rows[ids != 0]
    return {name: column[rows] for name, column in columns.items()}


def user_rows(path: Path, tower: Tower) -> Columns:
    """The user tower's columns of all users, those who engaged before those engaged with."""
    from_user = {name: name for name in tower.dtypes}
    from_author = {name: name.replace("enaging_user", "engaged_with_user") for name in tower.dtypes}
    wanted = {source[name]: dtype for source in (from_user, from_author) for name, dtype in tower.dtypes.items()}
    table = read_columns(path, wanted)
    return {name: np.concatenate([table[from_user[name]], table[from_author[name]]]) for name in tower.dtypes}


@reported
@accepts_cluster_flags
def main(
    data_dir: DataDir,
    model_dir: Annotated[Path, typer.Option("--model_dir", help="The trained models.")] = Path("recsys_2tower"),
    batch_size: BatchSize = 8000,
    executor_cores: Cores = None,
) -> None:
    """Write user_ebd.parquet (user_id, prediction) and item_ebd.parquet (tweet_id, prediction).

    Example: friesian recsys2021 predict_two_tower --data_dir data/preprocessed --model_dir recsys_2tower
    """
    if batch_size < 1:
        raise InvalidInputError(f"--batch_size is {batch_size}; it must be at least 1")
    require_preprocessed(data_dir)
    threads = min(executor_cores or available_cores(), available_cores())
    table = data_dir / "user_item_parquet"
    if not table.exists():
        raise NotFoundError(f"there is no {table}; run the train_two_tower step first")
    user, item = (Tower(model_dir / f"{name}-model.onnx", threads) for name in ("user", "item"))
    users = first_of_each(user_rows(table, user), "enaging_user_id")
    items = first_of_each(read_columns(table, item.dtypes), "tweet_id")
    outputs = {
        "user_ebd.parquet": {"user_id": users["enaging_user_id"], "prediction": user.vectors(users, batch_size)},
        "item_ebd.parquet": {"tweet_id": items["tweet_id"], "prediction": item.vectors(items, batch_size)},
    }
    for name, columns in outputs.items():
        write_columns(data_dir / name, columns)
        count, dim = columns["prediction"].shape
        print(f"wrote {data_dir / name}: {count} vectors of {dim}")


if __name__ == "__main__":
    typer.run(main)
