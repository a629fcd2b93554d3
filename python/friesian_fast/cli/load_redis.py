"""`friesian load-redis`: a release's rows into Redis."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from friesian_fast.release.open import Release
    from friesian_fast.store.redis import RedisServer


def load_redis(
    releases: Annotated[
        Path, typer.Option("--releases", "--release-path", help="A directory of releases with CURRENT, or one release.")
    ] = Path("releases"),
    url: Annotated[
        str, typer.Option("--url", help="host:port or redis://, rediss://, unix:// URL.", envvar="FRIESIAN_REDISURL")
    ] = "localhost:6379",
    prefix: Annotated[
        str | None,
        typer.Option(help="Before every key; the release's id and a colon unless given. '' is the original's layout."),
    ] = None,
    redis_type: Annotated[str, typer.Option(help="standalone, sentinel or cluster.")] = "standalone",
    sentinel_master: Annotated[str | None, typer.Option(help="The master's name, with sentinel.")] = None,
    sentinel_url: Annotated[str, typer.Option(help="The sentinels, with sentinel.")] = "localhost:26379",
    item_slot_type: Annotated[int, typer.Option(help="0, 1 or 2, with cluster.", min=0, max=2)] = 0,
) -> None:
    """Write a release's rows into Redis, under a prefix of its own.

    Example: friesian load-redis --releases releases --prefix ""
    """
    from friesian_fast.errors import InvalidInputError
    from friesian_fast.release.open import open_release
    from friesian_fast.store import redis

    if redis_type not in ("standalone", "sentinel", "cluster"):
        raise InvalidInputError(f"--redis-type is '{redis_type}'; use standalone, sentinel or cluster")
    server = redis.RedisServer(
        url=url,
        kind=redis_type,  # type: ignore[arg-type]
        sentinel_master=sentinel_master,
        sentinel_url=sentinel_url,
        item_slot_type=item_slot_type,  # type: ignore[arg-type]
    )
    release = open_release(releases)
    _load(release, server, f"{release.id}:" if prefix is None else prefix)


def _load(release: Release, server: RedisServer, prefix: str) -> None:
    """Write the rows: a bar on stderr while it goes, what was written on stdout."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from friesian_fast.store import redis

    total = sum(release.manifest.row_sets[name].rows for name in redis.KINDS)
    started = time.perf_counter()
    columns = (TextColumn("loading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("rows", total=total)
        keys = redis.load_redis(release, server, prefix, lambda rows: progress.update(task, completed=rows))
    elapsed = time.perf_counter() - started
    typer.echo(f"{keys:,} keys with prefix '{prefix}' in Redis at {server.shown}, in {elapsed:.1f} s")
