"""Clients that take their time, over real sockets: none of them holds a connection for good."""

import contextlib
import socket
import time

import psutil
import pytest
from tests.services.test_http_app import make_app

from friesian_services.http.server import HttpServer

PATIENCE_S = 0.5
PLAIN = b"GET /recommender/recommend/4?k=3&canK=50 HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"
FILTERED = b"POST /recommender/recommend/4?k=3 HTTP/1.1\r\nhost: x\r\ncontent-length: 26\r\n\r\n"
BODY = b'{"filter": {"deny": [17]}}'


@pytest.fixture(scope="module")
def port(releases):
    server = HttpServer("127.0.0.1", 0, make_app(releases), patience_s=PATIENCE_S)
    server.start()
    yield server.port
    server.stop(1)


@pytest.fixture
def client(port):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        yield connection


def rest(connection):
    """What comes until the server ends the connection."""
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


def statuses(data):
    return [part[:3] for part in data.split(b"HTTP/1.1 ")[1:]]


@pytest.mark.parametrize("sent", [b"", b"\r\n", PLAIN, PLAIN + PLAIN])
def test_a_silent_client_is_let_go(client, sent):
    client.sendall(sent)
    assert statuses(rest(client)) == [b"200"] * sent.count(b"GET")


@pytest.mark.parametrize("sent", [b"G", PLAIN[:-2], PLAIN + PLAIN[:30]])
def test_half_a_head_is_refused(client, sent):
    client.sendall(sent)
    assert statuses(rest(client)) == [b"200"] * (sent.count(b"\r\n\r\n")) + [b"408"]


def test_half_a_body_ends_the_connection(client):
    client.sendall(POST + b"half")
    assert statuses(rest(client)) == [b"405"]  # the method is known before the body


@pytest.mark.parametrize("before", [b"", PLAIN, FILTERED + BODY])
def test_half_a_filter_is_refused(client, before):
    """What was asked in full before it is answered."""
    client.sendall(before + FILTERED + BODY[:-1])
    assert statuses(rest(client)) == [b"200"] * bool(before) + [b"408"]


def test_half_a_filter_behind_what_still_runs_ends_the_connection(client):
    """The first waits for its body while the second comes in part: the first is answered, and that is the end."""
    client.sendall(FILTERED + BODY[:5])
    time.sleep(PATIENCE_S / 5)
    client.sendall(BODY[5:] + FILTERED + BODY[:5])
    assert statuses(rest(client)) in ([b"200", b"408"], [b"200"])


def test_a_filter_may_come_in_pieces(client):
    for number in range(len(BODY)):
        if number in (0, 7, 20):
            time.sleep(PATIENCE_S / 10)
        client.sendall((FILTERED if number == 0 else b"") + BODY[number : number + 1])
    assert statuses(client.recv(65536)) == [b"200"]
    client.sendall(PLAIN)
    assert statuses(client.recv(65536)) == [b"200"]


def test_a_client_that_waits_for_leave_to_send_gets_it(client):
    client.sendall(FILTERED[:-2] + b"expect: 100-continue\r\n\r\n")
    assert client.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(BODY)
    assert statuses(client.recv(65536)) == [b"200"]


def test_a_long_filter_is_no_long_head(client):
    """Head and body come in one piece, as far as the system takes it."""
    body = BODY[:-1] + b" " * (300 << 10) + BODY[-1:]
    client.sendall(FILTERED.replace(b"26", b"%d" % len(body)) + body + PLAIN)
    assert statuses(client.recv(65536) + client.recv(65536)) == [b"200", b"200"]


@pytest.mark.parametrize("size", [70 << 10, 1 << 20])
def test_a_long_head_is_refused(client, size):
    client.sendall(PLAIN[:-2] + b"x-more: " + b"x" * size)
    try:
        assert statuses(client.recv(65536)) == [b"400"]
    except ConnectionError:  # refused before all was written
        assert size > 300 << 10


def test_a_body_without_end_is_refused(client):
    client.sendall(FILTERED.replace(b"content-length: 26", b"content-length: 9999999") + b" " * (2 << 20))
    assert statuses(client.recv(65536)) == [b"413"]
    rest(client)  # it is not waited for longer than for any other


@pytest.mark.parametrize("begin", [PLAIN[:-2], POST, FILTERED])
def test_what_trickles_in_gains_no_time(client, begin):
    client.sendall(begin)
    client.settimeout(PATIENCE_S / 10)
    answer = b""
    for _ in range(200):  # far more than the patience
        try:
            client.sendall(b"x")
            if not (piece := client.recv(65536)):
                break
            answer += piece
        except TimeoutError:
            continue
        except ConnectionError:
            break
    else:
        pytest.fail("the connection was held")
    assert statuses(answer) in ([b"408"], [b"405"], [b"400", b"400"], [])  # a reset may take the answer along


@pytest.mark.parametrize("first", [20, len(PLAIN)])
def test_a_client_that_asks_again_is_kept(client, first):
    for _ in range(6):
        client.sendall(PLAIN[:first])
        time.sleep(PATIENCE_S / 4)
        client.sendall(PLAIN[first:])
        assert statuses(client.recv(65536)) == [b"200"]


def test_answers_that_nobody_reads_end_the_connection(port):
    """The client has little room for them, and sends long requests; a timeout would mean that the server waits too."""
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", port))
        client.settimeout(60)
        with pytest.raises(ConnectionError):
            ask_forever(client)


def ask_forever(connection):
    long = PLAIN.replace(b"canK=50", b"canK=50&explain=true")[:-2] + b"x-more: " + b"x" * 8000 + b"\r\n\r\n"
    while True:
        connection.sendall(long)


def test_no_more_is_read_than_is_answered(port):
    """Of a client that sends far ahead the server holds little."""
    before = psutil.Process().memory_info().rss
    with socket.create_connection(("127.0.0.1", port), timeout=1) as client:
        sent, until = 0, time.monotonic() + 3
        with contextlib.suppress(TimeoutError, ConnectionError):
            while time.monotonic() < until:
                sent += client.send(PLAIN * 1000)
    assert psutil.Process().memory_info().rss - before < 64 << 20
    assert sent > 1 << 20
