"""The connection against the library h2, at both sides, and against frames that no good peer sends."""

import pytest
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    PingAckReceived,
    ResponseReceived,
    StreamEnded,
    StreamReset,
    TrailersReceived,
)
from h2.settings import SettingCodes
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.services.http2_peers import ANSWERED, ASKED, BLOCK, TRAILERS, begun, h2_peer, ours, pass_on, sent

from friesian_services.http2 import connection as limits
from friesian_services.http2 import frames
from friesian_services.http2.fields import written
from friesian_services.http2.frames import ErrorCode, Http2Error, Setting, frame

HEADERS = frame(frames.HEADERS, frames.END_HEADERS, 1, BLOCK)
WHOLE = frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, 1, BLOCK)
FOUR = (5).to_bytes(4, "big")


def ask(peer, *, content=b"", end=True):
    """Open a stream of h2's client with as much of the content as its window allows; its number."""
    stream = peer.get_next_available_stream_id()
    peer.send_headers(stream, ASKED, end_stream=end and not content)
    for at in range(0, len(content), 16384):
        peer.send_data(stream, content[at : at + 16384], end_stream=end and at + 16384 >= len(content))
    return stream


def answer(server, stream, content):
    server.send_headers(stream, written(ANSWERED))
    server.send(stream, content, written(TRAILERS))


def arrived(seen, stream):
    """All content of a stream that h2 saw."""
    return b"".join(event.data for event in seen if isinstance(event, DataReceived) and event.stream_id == stream)


def kinds(seen, kind):
    return [event for event in seen if isinstance(event, kind)]


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 60_000), st.integers(0, 60_000))
def test_a_call_from_h2_in_any_pieces(data, asked, answered):
    server, told = ours()
    peer = h2_peer(client=True)

    def cut(size):
        return data.draw(st.integers(1, size)) if size < 100 else data.draw(st.sampled_from([1, 9, size // 2, size]))

    stream = ask(peer, content=b"q" * asked)
    pass_on(server, peer, cut)
    assert told.events[0] == ("headers", stream, dict(ASKED), asked == 0)
    assert told.content(stream) == (b"q" * asked, 1)
    answer(server, stream, b"a" * answered)
    seen = pass_on(server, peer, cut)
    assert arrived(seen, stream) == b"a" * answered
    assert [event.headers for event in kinds(seen, ResponseReceived)] == [ANSWERED]
    assert [event.headers for event in kinds(seen, TrailersReceived)] == [TRAILERS]
    assert len(kinds(seen, StreamEnded)) == 1
    assert server.open_streams == 0


@settings(max_examples=60, deadline=None)
@given(st.data(), st.integers(0, 60_000), st.integers(0, 60_000))
def test_a_call_to_h2_in_any_pieces(data, asked, answered):
    client, told = ours(client=True)
    peer = h2_peer(client=False)

    def cut(size):
        return data.draw(st.integers(1, size)) if size < 100 else data.draw(st.sampled_from([1, 9, size // 2, size]))

    stream = client.open_stream(BLOCK)
    client.send(stream, b"q" * asked, b"")
    seen = pass_on(client, peer, cut)
    assert arrived(seen, stream) == b"q" * asked
    assert len(kinds(seen, StreamEnded)) == 1
    peer.send_headers(stream, ANSWERED)
    for at in range(0, answered, 16384):
        peer.send_data(stream, b"a" * min(16384, answered - at))
    peer.send_headers(stream, TRAILERS, end_stream=True)
    pass_on(client, peer, cut)
    assert told.events[0] == ("headers", stream, dict(ANSWERED), False)
    assert told.events[-1] == ("headers", stream, dict(TRAILERS), True)
    assert told.content(stream) == (b"a" * answered, 1)
    assert client.open_streams == 0


def test_streams_are_numbered():
    client, _ = ours(client=True)
    assert [client.open_stream(BLOCK) for _ in range(3)] == [1, 3, 5]


def test_a_stream_has_a_number_of_31_bits():
    client, _ = ours(client=True)
    client._last_stream = 2**31 - 3  # as after a billion calls
    assert client.has_numbers
    assert client.open_stream(BLOCK) == 2**31 - 1
    assert not client.has_numbers


@pytest.mark.parametrize("window", [1, 1000, 65535, 2**31 - 1])
def test_a_large_answer_over_a_small_window(window):
    server, _ = ours()
    peer = h2_peer(client=True)
    peer.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: window})
    stream, content, found = ask(peer), bytes(range(256)) * (20 if window == 1 else 2000), b""
    pass_on(server, peer)
    answer(server, stream, content)
    for _ in range(len(content)):
        seen = pass_on(server, peer)
        found += arrived(seen, stream)
        if kinds(seen, StreamEnded):
            break
        assert server.unsent == len(content) - len(found)
        for event in kinds(seen, DataReceived):
            peer.increment_flow_control_window(event.flow_controlled_length)
            peer.increment_flow_control_window(event.flow_controlled_length, stream)
    assert found == content
    assert (server.unsent, server.sent) == (0, len(content))
    assert server.open_streams == 0


def test_a_large_request_is_given_room_as_it_comes():
    server, told = ours()
    peer = h2_peer(client=True)
    pass_on(server, peer)
    stream = ask(peer, end=False)
    for _ in range(10):
        left = peer.local_flow_control_window(stream)
        assert left > 0
        for at in range(0, left, 16384):
            peer.send_data(stream, b"x" * min(16384, left - at), pad_length=None)
        pass_on(server, peer)
    peer.send_data(stream, b"", end_stream=True)
    pass_on(server, peer)
    assert len(told.content(stream)[0]) > 2 * limits.CONNECTION_WINDOW


def test_content_of_streams_that_are_gone_gives_room_to_the_others():
    server, _ = begun()
    server.receive(HEADERS + frame(frames.RST_STREAM, 0, 1, FOUR))
    data = frame(frames.DATA, 0, 1, b"x" * 16384)
    for _ in range(2 * limits.CONNECTION_WINDOW // 16384):
        server.receive(data)
    given = [int.from_bytes(payload, "big") for kind, _, stream, payload in sent(server.outgoing()) if stream == 0]
    assert sum(given) == 2 * limits.CONNECTION_WINDOW


def test_a_window_that_shrinks_below_zero():
    server, _ = begun()
    server.receive(HEADERS)
    answer(server, 1, b"a" * 100_000)
    assert sum(len(payload) for kind, _, _, payload in sent(server.outgoing()) if kind == frames.DATA) == 65535
    server.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 10}))  # now it is 10 - 65,535
    more = frame(frames.WINDOW_UPDATE, 0, 0, (2**20).to_bytes(4, "big"))
    server.receive(more + frame(frames.WINDOW_UPDATE, 0, 1, (65525).to_bytes(4, "big")))
    assert [kind for kind, *_ in sent(server.outgoing())] == [frames.SETTINGS]
    server.receive(frame(frames.WINDOW_UPDATE, 0, 1, FOUR))
    assert sent(server.outgoing()) == [(frames.DATA, 0, 1, b"aaaaa")]
    server.receive(frames.settings({Setting.INITIAL_WINDOW_SIZE: 17}))
    assert sent(server.outgoing())[1] == (frames.DATA, 0, 1, b"a" * 7)


def test_a_window_of_settings_holds_for_new_streams():
    server, _ = begun({Setting.INITIAL_WINDOW_SIZE: 3})
    server.receive(HEADERS)
    server.send(1, b"abcd", b"")
    assert sent(server.outgoing()) == [(frames.DATA, 0, 1, b"abc")]


def test_the_connections_window_is_shared():
    server, _ = begun({Setting.INITIAL_WINDOW_SIZE: 2**31 - 1})
    server.receive(HEADERS + HEADERS.replace(b"\0\0\0\x01", b"\0\0\0\x03", 1))
    answer(server, 1, b"a" * 65530)
    answer(server, 3, b"b" * 10)
    assert [payload for kind, _, stream, payload in sent(server.outgoing()) if (kind, stream) == (0, 3)] == [b"b" * 5]
    server.receive(frame(frames.WINDOW_UPDATE, 0, 0, FOUR))
    assert sent(server.outgoing())[0] == (frames.DATA, 0, 3, b"b" * 5)


def test_frames_are_as_long_as_the_peer_takes_them():
    server, _ = begun({Setting.MAX_FRAME_SIZE: 20_000})
    server.receive(WHOLE)
    server.send(1, b"a" * 50_000, b"")
    assert [(len(payload), flags) for _, flags, _, payload in sent(server.outgoing())] == [
        (20_000, 0),
        (20_000, 0),
        (10_000, frames.END_STREAM),
    ]


def test_trailers_of_a_client_end_its_stream():
    server, told = ours()
    peer = h2_peer(client=True)
    stream = ask(peer, content=b"abc", end=False)
    peer.send_headers(stream, [(b"x-a", b"b")], end_stream=True)
    pass_on(server, peer)
    assert told.events == [
        ("headers", stream, dict(ASKED), False),
        ("data", stream, b"abc", False),
        ("data", stream, b"", True),
    ]


def test_headers_in_many_frames_to_us():
    server, told = ours()
    peer = h2_peer(client=True)
    long = [*ASKED, *((b"x-%d" % number, b"v" * 1000) for number in range(5))]
    peer.send_headers(1, long, end_stream=True)
    server.receive(Block(peer.data_to_send()).cut(7))
    assert told.events == [("headers", 1, dict(long), True)]


class Block:
    """The headers that h2 sends in one frame, to be sent in several."""

    def __init__(self, data):
        at = data.index(b"\x01\x05\0\0\0\x01") - 3
        self._before, self._payload = data[:at], data[at + 9 :]

    def cut(self, size):
        first = frame(frames.HEADERS, frames.END_STREAM, 1, self._payload[:size])
        rest = self._payload[size:]
        middle = b"".join(frame(frames.CONTINUATION, 0, 1, rest[at : at + 700]) for at in range(0, len(rest), 700))
        return self._before + first + middle + frame(frames.CONTINUATION, frames.END_HEADERS, 1)


def test_headers_in_many_frames_from_us():
    client, _ = ours(client=True)
    peer = h2_peer(client=False)
    peer.update_settings({SettingCodes.MAX_HEADER_LIST_SIZE: 100_000})
    pass_on(client, peer)
    fields = [*ASKED, (b"x-a", b"v" * 40_000)]
    client.open_stream(written(fields))
    data = client.outgoing()
    assert [kind for kind, *_ in sent(data)] == [frames.HEADERS, frames.CONTINUATION, frames.CONTINUATION]
    peer.decoder.max_header_list_size = 100_000
    assert peer.receive_data(data)[0].headers == fields


def test_padding_and_priority_of_h2():
    server, told = ours()
    peer = h2_peer(client=True)
    peer.send_headers(1, ASKED, priority_weight=16, priority_depends_on=0, priority_exclusive=True)
    peer.send_data(1, b"abc", pad_length=200)
    peer.prioritize(1, weight=3)
    peer.send_data(1, b"", end_stream=True, pad_length=0)
    pass_on(server, peer)
    assert told.events[0] == ("headers", 1, dict(ASKED), False)
    assert told.content(1) == (b"abc", 1)


def test_padding_counts_as_content():
    server, _ = begun()
    server.receive(HEADERS)
    for _ in range(limits.STREAM_WINDOW // 2 // 16384):
        server.receive(frame(frames.DATA, frames.PADDED, 1, b"\xff" + b"x" * 16383))
    assert [payload for _, _, stream, payload in sent(server.outgoing()) if stream == 1] == [
        (limits.STREAM_WINDOW // 2).to_bytes(4, "big")
    ]


def test_pings_are_answered_once():
    server, _ = ours()
    peer = h2_peer(client=True)
    peer.ping(b"12345678")
    assert [event.ping_data for event in kinds(pass_on(server, peer), PingAckReceived)] == [b"12345678"]
    server.receive(frame(frames.PING, frames.ACK, 0, b"12345678"))
    assert server.outgoing() == b""


def test_settings_are_acknowledged_once():
    server, _ = ours()
    assert not server.is_settled
    server.receive(frames.PREFACE)
    assert not server.is_settled
    server.receive(frames.settings({}))
    assert server.is_settled
    assert sent(server.outgoing())[-1] == (frames.SETTINGS, frames.ACK, 0, b"")
    server.receive(frame(frames.SETTINGS, frames.ACK, 0))
    assert server.outgoing() == b""


def test_a_table_that_the_peer_does_not_want():
    """It was never used; that has to be said, or the peer takes the next block for broken."""
    server, _ = ours()
    peer = h2_peer(client=True)
    peer.update_settings({SettingCodes.HEADER_TABLE_SIZE: 0})
    stream = ask(peer)
    pass_on(server, peer)
    answer(server, stream, b"")
    assert kinds(pass_on(server, peer), TrailersReceived)


def test_a_stream_that_the_peer_gives_up():
    server, told = ours()
    peer = h2_peer(client=True)
    stream = ask(peer)
    pass_on(server, peer)
    peer.reset_stream(stream, error_code=8)
    pass_on(server, peer)
    assert told.events[-1] == ("reset", stream, 8)
    assert server.open_streams == 0


def test_nothing_is_sent_for_streams_that_are_gone():
    server, _ = begun({Setting.INITIAL_WINDOW_SIZE: 1})
    server.receive(HEADERS)
    server.send(1, b"waits", written(TRAILERS))
    server.outgoing()
    server.receive(frame(frames.RST_STREAM, 0, 1, FOUR) + frame(frames.WINDOW_UPDATE, 0, 0, FOUR))
    assert server.unsent == 0
    for stream in (1, 3):
        server.send_headers(stream, written(ANSWERED))
        server.send(stream, b"abc", b"")
        server.end(stream, written(TRAILERS))
        server.reset(stream, ErrorCode.CANCEL)
    server.receive(frame(frames.WINDOW_UPDATE, 0, 1, FOUR) + frame(frames.DATA, 0, 1, b"late"))
    assert server.outgoing() == b""


def test_a_stream_that_we_give_up():
    server, told = ours()
    peer = h2_peer(client=True)
    stream = ask(peer, end=False)
    pass_on(server, peer)
    server.reset(stream, ErrorCode.CANCEL)
    assert [event.error_code for event in kinds(pass_on(server, peer), StreamReset)] == [8]
    assert told.events[-1][0] == "headers"


def test_an_answer_before_the_request_is_whole():
    """The rest is not wanted, and no failure."""
    server, _ = ours()
    peer = h2_peer(client=True)
    stream = ask(peer, content=b"abc", end=False)
    pass_on(server, peer)
    server.end(stream, written([*ANSWERED, *TRAILERS]))
    seen = pass_on(server, peer)
    assert kinds(seen, StreamEnded)
    assert [event.error_code for event in kinds(seen, StreamReset)] == [0]
    assert server.open_streams == 0


def test_leaving():
    server, told = ours()
    peer = h2_peer(client=True)
    running = ask(peer, end=False)
    pass_on(server, peer)
    server.leave()
    server.leave()
    late = ask(peer)
    server.receive(peer.data_to_send())
    assert [kind for kind, *_ in sent(server.outgoing())] == [frames.GOAWAY, frames.RST_STREAM]
    assert [event[1] for event in told.events] == [running]
    server.receive(frame(frames.DATA, frames.END_STREAM, running, b"abc"))
    assert told.content(running) == (b"abc", 1)
    answer(server, running, b"abc")
    assert server.open_streams == 0
    assert late > running


def test_a_server_that_leaves():
    client, told = ours(client=True)
    peer = h2_peer(client=False)
    client.open_stream(BLOCK)
    pass_on(client, peer)
    peer.close_connection(last_stream_id=1)
    client.receive(peer.data_to_send())
    assert told.events == [("leaving", 1)]


def test_streams_above_the_limit_are_refused():
    server, told = ours()
    peer = h2_peer(client=True)
    pass_on(server, peer)
    assert peer.remote_settings.max_concurrent_streams == limits.STREAMS
    for number in range(limits.STREAMS + 2):
        server.receive(frame(frames.HEADERS, frames.END_HEADERS, 2 * number + 1, BLOCK))
    assert len(told.events) == server.open_streams == limits.STREAMS
    refused = [(stream, payload) for kind, _, stream, payload in sent(server.outgoing()) if kind == frames.RST_STREAM]
    code = ErrorCode.REFUSED_STREAM.to_bytes(4, "big")
    assert refused == [(2 * limits.STREAMS + 1, code), (2 * limits.STREAMS + 3, code)]


def test_the_preface():
    server, _ = ours()
    for byte in frames.PREFACE:
        server.receive(bytes((byte,)))
    server, _ = ours()
    server.receive(frames.PREFACE[:10])
    assert code_of(server, b"x") is ErrorCode.PROTOCOL_ERROR


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\0", b"PRI * HTTP/1.1"])
def test_another_protocol(data):
    server, _ = ours()
    assert code_of(server, data) is ErrorCode.PROTOCOL_ERROR


def code_of(connection, data):
    """The code of a connection error, which the peer must be told with the last stream that was looked at."""
    with pytest.raises(Http2Error) as caught:
        connection.receive(data)
    kind, _, stream, payload = sent(connection.outgoing())[-1]
    assert (kind, stream) == (frames.GOAWAY, 0)
    assert int.from_bytes(payload[4:8], "big") == caught.value.code
    assert payload[8:].decode() == str(caught.value)
    return caught.value.code


WRONG = {
    "too long": (b"\0\x40\x01\0\0\0\0\0\x01", ErrorCode.FRAME_SIZE_ERROR),
    "data of no stream": (frame(frames.DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data of a stream to come": (frame(frames.DATA, 0, 5, b"x"), ErrorCode.PROTOCOL_ERROR),
    "data of a server's stream": (frame(frames.DATA, 0, 2, b"x"), ErrorCode.PROTOCOL_ERROR),
    "headers of no stream": (frame(frames.HEADERS, 4, 0, BLOCK), ErrorCode.PROTOCOL_ERROR),
    "headers of a server's stream": (frame(frames.HEADERS, 4, 2, BLOCK), ErrorCode.PROTOCOL_ERROR),
    "headers that are none": (frame(frames.HEADERS, 4, 3, b"\x80"), ErrorCode.COMPRESSION_ERROR),
    "headers in between": (frame(frames.HEADERS, 0, 3, BLOCK) + HEADERS, ErrorCode.PROTOCOL_ERROR),
    "ping in between": (frame(frames.HEADERS, 0, 3, BLOCK) + frame(6, 0, 0, b"8 bytes "), ErrorCode.PROTOCOL_ERROR),
    "continuation of another": (frame(frames.HEADERS, 0, 3, BLOCK) + frame(9, 4, 1), ErrorCode.PROTOCOL_ERROR),
    "continuation of nothing": (frame(frames.CONTINUATION, 4, 1, BLOCK), ErrorCode.PROTOCOL_ERROR),
    "padding": (frame(frames.DATA, frames.PADDED, 1, b"\x04abc"), ErrorCode.PROTOCOL_ERROR),
    "padding without": (frame(frames.DATA, frames.PADDED, 1), ErrorCode.PROTOCOL_ERROR),
    "priority": (frame(frames.PRIORITY, 0, 1, b"four"), ErrorCode.FRAME_SIZE_ERROR),
    "reset": (frame(frames.RST_STREAM, 0, 1, b"two"), ErrorCode.FRAME_SIZE_ERROR),
    "reset of no stream": (frame(frames.RST_STREAM, 0, 0, FOUR), ErrorCode.PROTOCOL_ERROR),
    "reset of a stream to come": (frame(frames.RST_STREAM, 0, 3, FOUR), ErrorCode.PROTOCOL_ERROR),
    "settings of a stream": (frame(frames.SETTINGS, 0, 1), ErrorCode.PROTOCOL_ERROR),
    "settings of 5 bytes": (frame(frames.SETTINGS, 0, 0, b"12345"), ErrorCode.FRAME_SIZE_ERROR),
    "settings that acknowledge": (frame(frames.SETTINGS, 1, 0, b"123456"), ErrorCode.FRAME_SIZE_ERROR),
    "push of 2": (frames.settings({Setting.ENABLE_PUSH: 2}), ErrorCode.PROTOCOL_ERROR),
    "window": (frames.settings({Setting.INITIAL_WINDOW_SIZE: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
    "short frames": (frames.settings({Setting.MAX_FRAME_SIZE: 16383}), ErrorCode.PROTOCOL_ERROR),
    "long frames": (frames.settings({Setting.MAX_FRAME_SIZE: 1 << 24}), ErrorCode.PROTOCOL_ERROR),
    "push": (frame(frames.PUSH_PROMISE, 4, 1, FOUR + BLOCK), ErrorCode.PROTOCOL_ERROR),
    "ping": (frame(frames.PING, 0, 0, b"7 bytes"), ErrorCode.FRAME_SIZE_ERROR),
    "ping of a stream": (frame(frames.PING, 0, 1, b"8 bytes "), ErrorCode.PROTOCOL_ERROR),
    "goaway": (frame(frames.GOAWAY, 0, 0, b"7 bytes"), ErrorCode.FRAME_SIZE_ERROR),
    "goaway of a stream": (frame(frames.GOAWAY, 0, 1, b"8 bytes "), ErrorCode.PROTOCOL_ERROR),
    "more window by 0": (frame(frames.WINDOW_UPDATE, 0, 0, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "more window by 0 of a stream": (frame(frames.WINDOW_UPDATE, 0, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
    "more window of 3 bytes": (frame(frames.WINDOW_UPDATE, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
    "more window of a stream to come": (frame(frames.WINDOW_UPDATE, 0, 3, FOUR), ErrorCode.PROTOCOL_ERROR),
    "too much window": (frame(frames.WINDOW_UPDATE, 0, 0, b"\x7f\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
    "too much of a stream": (frame(frames.WINDOW_UPDATE, 0, 1, b"\x7f\xff\xff\xff"), ErrorCode.FLOW_CONTROL_ERROR),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_ends_a_connection(name):
    data, code = WRONG[name]
    server, told = begun()
    server.receive(HEADERS)
    assert code_of(server, data) is code
    assert len(told.events) == 1


def test_the_first_frame_is_settings():
    server, _ = ours()
    assert code_of(server, frames.PREFACE + HEADERS) is ErrorCode.PROTOCOL_ERROR
    client, _ = ours(client=True)
    client.outgoing()
    assert code_of(client, frame(frames.PING, 0, 0, b"8 bytes ")) is ErrorCode.PROTOCOL_ERROR


def test_a_server_that_answers_what_was_not_asked():
    for stream in (0, 2, 3):
        client, _ = ours(client=True)
        client.open_stream(BLOCK)
        client.outgoing()
        assert code_of(client, frames.settings({}) + frame(frames.HEADERS, 4, stream, written(ANSWERED))) == 1


def test_frames_that_are_passed_over():
    server, told = begun()
    server.receive(frame(0xBE, 0xFF, 77, b"?") + frame(frames.PRIORITY, 0, 9, b"5byte"))
    server.receive(frame(frames.SETTINGS, 0, 0, b"\x77\x77\0\0\0\0"))
    assert told.events == []
    server.receive(HEADERS)
    assert len(told.events) == 1


def test_content_behind_the_end():
    server, told = begun()
    server.receive(WHOLE)
    server.receive(frame(frames.DATA, 0, 1, b"x"))
    assert sent(server.outgoing()) == [(frames.RST_STREAM, 0, 1, ErrorCode.STREAM_CLOSED.to_bytes(4, "big"))]
    assert told.events[-1] == ("reset", 1, ErrorCode.STREAM_CLOSED)


@pytest.mark.parametrize("flags", [frames.END_HEADERS, frames.END_HEADERS | frames.END_STREAM])
def test_second_headers_that_are_no_trailers(flags):
    server, told = begun()
    server.receive(frame(frames.HEADERS, frames.END_HEADERS | (flags & frames.END_STREAM), 1, BLOCK))
    server.receive(frame(frames.HEADERS, flags, 1, BLOCK))
    assert sent(server.outgoing()) == [(frames.RST_STREAM, 0, 1, ErrorCode.PROTOCOL_ERROR.to_bytes(4, "big"))]
    assert told.events[-1] == ("reset", 1, ErrorCode.PROTOCOL_ERROR)


def test_headers_that_are_too_long():
    server, _ = begun()
    server.receive(frame(frames.HEADERS, 0, 1, BLOCK))
    piece = frame(frames.CONTINUATION, 0, 1, b"\0\x01a\x7d" + b"x" * 125)
    assert code_of(server, piece * 130) is ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize("payload", [b"", b"\0"])
def test_continuations_without_end(payload):
    """Each costs more than its bytes: few of them are enough."""
    server, _ = begun()
    server.receive(frame(frames.HEADERS, 0, 1, BLOCK))
    assert code_of(server, frame(frames.CONTINUATION, 0, 1, payload) * 200) is ErrorCode.ENHANCE_YOUR_CALM


def opened(server, count, more, first=1):
    """Streams that are asked in full, each with what comes behind it."""
    for stream in range(first, first + 2 * count, 2):
        asked = frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, BLOCK)
        server.receive(asked + more(stream))


# What makes a server give up a stream whose call it has begun: the client's word, or its own.
GIVEN_UP = {
    "reset": lambda stream: frame(frames.RST_STREAM, 0, stream, FOUR),
    "data behind the end": lambda stream: frame(frames.DATA, 0, stream, b"x"),
    "headers behind the end": lambda stream: frame(frames.HEADERS, frames.END_HEADERS, stream, BLOCK),
}


@pytest.mark.parametrize("name", GIVEN_UP)
def test_calls_that_are_begun_only_to_be_given_up(name):
    server, told = begun()
    with pytest.raises(Http2Error) as caught:
        opened(server, 2000, GIVEN_UP[name])
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM
    assert len(told.events) < 2000


def test_calls_that_are_given_up_now_and_then():
    server, _ = begun()
    for round_ in range(50):
        opened(server, 40, GIVEN_UP["reset"], first=1 + 160 * round_)
        opened(server, 40, lambda stream: b"", first=81 + 160 * round_)
        for stream in range(81 + 160 * round_, 161 + 160 * round_, 2):
            answer(server, stream, b"")
    assert server.open_streams == 0


def test_an_error_is_told_to_h2():
    server, _ = ours()
    peer = h2_peer(client=True)
    ask(peer)
    pass_on(server, peer)
    with pytest.raises(Http2Error):
        server.receive(frame(frames.PING, 0, 1, b"8 bytes "))
    [event] = kinds(pass_on(server, peer), ConnectionTerminated)
    assert (event.error_code, event.last_stream_id) == (ErrorCode.PROTOCOL_ERROR, 1)
