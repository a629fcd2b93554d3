"""What the gRPC server does not let grow: messages, calls, answers that nobody reads, connections."""

import contextlib
import threading

import grpc
import pytest
from h2.events import ConnectionTerminated, PingAckReceived
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

from friesian_services.rpc import calls, messages, protocol, unread, workplace


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_a_request_that_is_too_long(channel, compression, monkeypatch):
    monkeypatch.setattr(messages, "MESSAGE_BYTES", 10_000)
    failed = error(lambda: method(channel, "echo")(bytes(10_001), timeout=WAIT_S, compression=compression))
    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert method(channel, "echo")(bytes(10_000), timeout=WAIT_S, compression=compression) == bytes(10_000)


def test_an_answer_that_is_too_long(channel, monkeypatch):
    monkeypatch.setattr(calls, "MESSAGE_BYTES", 10_000)
    failed = error(lambda: method(channel, "large")(b"10000", timeout=WAIT_S))
    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "ask for less" in failed.details()


def test_more_requests_than_one_connection_may_have_unanswered(monkeypatch):
    monkeypatch.setattr(protocol, "_HELD_BYTES", 25_000)
    with serving(threads=1) as server, grpc.insecure_channel(address(server)) as channel:
        asked = [method(channel, "wait").future(bytes(10_000), timeout=WAIT_S) for _ in range(4)]
        eventually(lambda: sum(call.done() for call in asked) == 2)
        codes = {call.code() for call in asked if call.done()}
        assert codes == {grpc.StatusCode.RESOURCE_EXHAUSTED}
        server.methods.go.set()
        assert sum(call.code() is grpc.StatusCode.OK for call in asked) == 2
        assert method(channel, "echo")(bytes(10_000), timeout=WAIT_S) == bytes(10_000)


def test_more_requests_than_all_connections_may_have_unanswered(monkeypatch):
    monkeypatch.setattr(workplace, "_HELD_BYTES", 25_000)
    with serving() as server, contextlib.ExitStack() as open_ones:
        clients = [open_ones.enter_context(FrameClient(server.port)) for _ in range(3)]
        for client in clients[:2]:  # neither has ended
            client.h2.send_data(client.headers(), framed(bytes(10_000)))
            client.h2.ping(b"12345678")
            client.until(PingAckReceived)
        assert clients[2].outcome(clients[2].ask("echo", bytes(10_000)))[0][b"grpc-status"] == b"8"
        clients[0].__exit__()
        eventually(lambda: connections(server) == 2)
        assert clients[2].outcome(clients[2].ask("echo", bytes(10_000)))[0][b"grpc-status"] == b"0"


def test_more_calls_than_may_wait_for_a_thread(monkeypatch):
    monkeypatch.setattr(workplace, "_QUEUED", 3)
    with serving(threads=1) as server, grpc.insecure_channel(address(server)) as channel:
        asked = [method(channel, "wait").future(b"", timeout=WAIT_S) for _ in range(5)]
        eventually(lambda: sum(call.done() for call in asked) == 2)
        server.methods.go.set()
        codes = [call.code() for call in asked]
        assert codes.count(grpc.StatusCode.RESOURCE_EXHAUSTED) == 2
        assert codes.count(grpc.StatusCode.OK) == 3
        assert method(channel, "echo")(b"", timeout=WAIT_S) == b""


def leave_unread(server, client, window):
    """Ask for 8 MB that nobody reads."""
    client.h2.update_settings({4: window})
    client.h2.increment_flow_control_window(2**30)
    client.ask("large", b"8000000")
    client.flush()
    eventually(lambda: connections(server) == 1)


@pytest.mark.parametrize("window", [0, 1000, 2**30])
def test_a_client_that_never_reads_is_let_go(window):
    """Whether it gives no leave to send, or does not take what is sent."""
    with serving(patience_s=0.3) as server, FrameClient(server.port, receive_buffer=4096) as client:
        leave_unread(server, client, window)
        eventually(lambda: connections(server) == 0)


@pytest.mark.parametrize("window", [0, 1000])
def test_pings_do_not_show_that_a_client_reads_its_answers(window):
    with serving(patience_s=0.5) as server, FrameClient(server.port) as client:
        leave_unread(server, client, window)

        def ping():
            try:
                client.h2.ping(b"12345678")
                client.flush()
            except ConnectionError:
                pass
            return connections(server) == 0

        eventually(ping)


def test_a_client_that_reads_slowly_is_kept():
    """A little at a time, for longer than patience."""
    with serving(patience_s=1) as server, FrameClient(server.port, receive_buffer=65536) as client:
        client.h2.update_settings({4: 2**30})
        client.h2.increment_flow_control_window(2**30)
        stream = client.ask("large", b"12000000")
        client.flush()
        for _ in range(40):
            threading.Event().wait(0.05)
            for _ in range(3):
                client.receive()
        assert len(client.outcome(stream)[1]) == 12_000_005
        assert client.outcome(client.ask("echo", b"d"))[1] == framed(b"d")


def test_answers_that_wait_to_be_read_are_bounded(monkeypatch):
    monkeypatch.setattr(unread, "_UNREAD_BYTES", 25_000)
    with serving() as server, FrameClient(server.port) as client:
        client.h2.update_settings({4: 0})
        streams = [client.ask("large", b"10000") for _ in range(4)]
        refused = [client.outcome(stream) for stream in ended(client, streams, 2)]
        assert {fields[b"grpc-status"] for fields, _ in refused} == {b"8"}
        client.h2.update_settings({4: 65535})
        left = [client.outcome(stream) for stream in streams]
        assert sorted(len(content) for _, content in left) == [0, 0, 10005, 10005]
        assert client.outcome(client.ask("large", b"10000"))[0][b"grpc-status"] == b"0"


def ended(client, streams, count):
    """Those that have ended, as soon as there are so many."""
    while True:
        found = [stream for stream in streams if client.has_ended(stream)]
        if len(found) == count:
            return found
        assert client.receive()


def test_answers_of_all_connections_that_wait_to_be_read_are_bounded(monkeypatch):
    """Who reads is answered all the same, but not at such length."""
    monkeypatch.setattr(workplace, "_UNREAD_BYTES", 120_000)
    with serving() as server, FrameClient(server.port) as honest, FrameClient(server.port) as other:
        with FrameClient(server.port) as silent:
            hold_unread(silent, 100_000)
            refused = other.ask("large", b"100000")
            assert other.outcome(refused)[0][b"grpc-status"] == b"8"
            assert honest.outcome(honest.ask("echo", b"d"))[1] == framed(b"d")
            assert honest.outcome(honest.ask("large", b"40000"))[0][b"grpc-status"] == b"0"
        eventually(lambda: connections(server) == 2)
        for client in (honest, other):
            assert client.outcome(client.ask("large", b"100000"))[0][b"grpc-status"] == b"0"
        eventually(lambda: unread_bytes(server) == 0)


def hold_unread(client, size):
    """Have an answer wait that the client gives no leave to send."""
    client.h2.update_settings({4: 0})
    client.ask("large", b"%d" % size)
    client.ask("missing")  # answered by nothing but a status, behind the other one
    while not client.has_ended(3):
        assert client.receive()


def unread_bytes(server):
    return sum(loop._place._unread for loop in server._loops)


@pytest.mark.parametrize("window", [0, 2**30])
def test_answers_that_nobody_reads_are_counted_until_the_connection_ends(window):
    """Whether they wait for leave, or for the system to take them."""
    with serving() as server, FrameClient(server.port, receive_buffer=4096) as client:
        leave_unread(server, client, window)
        eventually(lambda: unread_bytes(server) > 1_000_000)
        client.__exit__()
        eventually(lambda: connections(server) == 0)
        assert unread_bytes(server) == 0


def test_more_connections_than_there_is_room_for(monkeypatch):
    monkeypatch.setattr(workplace, "_CONNECTIONS", 2)
    with serving() as server, FrameClient(server.port) as one, FrameClient(server.port) as two:
        running = [client.ask("wait", b"abc") for client in (one, two)]
        for client in (one, two):
            client.flush()
            assert server.methods.begun.acquire(timeout=WAIT_S)
        with FrameClient(server.port) as three:
            assert three.rest() == []
        assert connections(server) == 2
        server.methods.go.set()
        assert [client.outcome(stream)[1] for client, stream in zip((one, two), running, strict=True)] == [
            framed(b"abc")
        ] * 2


def test_a_connection_that_asks_nothing_makes_room(monkeypatch):
    monkeypatch.setattr(workplace, "_CONNECTIONS", 2)
    with serving() as server, FrameClient(server.port) as busy, FrameClient(server.port) as idle:
        running = busy.ask("wait", b"abc")
        busy.flush()
        assert server.methods.begun.acquire(timeout=WAIT_S)
        assert idle.outcome(idle.ask())[0][b"grpc-status"] == b"0"
        with FrameClient(server.port) as new:
            assert new.outcome(new.ask())[0][b"grpc-status"] == b"0"
        idle.rest()
        assert any(isinstance(event, ConnectionTerminated) for event in idle.seen)
        server.methods.go.set()
        assert busy.outcome(running)[1] == framed(b"abc")
