"""Connections and the gRPC server itself: how they begin, are kept and end."""

import contextlib
import socket
import sys
import threading
from pathlib import Path

import grpc
import pytest
from h2.events import RemoteSettingsChanged
from tests.services.rpc_server import (
    WAIT_S,
    FrameClient,
    address,
    connections,
    error,
    eventually,
    framed,
    method,
    serving,
)

from friesian_services.interceptor import CallInterceptor
from friesian_services.rpc.server import GrpcServer
from friesian_services.sockets import BACKLOG


@pytest.mark.parametrize(
    "data", [b"GET / HTTP/1.1\r\nhost: x\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01", b"\xff" * 99]
)
def test_another_protocol_is_told_so(server, data):
    with socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S) as client:
        client.sendall(data)
        answer = b""
        while piece := client.recv(4096):
            answer += piece
        assert answer.endswith(b"this port answers gRPC, which begins with HTTP/2's preface")


@pytest.mark.parametrize("sent", [b"", b"PRI * HT", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_a_client_that_never_begins(sent):
    with serving(patience_s=0.3) as server, socket.create_connection(("127.0.0.1", server.port), WAIT_S) as client:
        client.sendall(sent)
        with contextlib.suppress(ConnectionError):
            while client.recv(4096):
                pass
        eventually(lambda: connections(server) == 0)


def test_a_client_that_never_ends_its_request():
    """Whatever else it sends; its other calls are answered."""
    with serving(patience_s=0.3) as server, FrameClient(server.port) as client:
        half, trickling = client.headers(), client.headers()
        client.h2.send_data(half, framed(b"abc")[:-1])
        whole = client.ask("echo", b"abc")
        assert client.outcome(whole)[1] == framed(b"abc")
        fields, _ = client.outcome(half)
        assert fields[b"grpc-status"] == b"4"
        assert b"not complete within 0.3 seconds" in fields[b"grpc-message"]
        assert client.outcome(trickling)[0][b"grpc-status"] == b"4"
        assert client.outcome(client.ask("echo", b"d"))[1] == framed(b"d")


def test_a_request_without_end_on_a_connection_that_is_old():
    with serving(patience_s=0.2) as server, FrameClient(server.port) as client:
        client.until(RemoteSettingsChanged)
        threading.Event().wait(0.5)
        assert client.outcome(client.headers())[0][b"grpc-status"] == b"4"


def test_a_client_that_asks_nothing_is_kept():
    with serving(patience_s=0.1) as server, FrameClient(server.port) as client:
        client.until(RemoteSettingsChanged)
        threading.Event().wait(0.5)
        assert client.outcome(client.ask("echo", b"d"))[1] == framed(b"d")


def test_sockets(server):
    """As many wait as bound_socket says, and clients whose machines are gone are noticed."""
    listener = server._loops[0]._listener
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert int.from_bytes(info[28:32], sys.byteorder) == min(BACKLOG, most_waiting())
    with FrameClient(server.port) as client:
        client.outcome(client.ask())
        [connection] = [held for held in server._loops[0]._place.connections if held.is_idle][-1:]
        accepted = connection._transport.get_extra_info("socket")
        assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)


def most_waiting():
    """What the system allows."""
    return int(Path("/proc/sys/net/core/somaxconn").read_text())


def test_draining():
    """What runs is answered, what is new is refused, and then the connection ends."""
    with serving(loops=2) as server, grpc.insecure_channel(address(server)) as channel:
        running = method(channel, "wait").future(b"abc", timeout=WAIT_S)
        assert server.methods.begun.acquire(timeout=WAIT_S)
        stopping = threading.Thread(target=server.stop, args=(WAIT_S,))
        stopping.start()
        eventually(lambda: refuses(server))
        assert error(lambda: method(channel, "echo")(b"", timeout=WAIT_S)).code() is grpc.StatusCode.UNAVAILABLE
        assert not running.done()
        server.methods.go.set()
        assert running.result() == b"abc"
        stopping.join(WAIT_S)
        assert not stopping.is_alive()
        assert connections(server) == 0
        assert not any(loop._thread.is_alive() for loop in server._loops)


def refuses(server):
    """Whether nobody listens."""
    try:
        socket.create_connection(("127.0.0.1", server.port), timeout=WAIT_S).close()
    except ConnectionError:
        return True
    return False


def test_a_call_that_does_not_end_is_not_waited_for_longer():
    with serving() as server, FrameClient(server.port) as client:
        client.ask("wait")
        client.flush()
        assert server.methods.begun.acquire(timeout=WAIT_S)
        server.stop(0.1)
        client.rest()
        assert server.methods.gone.acquire(timeout=WAIT_S)


def test_a_server_that_is_stopped_before_it_was_started():
    server = GrpcServer("127.0.0.1", 0, [], CallInterceptor(), threads=1)
    server.stop(0)
    server.start()
    server.stop(0)
    assert refuses(server)
