"""``friesian online_retail <step>``: the steps in the order of the pipeline."""

import typer

from friesian_fast.cli.lazy import Target, lazy_group

_HERE = "friesian_fast.usecases.online_retail"

app = typer.Typer(
    cls=lazy_group(
        {
            "prepare": Target(f"{_HERE}.prepare:main", "Transactions to feature rows, sales and the spec."),
            "train": Target(f"{_HERE}.train:main", "Train the two towers and the ranker, propose items."),
            "publish": Target(f"{_HERE}.publish:main", "Build a release from the outputs."),
            "report": Target(f"{_HERE}.report:main", "Measure the release beside tuned baselines; writes a page."),
        }
    ),
    help="Steps of the Online Retail use case, in their order.",
    no_args_is_help=True,
    add_completion=False,
)


@app.callback()
def _root() -> None:
    pass
