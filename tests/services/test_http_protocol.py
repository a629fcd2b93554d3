"""The short way through the HTTP front against the long one, which is uvicorn's."""

import asyncio
import re

import pytest
from tests.services.fuzz import damaged
from tests.services.test_http_app import make_app
from uvicorn.server import ServerState

from friesian_services.http.protocol import Protocol
from friesian_services.http.server import _config

PLAIN = b"GET /recommender/recommend/4?k=3&canK=50 HTTP/1.1\r\nhost: x\r\naccept: */*\r\n\r\n"
LONG = PLAIN.replace(b"accept: */*", b"connection: keep-alive")


class Transport:
    """Keeps what is written; one write of the protocol is one item."""

    def __init__(self):
        self.written, self.closed = [], False

    def write(self, data):
        self.written.append(data)

    def close(self):
        self.closed = True

    write_eof = close

    def is_closing(self):
        return self.closed

    def get_extra_info(self, *_):
        return None

    def pause_reading(self):
        """Nothing comes unasked."""

    resume_reading = pause_reading


@pytest.fixture(scope="module")
def app(releases):
    return make_app(releases)


@pytest.fixture
def ask(app):
    """Sends pieces of data on a connection of its own; the writes that came back, and whether it was closed."""
    config = _config(app)
    config.load()

    async def send(pieces, parser):
        protocol = Protocol(config=config, server_state=ServerState(), app_state={})
        transport = Transport()
        protocol.connection_made(transport)
        if not parser:
            protocol.parser = None
        for piece in pieces:
            if transport.closed:
                break
            protocol.data_received(piece)
            while protocol.tasks:
                await asyncio.sleep(0)
        protocol._unset_keepalive_if_required()
        return transport.written, transport.closed

    return lambda *pieces, parser=True: asyncio.run(send(pieces, parser))


def comparable(answer):
    """Without the headers that differ from call to call."""
    return [re.sub(rb"(date|x-request-id): [^\r]*", rb"\1", data) for data in answer[0]], answer[1]


def test_a_plain_request_needs_no_parser(ask):
    ((answer,), closed) = ask(PLAIN, parser=False)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert not closed
    with pytest.raises(AttributeError):
        ask(LONG, parser=False)


@pytest.mark.parametrize(
    "target", [b"4?k=3&canK=50", b"4?k=3", b"x?k=3&canK=9", b"4?k=0&canK=9", b"4?k=9&canK=3", b"99?k=5"]
)
def test_both_ways_answer_the_same(ask, target):
    short, long = (request.replace(b"4?k=3&canK=50", target) for request in (PLAIN, LONG))
    assert comparable(ask(short)) == comparable(ask(long))


def test_whatever_stands_in_a_request(ask, monkeypatch):
    many = [
        PLAIN[:-2] + b"a: b\r\n" * count for count in (31, 40)
    ]  # a pattern that backtracks would not come to an end
    many = [head + end for head in many for end in (b"\r\n", b"x", b"")]
    requests = [*damaged([PLAIN, LONG], 400), PLAIN + PLAIN, PLAIN + LONG, PLAIN[:-2], b"\r\n" + PLAIN, *many]
    short = [comparable(ask(request)) for request in requests]
    monkeypatch.setattr(Protocol, "_answered", lambda self, data: False)
    assert short == [comparable(ask(request)) for request in requests]
    assert sum(bool(written) for written, _ in short) > 100


def test_trailers_are_not_kept(app):
    config = _config(app)
    config.load()
    chunked = b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n0\r\n"

    async def send():
        protocol = Protocol(config=config, server_state=ServerState(), app_state={})
        protocol.connection_made(Transport())
        protocol.data_received(chunked)
        for number in range(50):
            protocol.data_received(b"x%d: y\r\n" % number)
        protocol._unset_keepalive_if_required()
        return len(protocol.headers)

    assert asyncio.run(send()) == 2


def test_the_ways_take_turns_on_a_connection(ask):
    post = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(PLAIN)
    written, closed = ask(PLAIN, LONG, PLAIN[:20], PLAIN[20:], PLAIN, post, PLAIN, PLAIN)
    assert [data[9:12] for data in written] == [b"200"] * 4 + [b"405", b"200"]  # the body of the POST is no request
    assert len({comparable(([data], closed))[0][0] for data in written if data[9:12] == b"200"}) == 1
    assert not closed


@pytest.mark.parametrize(
    "header", [b"Connection: close", b"X-Request-Id: mine", b"Content-Length: 0", b"Expect: 100-continue"]
)
def test_headers_that_change_the_answer_are_the_parsers(ask, header):
    with pytest.raises(AttributeError):
        ask(PLAIN.replace(b"accept: */*", header), parser=False)
    written, closed = ask(PLAIN.replace(b"accept: */*", header))
    assert written[-1].startswith(b"HTTP/1.1 200")
    assert closed == (header == b"Connection: close")
    assert (b"x-request-id: mine" in written[-1]) == (header == b"X-Request-Id: mine")
