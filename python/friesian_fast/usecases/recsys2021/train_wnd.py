"""Train the Wide & Deep ranker on the preprocessed tables."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from friesian_fast.cli.errors import reported
from friesian_fast.evaluate.pointwise import require_two_classes
from friesian_fast.models.inputs import Categorical, check_columns
from friesian_fast.train.files import save_json
from friesian_fast.train.runtime import use_cores
from friesian_fast.train.table import read_columns
from friesian_fast.usecases.recsys2021.options import (
    BatchSize,
    Cores,
    DataDir,
    Seed,
    accepts_cluster_flags,
    parse_units,
)
from friesian_fast.usecases.recsys2021.tables import Sizes, optimum_auc, require_preprocessed

if TYPE_CHECKING:
    from friesian_fast.models.wide_and_deep import WideAndDeepInputs

WIDE = ("engaged_with_user_is_verified", "enaging_user_is_verified")
CROSS = ("present_media_language",)
INDICATOR = (
    "present_media",
    "tweet_type",
    "language",
    "engaged_with_user_follower_count",
    "engaged_with_user_following_count",
    "enaging_user_follower_count",
    "enaging_user_following_count",
)
EMBEDDING = ("engaged_with_user_id", "hashtags", "present_domains")
CONTINUOUS = ("len_hashtags", "len_domains", "len_links")
LABEL = "label"

ONNX_CHECK_ROWS = 2000

Rows = tuple[dict[str, NDArray[Any]], NDArray[np.float32]]


def model_inputs(sizes: Sizes) -> WideAndDeepInputs:
    """The sixteen inputs in the walkthrough's order.

    Encoded columns keep 0 for unknown values, so n known ones take n + 1 places.
    """
    from friesian_fast.models.wide_and_deep import WideAndDeepInputs

    return WideAndDeepInputs(
        wide=[Categorical(name, 2) for name in WIDE],
        cross=[Categorical(name, sizes[name]) for name in CROSS],
        indicator=[Categorical(name, sizes[name] + 1) for name in INDICATOR],
        embedding=[Categorical(name, sizes[name] + 1) for name in EMBEDDING],
        continuous=CONTINUOUS,
    )


def load_rows(path: Path, inputs: WideAndDeepInputs) -> Rows:
    """Read and check one preprocessed table: the model's columns and the labels."""
    dtypes = {field.name: "int32" for field in inputs.categorical} | dict.fromkeys(inputs.continuous, "float32")
    columns = read_columns(path, {**dtypes, LABEL: "float32"})
    labels = columns.pop(LABEL)
    require_two_classes(labels, str(path))
    check_columns(columns, inputs.categorical, inputs.continuous, where=str(path))
    return columns, labels


@reported
@accepts_cluster_flags
def main(
    data_dir: DataDir,
    model_dir: Annotated[Path, typer.Option("--model_dir", help="Gets the model in its formats.")] = Path("recsys_wnd"),
    batch_size: BatchSize = 102400,
    epoch: Annotated[int, typer.Option("--epoch", "-e", help="Passes over the data.")] = 2,
    learning_rate: Annotated[float, typer.Option("--learning_rate", "-l", help="Of Adam.")] = 1e-4,
    early_stopping: Annotated[
        int, typer.Option("--early_stopping", help="Stop after so many epochs without a better val_auc; 0 never.")
    ] = 3,
    hidden_units: Annotated[str, typer.Option("--hidden_units", help="Widths of the deep part.")] = "1024, 1024",
    seed: Seed = 0,
    executor_cores: Cores = None,
) -> None:
    """Train, and write ranker.keras, saved_model, ranker.onnx and ranker.json.

    Example: friesian recsys2021 train_wnd --data_dir data/preprocessed --model_dir recsys_wnd -b 3200 -e 5
    """
    units = parse_units(hidden_units)
    require_preprocessed(data_dir)
    sizes = Sizes(data_dir)
    use_cores(executor_cores)
    from friesian_fast.models.wide_and_deep import wide_and_deep
    from friesian_fast.train.loop import fit

    inputs = model_inputs(sizes)
    train = load_rows(data_dir / "train_parquet", inputs)
    test = load_rows(data_dir / "test_parquet", inputs)
    model = wide_and_deep(inputs, hidden_units=units, seed=seed)
    history = fit(
        model,
        *train,
        validation=test,
        epochs=epoch,
        batch_size=batch_size,
        learning_rate=learning_rate,
        early_stopping=early_stopping,
        seed=seed,
    )
    metrics = _with_optimum(history.last, data_dir)
    _save(model, model_dir, metrics, {name: column[:ONNX_CHECK_ROWS] for name, column in test[0].items()})


def _with_optimum(metrics: dict[str, float], data_dir: Path) -> dict[str, float]:
    best = optimum_auc(data_dir)
    if best is None:
        return metrics
    print(f"val_auc {metrics['val_auc']:.4f}; the best possible is {best:.4f}")
    return metrics | {"optimum_auc": best}


def _save(model: Any, model_dir: Path, metrics: dict[str, float], rows: dict[str, NDArray[Any]]) -> None:
    """Write all formats; ``ranker.json`` comes last, so that without it the directory is not complete."""
    from friesian_fast.train.export import export_onnx, framework_versions, save_keras, save_serving

    report = model_dir / "ranker.json"
    report.unlink(missing_ok=True)
    save_keras(model, model_dir / "ranker.keras")
    save_serving(model, model_dir / "saved_model")
    max_error = export_onnx(model, model_dir / "ranker.onnx", rows)
    save_json({"framework": framework_versions(), "max_error": max_error, "metrics": metrics}, report)
    print(f"wrote {model_dir}; ONNX scores are within {max_error:.1g} of Keras'")


if __name__ == "__main__":
    typer.run(main)
