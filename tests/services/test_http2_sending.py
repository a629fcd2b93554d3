"""Content that waits for windows: what is sent in the end, and what it costs that a client only gives leave."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from h2.events import DataReceived, StreamEnded
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.http2_peers import ANSWERED, ASKED, BLOCK, TRAILERS, begun, h2_peer, ours, pass_on, sent

from friesian_services.http2 import frames
from friesian_services.http2.fields import written
from friesian_services.http2.frames import ErrorCode, Http2Error, Setting, frame

OURS = str(Path(frames.__file__).parent)
GIVEN = st.tuples(st.sampled_from(["connection", "stream", "settings"]), st.integers(0, 3), st.integers(1, 70_000))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 90_000), min_size=1, max_size=4), st.lists(GIVEN, max_size=12))
def test_answers_under_whatever_windows(sizes, given_leave):
    """H2 fails where we send more than it allows."""
    server, _ = ours()
    peer = h2_peer(client=True)
    streams = [peer.get_next_available_stream_id() + 2 * number for number in range(len(sizes))]
    for stream in streams:
        peer.send_headers(stream, ASKED, end_stream=True)
    seen = pass_on(server, peer)
    for stream, size in zip(streams, sizes, strict=True):
        server.send_headers(stream, written(ANSWERED))
        server.send(stream, bytes([stream]) * size, written(TRAILERS))
    seen += pass_on(server, peer)
    for what, which, more in given_leave:
        if what == "settings":
            peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: more})
        elif what == "connection":
            peer.increment_flow_control_window(more)
        elif streams[which % len(streams)] in ended(seen):
            continue
        else:
            peer.increment_flow_control_window(more, streams[which % len(streams)])
        seen += pass_on(server, peer)
    peer.increment_flow_control_window(2**30)
    peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 2**30})
    seen += pass_on(server, peer)
    arrived = Counter()
    for event in seen:
        if isinstance(event, DataReceived):
            assert set(event.data) <= {event.stream_id}
            arrived[event.stream_id] += len(event.data)
    assert [arrived[stream] for stream in streams] == sizes
    assert ended(seen) == set(streams)
    assert (server.open_streams, server.unsent, server.sent) == (0, 0, sum(sizes))


def ended(seen):
    return {event.stream_id for event in seen if isinstance(event, StreamEnded)}


def waiting(count, window):
    """A server with so many answers that wait, for their own windows or for the connection's, which is used up."""
    server, _ = begun({Setting.INITIAL_WINDOW_SIZE: window})
    for stream in range(1, 2 * count, 2):
        server.receive(frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, BLOCK))
        server.send(stream, b"x" * 100_000, written(TRAILERS))
    server.outgoing()
    return server


def calls_for(server, data):
    """How many functions are called for what comes; the interpreter's own at its garbage are not counted."""
    calls = 0

    def count(caller, event, _):
        nonlocal calls
        calls += event in ("call", "c_call") and caller.f_code.co_filename.startswith(OURS)

    sys.setprofile(count)
    try:
        server.receive(data)
    finally:
        sys.setprofile(None)
    return calls


LEAVE = {
    "of the connection": (0, frame(frames.WINDOW_UPDATE, 0, 0, (1).to_bytes(4, "big"))),
    "of the connection, a byte": (2**31 - 1, frame(frames.WINDOW_UPDATE, 0, 0, (1).to_bytes(4, "big"))),
    "settings that say nothing": (0, frames.settings({})),
    "settings that change nothing": (0, frames.settings({Setting.INITIAL_WINDOW_SIZE: 0})),
    "settings that have grown": (2**31 - 2, frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1})),
}


@pytest.mark.parametrize("name", LEAVE)
def test_leave_costs_the_same_however_many_answers_wait(name):
    window, data = LEAVE[name]
    assert calls_for(waiting(300, window), 10 * data) == calls_for(waiting(2, window), 10 * data)


def widened(server, sizes):
    for size in sizes:
        server.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: size}))


def test_settings_that_give_all_answers_a_byte_more():
    server = waiting(300, 0)
    with pytest.raises(Http2Error) as caught:
        widened(server, range(1, 2000))
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM
    assert sum(kind == frames.DATA for kind, *_ in sent(server.outgoing())) < 300 * 200


def test_answered_calls_pay_for_such_settings():
    server = waiting(1, 0)
    for number in range(1, 1000):
        widened(server, [number])
        stream = 2 * number + 1
        server.receive(frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, BLOCK))
        server.end(stream, written(TRAILERS))
    assert server.sent == 999
