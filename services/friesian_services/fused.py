"""All stages in one process: the same classes as behind the wire, called directly."""

from __future__ import annotations

import contextvars
from concurrent.futures import ThreadPoolExecutor

from friesian_fast.recommend import Ahead, Recommender, RulesStage, open_recall
from friesian_fast.release.open import open_release
from friesian_fast.store import RowStore
from friesian_services.backends import LocalBackends
from friesian_services.config import AllConfig
from friesian_services.launch import observe
from friesian_services.place import Place
from friesian_services.process import THREADS, cores_here
from friesian_services.recommender.fronts import serve_fronts
from friesian_services.wiring import (
    TimedRanker,
    TimedStore,
    check_columns,
    check_index,
    check_model_path,
    open_index,
    open_ranker,
    open_stores,
)


def serve(settings: AllConfig, place: Place) -> None:
    """Answer until told to stop."""
    release = open_release(settings.release_path, huge_pages=settings.huge_pages)
    check_model_path(release, settings.model_path)
    check_index(release, settings.index_path, settings.index_dim)
    check_columns(release, settings.inference_columns)
    timers, exporter = observe(settings, place)
    stores = open_stores(release, ("user", "item", "user_vector"), settings)
    index = open_index(release)
    rules = RulesStage.of(release, index)
    # Where nothing waits for a network, more threads than cores would only take turns.
    cores = max(1, cores_here() // settings.workers)
    waits = settings.redis is not None
    users = TimedStore(stores["user"], timers)
    recommender = Recommender(
        release,
        users=users,
        items=TimedStore(stores["item"], timers),
        recall=open_recall(release, index, TimedStore(stores["user_vector"], timers), timers.time, rules),
        ranker=TimedRanker(open_ranker(release), timers),
        ahead=_in_thread(users) if waits else None,
        clock=timers.time,
        rules=rules,
    )
    serve_fronts(
        f"release {release.id}",
        settings,
        recommender,
        LocalBackends(timers),
        timers,
        exporter,
        place,
        threads=THREADS if waits else cores + 1,
        loops=0 if waits else cores,
    )


def _in_thread(users: RowStore) -> Ahead:
    """Fetches rows in threads of its own, with the deadline and the id of the request."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="user-row")
    return lambda ids: pool.submit(contextvars.copy_context().run, users.find, ids).result
