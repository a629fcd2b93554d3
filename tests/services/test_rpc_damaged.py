"""Whatever a peer sends, a connection answers or ends: never another failure, nothing left behind."""

import random

import grpc
import pytest
from tests.services.fuzz import damaged
from tests.services.http2_peers import sent
from tests.services.rpc_server import NAME, Methods, framed, register

from friesian_services.http2 import frames
from friesian_services.http2.fields import written
from friesian_services.http2.frames import Setting, frame
from friesian_services.interceptor import CallInterceptor
from friesian_services.rpc import client as rpc_client
from friesian_services.rpc.client import Channel
from friesian_services.rpc.handlers import Handlers, Servicer
from friesian_services.rpc.messages import HEADERS, CallError, refusal, trailers
from friesian_services.rpc.protocol import GrpcProtocol
from friesian_services.rpc.workplace import Workplace

CASES = 1500
WHOLE, PART = frames.END_HEADERS | frames.END_STREAM, frames.END_HEADERS
NUMBER = (70_000).to_bytes(4, "big")


def block(method, **more):
    named = {":method": "POST", ":path": f"/{NAME}/{method}", "content-type": "application/grpc"} | more
    return written([(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()])


# Frames of a client, for calls that are answered in different ways.
ASKED = [
    frames.settings({Setting.INITIAL_WINDOW_SIZE: 20, Setting.MAX_FRAME_SIZE: 16384, Setting.HEADER_TABLE_SIZE: 0}),
    frame(frames.HEADERS, PART, 1, block("echo")),
    frame(frames.DATA, frames.END_STREAM, 1, framed(b"a" * 100)),
    frame(frames.HEADERS, frames.HAS_PRIORITY, 3, b"\0\0\0\0\x10" + block("missing")[:50]),
    frame(frames.CONTINUATION, frames.END_HEADERS, 3, block("missing")[50:]),
    frame(frames.DATA, frames.PADDED, 3, b"\x03" + framed(b"a" * 10)[:7] + bytes(3)),
    frame(frames.DATA, frames.END_STREAM, 3, framed(b"a" * 10)[7:]),
    frame(frames.HEADERS, PART, 5, block("echo", grpc_encoding="gzip", grpc_timeout="5S")),
    frame(frames.DATA, 0, 5, framed(b"a", flag=1)),
    frame(frames.HEADERS, WHOLE, 5, written([(b"x-a", b"b")])),
    frame(frames.HEADERS, PART, 7, b"\x83\x44\x0f/test.Test/echo" + b"\x40\x0ccontent-type\x10application/grpc"),
    frame(frames.DATA, frames.END_STREAM, 7, framed(b"")),
    frame(frames.HEADERS, PART, 9, b"\x83\xbf\xbe"),
    frame(frames.DATA, frames.END_STREAM, 9, framed(b"a")),
    frame(frames.RST_STREAM, 0, 9, (8).to_bytes(4, "big")),
    frame(frames.HEADERS, WHOLE, 11, block("nothing")),
    frame(frames.PRIORITY, 0, 1, bytes(5)),
    frame(frames.PING, 0, 0, b"8 bytes "),
    frame(frames.WINDOW_UPDATE, 0, 0, NUMBER),
    frame(frames.WINDOW_UPDATE, 0, 1, NUMBER),
    frame(frames.SETTINGS, frames.ACK, 0),
    frames.settings({Setting.INITIAL_WINDOW_SIZE: 0}),
    frames.goaway(0, 0),
]
# Frames of a server, for the first call of a connection.
ANSWERED = [
    frames.settings({Setting.INITIAL_WINDOW_SIZE: 20, Setting.MAX_CONCURRENT_STREAMS: 7}),
    frame(frames.SETTINGS, frames.ACK, 0),
    frame(frames.WINDOW_UPDATE, 0, 0, NUMBER),
    frame(frames.WINDOW_UPDATE, 0, 1, NUMBER),
    frame(frames.PING, 0, 0, b"8 bytes "),
    frame(frames.HEADERS, PART, 1, HEADERS),
    frame(frames.DATA, frames.PADDED, 1, b"\x02" + framed(b"abc")[:3] + bytes(2)),
    frame(frames.DATA, 0, 1, framed(b"abc")[3:]),
    frame(frames.HEADERS, WHOLE, 1, trailers(grpc.StatusCode.OK, "")),
    frame(frames.HEADERS, WHOLE, 1, refusal(grpc.StatusCode.NOT_FOUND, "größer")),
    frame(frames.RST_STREAM, 0, 1, (7).to_bytes(4, "big")),
    frames.goaway(1, 0),
]


def changed(sound, count, seed=1):
    """`count` streams of frames, most of them in order, some changed, left out, repeated or cut short."""
    rng = random.Random(seed)
    for _ in range(count):
        made = [one for one in sound if rng.random() > 0.1]
        for _ in range(rng.randint(0, 3)):
            made.insert(rng.randint(0, len(made)), rng.choice(sound))
        for _ in range(rng.randint(0, 2)):
            at = rng.randrange(len(made))
            made[at] = changed_frame(made[at], rng)
        stream = b"".join([sound[0], *made])
        yield stream[: rng.randint(0, len(stream))] if rng.random() < 0.2 else stream


def changed_frame(one, rng):
    kind, flags, stream, payload = one[3], one[4], int.from_bytes(one[5:9], "big"), one[9:]
    what = rng.randrange(5)
    if what == 0:
        kind = rng.randrange(11)
    elif what == 1:
        flags = rng.randrange(256)
    elif what == 2:
        stream = rng.choice([0, 1, 2, 3, 5, 7, 9, 11, 2**31 - 1])
    elif what == 3:
        payload = next(damaged([payload], 1, seed=rng.random()))
    else:
        payload = rng.randbytes(rng.randrange(20))
    return frame(kind, flags, stream, payload[: frames.FRAME_BYTES])


class Loop:
    """As much of an event loop as a protocol uses; no time passes."""

    def __init__(self):
        self.is_over, self._soon = False, []

    def call_soon(self, does):
        self._soon.append(does)

    def turn(self):
        """Call what was to be called soon."""
        soon, self._soon = self._soon, []
        for does in soon:
            does()

    def call_later(self, delay, does):
        assert not self.is_over, "a timer outlives its connection"
        return Timer()

    def time(self):
        return 0.0


class Timer:
    def cancel(self):
        """Nothing was going to happen."""


class Transport:
    """Keeps what is written."""

    def __init__(self):
        self.written, self.is_closed = b"", False

    def write(self, data):
        self.written += data

    def close(self):
        self.is_closed = True

    def is_closing(self):
        return self.is_closed

    def get_write_buffer_size(self):
        return 0


@pytest.fixture(scope="module")
def place():
    handlers = Handlers(CallInterceptor())
    handlers.add(Servicer(register, Methods(), NAME))
    return Workplace(handlers, None, None, spread=False, patience_s=1)


def served(place, data, seed):
    """What a server writes to a client that sends these bytes, in pieces."""
    rng, transport, loop = random.Random(seed), Transport(), Loop()
    protocol = GrpcProtocol(place, loop)
    protocol.connection_made(transport)
    while data and not transport.is_closed:
        size = rng.choice([1, 20, len(data)])
        protocol.data_received(data[:size])
        data = data[size:]
        for _ in range(rng.choice([0, 1, 9])):
            loop.turn()
    for _ in range(9 if not transport.is_closed else 0):
        loop.turn()
    connection = protocol._connection
    waiting = [sum(len(piece) for piece, _ in held.waiting) for held in connection._streams.values()]
    assert connection.unsent == sum(waiting)
    assert transport.is_closed == (sent(transport.written)[-1][0] == frames.GOAWAY)
    protocol.connection_lost(None)
    loop.is_over = True
    loop.turn()
    assert (protocol._calls, protocol._incomplete, protocol._held) == ({}, set(), 0)
    return sent(transport.written)


def test_a_sound_client(place):
    found = served(place, frames.PREFACE + b"".join(ASKED), 0)
    ends = {stream for kind, flags, stream, _ in found if kind in (0, 1) and flags & frames.END_STREAM}
    assert ends == {1, 3, 5, 11}  # 7 waits for a window, 9 is given up


@pytest.mark.parametrize("vary", [changed, damaged])
def test_damaged_clients(place, vary, caplog):
    sound = ASKED if vary is changed else [b"".join(ASKED)]
    found = [served(place, frames.PREFACE + data, seed) for seed, data in enumerate(vary(sound, CASES))]
    ends = [answer[-1][0] == frames.GOAWAY for answer in found]
    assert CASES // 10 < sum(ends) < CASES
    assert "Traceback" not in caplog.text


class Socket:
    """Gives what a server sends, in pieces, and takes everything."""

    def __init__(self, data, rng):
        self._data, self._rng, self.is_closed = data, rng, False

    def recv(self, size):
        size = self._rng.choice([1, 20, size])
        piece, self._data = self._data[:size], self._data[size:]
        return piece

    def sendall(self, data):
        assert data

    def setsockopt(self, *_):
        pass

    def settimeout(self, seconds):
        assert seconds > 0

    def close(self):
        self.is_closed = True


def asked(data, seed, monkeypatch):
    """What a call to a server ends with that answers each connection by these bytes."""
    made, rng = [], random.Random(seed)

    def connected(address, timeout):
        made.append(Socket(data, rng))
        return made[-1]

    monkeypatch.setattr(rpc_client.socket, "create_connection", connected)
    channel = Channel("127.0.0.1:1")
    found = []
    for _ in range(2):  # the second one may be asked on the connection of the first
        try:
            found.append(channel.unary_unary(f"/{NAME}/echo", bytes, bytes)(b"a" * 100, 5))
        except CallError as error:
            found.append(error.code().name)
    kept = {wire._socket for wire in channel._idle}
    assert all(one.is_closed for one in made if one not in kept)
    return found


def test_a_sound_server(monkeypatch):
    assert asked(b"".join(ANSWERED[:9]), 0, monkeypatch) == [b"abc", b"abc"]


@pytest.mark.parametrize("vary", [changed, damaged])
def test_damaged_servers(vary, monkeypatch):
    sound = ANSWERED if vary is changed else [b"".join(ANSWERED[:9])]
    found = [asked(data, seed, monkeypatch)[0] for seed, data in enumerate(vary(sound, CASES))]
    assert {b"abc", "UNAVAILABLE", "INTERNAL"} <= set(found)
