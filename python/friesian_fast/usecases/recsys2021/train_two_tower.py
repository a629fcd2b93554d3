"""Train the two-tower retrieval model on the preprocessed tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import pyarrow as pa
import typer
from numpy.typing import NDArray

from friesian_fast.cli.errors import reported
from friesian_fast.errors import InvalidInputError
from friesian_fast.evaluate.pointwise import require_two_classes
from friesian_fast.models.inputs import check_columns
from friesian_fast.train.files import save_json
from friesian_fast.train.runtime import use_cores
from friesian_fast.train.table import read_columns, write_columns
from friesian_fast.usecases.recsys2021.options import (
    BatchSize,
    Cores,
    DataDir,
    Seed,
    accepts_cluster_flags,
)
from friesian_fast.usecases.recsys2021.tables import Sizes, require_preprocessed

if TYPE_CHECKING:
    from friesian_fast.models.two_tower import TowerInputs, TwoTower

LABEL = "label"
EARLY_STOPPING = 5
ONNX_CHECK_ROWS = 2000

Rows = tuple[dict[str, NDArray[Any]], NDArray[np.float32]]


def load_rows(path: Path) -> Rows:
    """Read one preprocessed table: the columns that the towers are made from, and the labels."""
    from friesian_fast.usecases.recsys2021.tower_features import RAW_INTEGERS, RAW_NUMBERS

    dtypes = dict.fromkeys(RAW_INTEGERS, "int32") | dict.fromkeys(RAW_NUMBERS, "float32")
    columns = read_columns(path, {**dtypes, LABEL: "float32"})
    check_columns(columns, [], RAW_NUMBERS, where=str(path))
    labels = columns.pop(LABEL)
    require_two_classes(labels, str(path))
    return columns, labels


def prepare(data_dir: Path, frequency_limit: int) -> tuple[Rows, Rows, tuple[TowerInputs, TowerInputs]]:
    """Read both tables and make the towers' features.

    Writes ``embed_reindex_<column>`` and, for prediction, ``user_item_parquet``: the features of all rows.
    """
    from friesian_fast.usecases.recsys2021.tower_features import (
        FOLDED,
        add_ratios,
        fold_rare,
        scale_numbers,
        tower_inputs,
    )

    sizes = Sizes(data_dir)
    paths = data_dir / "train_parquet", data_dir / "test_parquet"
    train, test = load_rows(paths[0]), load_rows(paths[1])
    folded = {name: fold_rare(name, train[0], test[0], frequency_limit, data_dir) for name in FOLDED}
    for columns, _ in (train, test):
        add_ratios(columns)
    scale_numbers(train[0], test[0])
    user, item = tower_inputs(sizes, folded)
    for (columns, _), path in zip((train, test), paths, strict=True):
        check_columns(columns, [*user.categorical, *item.categorical], [], where=str(path))
    everything = {name: np.concatenate([train[0][name], test[0][name]]) for name in [*user.names, *item.names]}
    write_columns(data_dir / "user_item_parquet", everything)
    return train, test, (user, item)


@reported
@accepts_cluster_flags
def main(
    data_dir: DataDir,
    model_dir: Annotated[Path, typer.Option("--model_dir", help="Gets the models.")] = Path("recsys_2tower"),
    batch_size: BatchSize = 8000,
    epochs: Annotated[int, typer.Option("--epochs", help="Passes over the data.")] = 1,
    lr: Annotated[float, typer.Option("--lr", help="Learning rate of Adam.")] = 1e-3,
    frequency_limit: Annotated[
        int, typer.Option("--frequency_limit", help="Hashtags, links and domains seen less often share one vector.")
    ] = 25,
    seed: Seed = 0,
    executor_cores: Cores = None,
) -> None:
    """Train, and write twotower-model, user-model and item-model, the towers as ONNX too.

    Example: friesian recsys2021 train_two_tower --data_dir data/preprocessed --model_dir recsys_2tower
    """
    if frequency_limit < 1:
        raise InvalidInputError(f"--frequency_limit is {frequency_limit}; it must be at least 1 (1 keeps every id)")
    require_preprocessed(data_dir)
    use_cores(executor_cores)
    from friesian_fast.models.two_tower import two_tower
    from friesian_fast.usecases.recsys2021.fitting import fit, of_model

    train, test, (user, item) = prepare(data_dir, frequency_limit)
    towers = two_tower(user, item, seed=seed)
    tables = (pa.table({**{name: rows[name] for name in towers.model.input}, LABEL: y}) for rows, y in (train, test))
    history = fit(
        towers.model,
        *tables,
        features=[*user.categorical, *item.categorical, *user.continuous, *item.continuous],
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=lr,
        early_stopping=EARLY_STOPPING,
        seed=seed,
    )
    _save(
        towers, model_dir, of_model(history[-1]), {name: column[:ONNX_CHECK_ROWS] for name, column in test[0].items()}
    )


def _save(towers: TwoTower, model_dir: Path, metrics: dict[str, float], rows: dict[str, NDArray[Any]]) -> None:
    """Write all formats; ``two_tower.json`` comes last, so that without it the directory is not complete."""
    from friesian_fast.train.export import export_onnx, framework_versions, save_serving

    report = model_dir / "two_tower.json"
    report.unlink(missing_ok=True)
    save_serving(towers.model, model_dir / "twotower-model")
    max_error = 0.0
    for name, tower in (("user-model", towers.user), ("item-model", towers.item)):
        save_serving(tower, model_dir / name)
        max_error = max(max_error, export_onnx(tower, model_dir / f"{name}.onnx", rows, output="prediction"))
    save_json({"framework": framework_versions(), "max_error": max_error, "metrics": metrics}, report)
    print(f"wrote {model_dir}")


if __name__ == "__main__":
    typer.run(main)
