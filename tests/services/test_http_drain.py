"""The HTTP server ends: what was asked is answered, what comes new is refused, and nothing in between is lost."""

import contextlib
import socket
import threading
import time

import pytest
from tests.services.test_http_app import make_app

from friesian_services.http.server import HttpServer

PLAIN = b"GET /recommender/recommend/4?k=3&canK=50 HTTP/1.1\r\nhost: x\r\n\r\n"
HEALTH = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"
POST = b"POST /recommender/recommend/4?k=3 HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n"
WAIT_S, GRACE_S = 20, 10


@contextlib.contextmanager
def ending(releases, before):
    """A server that is told to end once `before` was done with its port; gives the port."""
    server = HttpServer("127.0.0.1", 0, make_app(releases), loops=2)
    server.start()
    before(server.port)
    thread = threading.Thread(target=server.stop, args=(GRACE_S,))
    thread.start()
    yield server.port
    thread.join(WAIT_S)
    assert not thread.is_alive()


def refused(port):
    """Whether nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return True
    return False


def answer(connection):
    """The head of one answer; empty where the connection ended instead."""
    connection.settimeout(WAIT_S)
    data = b""
    while b"\r\n\r\n" not in data and (piece := connection.recv(65536)):
        data += piece
    return data


def test_what_runs_is_answered_and_what_comes_new_refused(releases):
    slow = []

    def ask(port):
        slow.append(socket.create_connection(("127.0.0.1", port)))
        slow[0].sendall(POST)
        time.sleep(0.2)  # until it was read

    with ending(releases, ask) as port:
        until = time.monotonic() + GRACE_S / 2  # before it gives up waiting for what runs
        while not refused(port):
            assert time.monotonic() < until
            time.sleep(0.05)
        with slow[0] as connection:
            connection.sendall(b"{}")
            told = answer(connection)
            assert told.startswith(b"HTTP/1.1 200")
            assert b"connection: close" in told


@pytest.mark.parametrize("asked", [PLAIN, HEALTH, POST + b"{}"])
def test_a_client_that_goes_on_asking_is_told_and_loses_nothing(releases, asked):
    """Sixteen connections, one request after the other: each is answered, the last says that it is."""
    ended, lost, stop = [], [], threading.Event()

    def client(port):
        with socket.create_connection(("127.0.0.1", port)) as connection:
            while True:
                connection.sendall(asked)
                told = answer(connection)
                if not told.startswith((b"HTTP/1.1 200", b"HTTP/1.1 503")):
                    lost.append(told)
                    return
                if b"connection: close" in told:
                    ended.append(told)
                    return
                stop.wait(0.01)

    clients = []

    def ask(port):
        clients.extend(threading.Thread(target=client, args=(port,)) for _ in range(16))
        for one in clients:
            one.start()
        time.sleep(0.3)

    with ending(releases, ask):
        for one in clients:
            one.join(WAIT_S)
    assert (len(ended), lost) == (16, [])


def test_a_connection_that_asks_nothing_is_ended(releases):
    idle = []

    def ask(port):
        idle.append(socket.create_connection(("127.0.0.1", port)))
        idle[0].sendall(PLAIN)
        assert answer(idle[0]).startswith(b"HTTP/1.1 200")

    with ending(releases, ask), idle[0] as connection:
        assert answer(connection) == b""
