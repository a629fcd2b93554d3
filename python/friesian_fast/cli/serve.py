"""`friesian serve`: one service, or all of them."""

from __future__ import annotations

import typer

from friesian_fast.cli.lazy import Target, lazy_group

SERVICES = {
    "all": Target("friesian_services.all:main", "Everything: in one process, in --workers, or --split into five."),
    "recommender": Target("friesian_services.recommender.__main__:main", "The chain, on gRPC 8980 and HTTP 8000."),
    "recall": Target("friesian_services.recall.__main__:main", "The nearest items of a user, on 8084."),
    "feature_recall": Target("friesian_services.feature.__main__:main_vectors", "User vectors, on 8085."),
    "feature": Target("friesian_services.feature.__main__:main", "User and item rows, on 8082."),
    "ranking": Target("friesian_services.ranking.__main__:main", "Scores, on 8083."),
}

app = typer.Typer(
    cls=lazy_group(SERVICES),
    help="Run one service, or all of them.",
    epilog="Example: friesian serve all --releases releases",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
)


@app.callback()
def _services() -> None:
    """Run one service, or all of them."""
