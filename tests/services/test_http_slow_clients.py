"""Clients that take their time, over real sockets: none of them holds a connection for good."""

import socket
import time

import pytest
from tests.services.test_http_app import make_app

from friesian_services.http.server import HttpServer

PATIENCE_S = 0.5
PLAIN = b"GET /recommender/recommend/4?k=3&canK=50 HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n"


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


@pytest.mark.parametrize("begin", [PLAIN[:-2], POST])
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
    assert statuses(answer) in ([b"408"], [b"405"], [])  # a reset may take the answer along


def test_a_client_that_asks_again_is_kept(client):
    for _ in range(6):
        client.sendall(PLAIN[:20])
        time.sleep(PATIENCE_S / 4)
        client.sendall(PLAIN[20:])
        assert statuses(client.recv(65536)) == [b"200"]


def test_answers_that_nobody_reads_end_the_connection(client):
    client.settimeout(PATIENCE_S * 10)
    with pytest.raises(ConnectionError):  # a timeout would mean that the server waits as well
        ask_forever(client)


def ask_forever(connection):
    while True:
        connection.sendall(PLAIN * 1000)
