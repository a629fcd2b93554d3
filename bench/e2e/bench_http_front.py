"""What the HTTP front adds to a request's CPU, without sockets: the short way, uvicorn's, and none, in turns.

Each request runs the model, as in a server: what the front needs is hardly in the caches when its turn comes. The
system's part of a request (receive, send, wake) comes on top; `bench_serving.py` has it all.
"""

import asyncio
import time

import numpy as np
import pytest
import uvloop
from bench.e2e import walkthrough_release
from tests.services.test_http_protocol import Transport
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from friesian_fast.recommend import open_recommender
from friesian_fast.release.open import open_release
from friesian_services.backends import LocalBackends
from friesian_services.http.app import HttpApp
from friesian_services.http.protocol import Protocol
from friesian_services.http.server import _config
from friesian_services.timers import Timers

REQUESTS, WARM_UP = 1500, 100
HEAD = b"GET /recommender/recommend/%d?k=10&canK=50 HTTP/1.1\r\nhost: 127.0.0.1:8000\r\naccept: */*\r\n\r\n"


def connection(kind, config):
    """A connection of that protocol that is open already."""
    protocol, transport = kind(config=config, server_state=ServerState(), app_state={}), Transport()
    protocol.connection_made(transport)
    return protocol, transport


async def ask(front, user):
    protocol, transport = front
    transport.written.clear()
    protocol.data_received(HEAD % user)
    while not transport.written or not transport.written[-1].endswith(b"}"):
        await asyncio.sleep(0)
    return transport.written


async def measured(releases):
    """Medians of CPU microseconds by way."""
    timers = Timers()
    chain = open_recommender(open_release(releases, verify=False), timers.time)
    config = _config(HttpApp(chain, timers, LocalBackends(timers)))
    config.load()
    short, long = (connection(kind, config) for kind in (Protocol, HttpToolsProtocol))
    assert (await ask(short, 7))[-1].endswith((await ask(long, 7))[-1])
    took = []
    for users in np.random.default_rng(0).integers(1, walkthrough_release.USERS, (REQUESTS, 3)).tolist():
        marks = [time.thread_time()]
        chain.recommend(users[0], k=10, candidates=50)
        marks.append(time.thread_time())
        for front, user in zip((short, long), users[1:], strict=True):
            await ask(front, user)
            marks.append(time.thread_time())
        took.append(np.diff(marks))
    return dict(zip(("none", "short", "uvicorn"), 1e6 * np.median(took[WARM_UP:], axis=0), strict=True))


@pytest.mark.slow
def test_http_front(benchmark, tmp_path, capsys):
    releases, _, _ = walkthrough_release.build(tmp_path)
    found = benchmark.pedantic(lambda: uvloop.run(measured(releases)), rounds=1)
    benchmark.extra_info.update(found)
    with capsys.disabled():
        print(
            f"\n  a request in process {found['none']:.0f} µs; the front adds {found['short'] - found['none']:.0f}",
            end="",
        )
        print(f", uvicorn's protocol {found['uvicorn'] - found['none']:.0f}")
