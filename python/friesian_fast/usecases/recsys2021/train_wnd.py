"""Train the Wide & Deep ranker on the preprocessed tables."""

from __future__ import annotations

from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from numpy.typing import NDArray

from friesian_fast.cli.errors import reported
from friesian_fast.errors import InvalidInputError
from friesian_fast.models.inputs import Categorical
from friesian_fast.train.files import save_json
from friesian_fast.train.runtime import use_cores
from friesian_fast.train.settings import steps_of
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

ONNX_CHECK_ROWS = 2000


class Schedule(str, Enum):
    """How the learning rate goes on from where it starts."""

    constant = "constant"
    linear = "linear"


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


def first_rows(path: Path, inputs: WideAndDeepInputs, count: int) -> dict[str, NDArray[Any]]:
    """The model's columns of the first rows of a preprocessed table."""
    dtypes = {field.name: "int32" for field in inputs.categorical} | dict.fromkeys(inputs.continuous, "float32")
    return {name: column[:count] for name, column in read_columns(path, dtypes).items()}


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
    dropout: Annotated[float, typer.Option("--dropout", help="Share of each hidden layer's units left out.")] = 0.1,
    schedule: Annotated[
        Schedule, typer.Option("--schedule", help="Of the learning rate: constant, or linear down to 0.")
    ] = Schedule.constant,
    seed: Seed = 0,
    executor_cores: Cores = None,
) -> None:
    """Train, and write ranker.keras, saved_model, ranker.onnx and ranker.json.

    With few rows, such as the walkthrough's 80,000, `--learning_rate 3e-4 --schedule linear --dropout 0.3` comes nearer
    to the best possible AUC than the original's settings, which are the defaults.

    Example: friesian recsys2021 train_wnd --data_dir data/preprocessed --model_dir recsys_wnd -b 3200 -e 5
    """
    units = parse_units(hidden_units)
    if not 0 <= dropout < 1:
        raise InvalidInputError(f"--dropout is {dropout}; it must be at least 0 and below 1")
    require_preprocessed(data_dir)
    sizes = Sizes(data_dir)
    use_cores(executor_cores)
    from friesian_fast.models.wide_and_deep import wide_and_deep
    from friesian_fast.usecases.recsys2021.fitting import fit, of_model

    inputs = model_inputs(sizes)
    model = wide_and_deep(inputs, hidden_units=units, dropout=dropout, seed=seed)
    paths = data_dir / "train_parquet", data_dir / "test_parquet"
    history = fit(
        model,
        *paths,
        features=[*inputs.categorical, *inputs.continuous],
        epochs=epoch,
        batch_size=batch_size,
        learning_rate=_rate(learning_rate, schedule, epoch, batch_size, seed, paths[0]),
        early_stopping=early_stopping,
        seed=seed,
    )
    metrics = _with_optimum(of_model(history[-1]), data_dir)
    _save(model, model_dir, metrics, history, first_rows(paths[1], inputs, ONNX_CHECK_ROWS))


def _rate(first: float, schedule: Schedule, epochs: int, batch_size: int, seed: int, table: Path) -> Any:
    """A number, or what takes it to 0 in equal steps."""
    if schedule is Schedule.constant or not first > 0 or min(epochs, batch_size) < 1:  # what is wrong is told by `fit`
        return first
    from keras.optimizers.schedules import PolynomialDecay

    return PolynomialDecay(first, steps_of(table, epochs, batch_size, seed), 0.0)


def _with_optimum(metrics: dict[str, float], data_dir: Path) -> dict[str, float]:
    best = optimum_auc(data_dir)
    if best is None:
        return metrics
    print(f"val_auc {metrics['val_auc']:.4f}; the best possible is {best:.4f}")
    return metrics | {"optimum_auc": best}


def _save(
    model: Any,
    model_dir: Path,
    metrics: dict[str, float],
    history: list[dict[str, float]],
    rows: dict[str, NDArray[Any]],
) -> None:
    """Write all formats; ``ranker.json`` comes last, so that without it the directory is not complete."""
    from friesian_fast.train.export import export_onnx, framework_versions, save_keras, save_serving

    report = model_dir / "ranker.json"
    report.unlink(missing_ok=True)
    save_keras(model, model_dir / "ranker.keras")
    save_serving(model, model_dir / "saved_model")
    max_error = export_onnx(model, model_dir / "ranker.onnx", rows)
    told = {"framework": framework_versions(), "max_error": max_error, "metrics": metrics, "history": history}
    save_json(told, report)
    print(f"wrote {model_dir}; ONNX scores are within {max_error:.1g} of Keras'")


if __name__ == "__main__":
    typer.run(main)
