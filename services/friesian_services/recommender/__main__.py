"""Flags, settings, server: the recommender over the other services."""

from __future__ import annotations

from typing import Annotated

import typer

from friesian_fast.recommend import Recommender, RulesStage
from friesian_fast.release.open import Release, open_release
from friesian_services.backends import RemoteBackends
from friesian_services.client import RemoteRanker, RemoteRecall, RemoteRowStore, connect
from friesian_services.config import RecommenderConfig
from friesian_services.launch import (
    ConfigOption,
    PortOption,
    ReadyOption,
    ReleaseOption,
    WorkerOption,
    WorkersOption,
    launch,
    observe,
    prepare,
    start,
)
from friesian_services.place import Place
from friesian_services.process import THREADS
from friesian_services.recommender.fronts import serve_fronts
from friesian_services.timers import Timers
from friesian_services.wiring import check_columns, open_index, rows_per_call

UrlOption = Annotated[str | None, typer.Option(help="host:port, unless the settings have it.")]


def main(
    config: ConfigOption = None,
    port: PortOption = None,
    http_port: Annotated[int | None, typer.Option(help="Port of the HTTP front; -1 for none.")] = None,
    release_path: ReleaseOption = None,
    recall_service_url: UrlOption = None,
    feature_service_url: UrlOption = None,
    ranking_service_url: UrlOption = None,
    workers: WorkersOption = None,
    ready_fd: ReadyOption = None,
    worker: WorkerOption = None,
) -> None:
    """The recommender, on gRPC and HTTP, over the other four services.

    Example: friesian serve recommender -c config_recommender.yaml
    """
    place = Place.of(ready_fd, worker)
    settings = prepare(
        RecommenderConfig,
        place,
        config,
        service_port=port,
        http_port=http_port,
        release_path=release_path,
        recall_service_url=recall_service_url,
        feature_service_url=feature_service_url,
        ranking_service_url=ranking_service_url,
        workers=workers,
    )
    start("recommender", settings, place, serve)


def serve(settings: RecommenderConfig, place: Place) -> None:
    """Answer until told to stop."""
    release = open_release(settings.release_path)
    check_columns(release, settings.inference_columns)
    timers, exporter = observe(settings, place)
    recommender, backends = build(release, settings, timers)
    serve_fronts("recommender", settings, recommender, backends, timers, exporter, place, threads=THREADS)


def build(release: Release, settings: RecommenderConfig, timers: Timers) -> tuple[Recommender, RemoteBackends]:
    """The chain over the other services."""
    recall = connect("recall", settings.recall_service_url)
    feature = connect("feature", settings.feature_service_url)
    ranking = connect("ranking", settings.ranking_service_url)
    index = open_index(release)
    index.exact_scan = None  # nothing is searched here: the index says which items a filter means
    user, item = (release.spec.row_set(name) for name in ("user", "item"))
    users = RemoteRowStore(feature, user, release.spec.row_tag("user"), release.id)
    recommender = Recommender(
        release,
        users=users,
        items=RemoteRowStore(feature, item, release.spec.row_tag("item"), release.id),
        recall=RemoteRecall(recall, user.id_type, item.id_type, release.id),
        ranker=RemoteRanker(ranking, release.id, rows_per_call(release, settings.inference_batch)),
        ahead=users.begin,
        clock=timers.time,
        rules=RulesStage.of(release, index),
    )
    return recommender, RemoteBackends(recall, feature, ranking)


if __name__ == "__main__":
    launch(main)
