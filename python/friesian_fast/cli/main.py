"""The `friesian` command."""

from __future__ import annotations

import typer

from friesian_fast import __version__
from friesian_fast.cli.errors import reported
from friesian_fast.cli.lazy import Target, lazy_group

COMMANDS = {
    "demo": Target("friesian_fast.cli.demo:demo", "A use case from raw logs to answers on HTTP and gRPC."),
    "recsys2021": Target("friesian_fast.usecases.recsys2021.steps:app", "Steps of the Twitter RecSys 2021 use case."),
    "online_retail": Target("friesian_fast.usecases.online_retail.steps:app", "Steps of the Online Retail use case."),
    "evaluate": Target("friesian_fast.cli.evaluate:evaluate", "Measure predictions; write an HTML report."),
    "publish": Target("friesian_fast.cli.publish:publish", "Freeze features, index and models into a release."),
    "load-redis": Target("friesian_fast.cli.load_redis:load_redis", "Write a release's rows into Redis."),
    "serve": Target("friesian_fast.cli.serve:app", "Run one service, or all of them in one process."),
    "loadtest": Target("friesian_fast.cli.loadtest:loadtest", "Load on a running recommender, and its latencies."),
}

app = typer.Typer(
    cls=lazy_group(COMMANDS),
    name="friesian",
    help="From raw interaction logs to an answering recommender, on ordinary CPUs.",
    epilog="Example: friesian demo recsys2021 --once",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)


@app.callback(invoke_without_command=True)
def _root(version: bool = typer.Option(False, "--version", help="Print the version and exit.")) -> None:
    if version:
        typer.echo(f"friesian {__version__}")
        raise typer.Exit


@reported
def main() -> None:
    """Run the command line."""
    app()
