"""``friesian recsys2021 <step>``: the steps in the order of the pipeline."""

import typer

from friesian_fast.cli.lazy import Target, lazy_group

_HERE = "friesian_fast.usecases.recsys2021"

app = typer.Typer(
    cls=lazy_group(
        {
            "generate": Target(f"{_HERE}.generate:main", "Make raw records in the challenge's schema."),
            "preprocess": Target(f"{_HERE}.preprocess:main", "Raw records to training tables and feature rows."),
            "train_wnd": Target(f"{_HERE}.train_wnd:main", "Train the Wide & Deep ranker."),
            "report": Target(f"{_HERE}.report:main", "Write a page about the trained ranker."),
            "train_two_tower": Target(f"{_HERE}.train_two_tower:main", "Train the two-tower retrieval model."),
            "predict_two_tower": Target(f"{_HERE}.predict_two_tower:main", "Write user and item vectors."),
            "publish": Target(f"{_HERE}.publish:main", "Build a release from the outputs."),
        }
    ),
    help="Steps of the Twitter RecSys 2021 use case, in their order.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def _root() -> None:
    pass
