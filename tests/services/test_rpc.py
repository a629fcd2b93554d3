"""The gRPC server over real sockets, asked by grpcio."""

import contextlib
import gzip
import socket
import sys
import threading
import zlib
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from h2.events import ConnectionTerminated, DataReceived, PingAckReceived, RemoteSettingsChanged, StreamReset
from tests.services.rpc_server import NAME, WAIT_S, FrameClient, eventually, framed, serving

from friesian_services.http2.fields import FieldReader
from friesian_services.http2.frames import ErrorCode
from friesian_services.interceptor import CallInterceptor
from friesian_services.rpc import messages, protocol, workplace
from friesian_services.rpc.handlers import always
from friesian_services.rpc.messages import refusal
from friesian_services.rpc.server import GrpcServer
from friesian_services.sockets import BACKLOG

LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


@pytest.fixture(scope="module")
def server():
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=LARGE) as made:
        yield made


def method(channel, name):
    return channel.unary_unary(f"/{NAME}/{name}")


def error(asked):
    """What a call fails with."""
    with pytest.raises(grpc.RpcError) as caught:
        asked()
    return caught.value


@pytest.mark.parametrize("is_short", [None, always])
@pytest.mark.parametrize("loops", [1, 2])
@pytest.mark.parametrize("size", [0, 1, 16384 - 5, 16384 - 4, 3 << 20])
def test_an_answer(size, is_short, loops):
    """By the event loops and by threads."""
    with serving(is_short=is_short, loops=loops) as server, grpc.insecure_channel(address(server), LARGE) as channel:
        request = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert method(channel, "echo")(request, timeout=WAIT_S) == request


def address(server):
    return f"127.0.0.1:{server.port}"


def test_without_threads():
    with serving(threads=0) as server, grpc.insecure_channel(address(server)) as channel:
        assert method(channel, "echo")(b"abc", timeout=WAIT_S) == b"abc"


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests(channel, compression):
    request = b"again and again " * 100_000
    assert method(channel, "echo")(request, timeout=WAIT_S, compression=compression) == request


def test_many_calls_on_one_connection(server, channel):
    asked = [method(channel, "echo").future(b"%d" % number, timeout=WAIT_S) for number in range(300)]
    assert [call.result() for call in asked] == [b"%d" % number for number in range(300)]


def test_calls_are_answered_in_the_order_in_which_they_end():
    with serving() as server, grpc.insecure_channel(address(server)) as channel:
        slow = method(channel, "wait").future(b"slow", timeout=WAIT_S)
        assert server.methods.begun.acquire(timeout=WAIT_S)
        assert method(channel, "echo")(b"fast", timeout=WAIT_S) == b"fast"
        assert not slow.done()
        server.methods.go.set()
        assert slow.result() == b"slow"


def test_an_answer_is_sent_before_the_loop_turns_to_the_next_call():
    with serving(is_short=always) as server, FrameClient(server.port) as client:
        client.outcome(client.ask("echo", b"so that both come together"))
        first, second = client.ask("echo", b"first"), client.ask("wait", b"second")
        assert client.outcome(first)[1] == framed(b"first")
        server.methods.go.set()
        assert client.outcome(second)[1] == framed(b"second")


def test_the_time_that_is_left(channel):
    assert WAIT_S - 4 < float(method(channel, "remaining")(b"", timeout=WAIT_S)) <= WAIT_S + 0.1  # grpcio rounds up
    assert method(channel, "remaining")(b"") == b"None"


@pytest.mark.parametrize(
    ("sent", "seconds"), [("2H", 7200), ("3M", 180), ("99999999S", 99999999), ("5000000u", 5), ("70000m", 70)]
)
def test_units_of_time(server, sent, seconds):
    with FrameClient(server.port) as client:
        _, content = client.outcome(client.ask("remaining", grpc_timeout=sent))
        assert seconds - 4 < float(content[5:]) <= seconds


@pytest.mark.parametrize("sent", ["", "5", "S", "-1S", "1.5S", "123456789S", "5 S", "5s"])
def test_a_timeout_that_is_none(server, sent):
    with FrameClient(server.port) as client:
        fields, _ = client.outcome(client.ask(grpc_timeout=sent))
        assert fields[b"grpc-status"] == b"3"
        assert b"grpc-timeout" in fields[b"grpc-message"]


def test_a_caller_whose_time_is_up():
    with serving() as server, grpc.insecure_channel(address(server)) as channel:
        failed = error(lambda: method(channel, "wait")(b"", timeout=0.3))
        assert failed.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert server.methods.gone.acquire(timeout=WAIT_S)
        assert not server.methods.contexts[0].is_active()


def test_a_caller_who_cancels(caplog):
    with serving(threads=1) as server, grpc.insecure_channel(address(server)) as channel:
        asked = method(channel, "wait").future(b"", timeout=WAIT_S)
        assert server.methods.begun.acquire(timeout=WAIT_S)
        assert server.methods.contexts[0].is_active()
        asked.cancel()
        assert server.methods.gone.acquire(timeout=WAIT_S)
        assert not server.methods.contexts[0].is_active()
        assert not server.methods.contexts[0].add_callback(print)
        server.methods.go.set()
        assert method(channel, "echo")(b"", timeout=WAIT_S) == b""
    assert "Traceback" not in caplog.text  # its answer is for nobody


def test_a_caller_who_hangs_up():
    with serving() as server:
        with FrameClient(server.port) as client:
            client.ask("wait")
            client.flush()
            assert server.methods.begun.acquire(timeout=WAIT_S)
        assert server.methods.gone.acquire(timeout=WAIT_S)


def test_a_call_that_waited_longer_than_its_caller():
    with serving(threads=1) as server, grpc.insecure_channel(address(server)) as channel:
        running = method(channel, "wait").future(b"1", timeout=WAIT_S)
        assert server.methods.begun.acquire(timeout=WAIT_S)
        assert error(lambda: method(channel, "wait")(b"2", timeout=0.2)).code() is grpc.StatusCode.DEADLINE_EXCEEDED
        server.methods.go.set()
        assert running.result() == b"1"
        assert method(channel, "echo")(b"3", timeout=WAIT_S) == b"3"
        assert len(server.methods.contexts) == 1


def test_metadata(channel):
    answer, call = method(channel, "metadata").with_call(b"", timeout=WAIT_S, metadata=(("x-q", "v w"),))
    assert answer == b"('v w', None)"
    assert [tuple(pair) for pair in call.trailing_metadata()] == [("x-a", "b"), ("x-b-bin", b"\xff\0")]


@pytest.mark.parametrize("text", ["plain", "größer als 100 % ~ 猫 \U0001f600", "a" * 1000])
def test_the_text_of_a_status(channel, text):
    failed = error(lambda: method(channel, "missing")(text.encode(), timeout=WAIT_S))
    assert (failed.code(), failed.details()) == (grpc.StatusCode.NOT_FOUND, text)
    assert [tuple(pair) for pair in failed.trailing_metadata()] == [("x-a", "b")]


def test_what_a_status_cannot_hold_is_replaced():
    fields = FieldReader().read(refusal(grpc.StatusCode.INTERNAL, "a\ud800b\n", [("x-a", "größer")]))
    assert fields[b"grpc-message"] == b"a?b%0A"
    assert fields[b"x-a"] == b"gr??er"


def test_a_status_that_is_set(channel):
    failed = error(lambda: method(channel, "status")(b"", timeout=WAIT_S))
    assert (failed.code(), failed.details()) == (grpc.StatusCode.DATA_LOSS, "lost")


@pytest.mark.parametrize("name", ["broken", "unwritable"])
def test_an_unexpected_failure(channel, name, caplog):
    failed = error(lambda: method(channel, name)(b"", timeout=WAIT_S))
    assert failed.code() is grpc.StatusCode.INTERNAL
    assert failed.details().startswith("an unexpected failure; the server's log has ")
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("path", ["/test.Test/nothing", "/other.Service/echo", "/x/\u007f"])
def test_an_unknown_method(server, channel, path):
    failed = error(lambda: channel.unary_unary(path)(b"", timeout=WAIT_S))
    assert (failed.code(), failed.details()) == (grpc.StatusCode.UNIMPLEMENTED, f"there is no method {path} here")


@pytest.mark.parametrize("sent", ["application/grpc", "application/grpc+proto", "application/grpc;x=y"])
def test_content_types_of_grpc(server, sent):
    with FrameClient(server.port) as client:
        assert client.outcome(client.ask(content_type=sent))[0][b"grpc-status"] == b"0"


@pytest.mark.parametrize("sent", ["", "text/html", "application/json", "application/grpc-web", "application/grpcx"])
def test_content_types_of_others(server, sent):
    with FrameClient(server.port) as client:
        assert client.outcome(client.ask(content_type=sent)) == ({b":status": b"415"}, b"")


def test_what_is_no_post(server):
    with FrameClient(server.port) as client:
        assert client.outcome(client.ask(verb="PUT")) == ({b":status": b"415"}, b"")


def test_a_request_in_any_pieces(server):
    """Its end may come with the message, behind it, or with trailers."""
    content = framed(b"abc")
    with FrameClient(server.port) as client:
        one, many, behind, trailers = (client.headers() for _ in range(4))
        client.h2.send_data(one, content, end_stream=True)
        for at in range(len(content)):
            client.h2.send_data(many, content[at : at + 1], end_stream=at + 1 == len(content))
        for stream in (behind, trailers):
            client.h2.send_data(stream, content)
        client.h2.send_data(behind, b"", end_stream=True)
        client.h2.send_headers(trailers, [(b"x-a", b"b")], end_stream=True)
        for stream in (one, many, behind, trailers):
            fields, answer = client.outcome(stream)
            assert (fields[b"grpc-status"], answer) == (b"0", content)


@pytest.mark.parametrize(
    "content", [b"", b"\0", framed(b"abc")[:-1], framed(b"a") + framed(b"b"), framed(b"a") + b"\0"]
)
def test_a_request_that_is_not_one_message(server, content):
    with FrameClient(server.port) as client:
        stream = client.headers()
        client.h2.send_data(stream, content, end_stream=True)
        fields, _ = client.outcome(stream)
        assert fields[b"grpc-status"] == b"13"
        assert b"one whole message" in fields[b"grpc-message"]
        stream = client.headers()
        client.h2.send_data(stream, content)
        client.h2.send_data(stream, b"", end_stream=True)
        assert client.outcome(stream)[0][b"grpc-status"] == b"13"


def test_a_second_message_is_refused_before_the_end(server):
    with FrameClient(server.port) as client:
        stream = client.headers()
        client.h2.send_data(stream, framed(b"a") + framed(b"b"))
        assert client.outcome(stream)[0][b"grpc-status"] == b"13"


@pytest.mark.parametrize(
    ("encoding", "flag", "message", "status"),
    [
        ("gzip", 1, gzip.compress(b"abc"), b"0"),
        ("gzip", 0, b"abc", b"0"),
        ("deflate", 1, zlib.compress(b"abc"), b"0"),
        ("gzip", 1, b"abc", b"13"),
        ("gzip", 1, gzip.compress(b"abc")[:-1], b"13"),
        ("identity", 1, b"abc", b"12"),
        ("br", 1, b"abc", b"12"),
        ("gzip", 2, b"abc", b"12"),
    ],
)
def test_compressed_or_not(server, encoding, flag, message, status):
    with FrameClient(server.port) as client:
        stream = client.headers(grpc_encoding=encoding)
        client.h2.send_data(stream, framed(message, flag), end_stream=True)
        fields, answer = client.outcome(stream)
        assert fields[b"grpc-status"] == status
        assert answer == (framed(b"abc") if status == b"0" else b"")
        if status == b"12":
            assert fields[b"grpc-accept-encoding"] == b"identity,gzip,deflate"


def test_what_is_compressed_is_not_for_the_loop():
    """A few bytes may become many, and take it long."""
    with serving(is_short=always) as server, FrameClient(server.port) as client:
        for flag, name in ((0, "grpc-loop"), (1, "grpc_0")):
            stream = client.headers("thread", grpc_encoding="gzip")
            client.h2.send_data(stream, framed(gzip.compress(b"x") if flag else b"x", flag), end_stream=True)
            assert client.outcome(stream)[1] == framed(name.encode())


def test_a_watch_that_asks_for_more_than_a_name():
    with serving() as server, FrameClient(server.port) as client:
        stream = client.headers("/grpc.health.v1.Health/Watch", grpc_encoding="gzip")
        client.h2.send_data(stream, framed(gzip.compress(bytes(5000)), 1), end_stream=True)
        assert client.outcome(stream)[0][b"grpc-status"] == b"8"


@pytest.mark.parametrize("compression", [None, grpc.Compression.Gzip])
def test_a_request_that_is_too_long(channel, compression, monkeypatch):
    monkeypatch.setattr(messages, "MESSAGE_BYTES", 10_000)
    failed = error(lambda: method(channel, "echo")(bytes(10_001), timeout=WAIT_S, compression=compression))
    assert failed.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert method(channel, "echo")(bytes(10_000), timeout=WAIT_S, compression=compression) == bytes(10_000)


def test_an_answer_that_is_too_long(channel, monkeypatch):
    monkeypatch.setattr(protocol, "MESSAGE_BYTES", 10_000)
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


def test_health(channel):
    stub = health_pb2_grpc.HealthStub(channel)
    for name in ("", NAME):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=WAIT_S)
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    failed = error(lambda: stub.Check(health_pb2.HealthCheckRequest(service="x"), timeout=WAIT_S))
    assert failed.code() is grpc.StatusCode.NOT_FOUND


def test_a_watch_sees_the_end():
    with serving() as server, grpc.insecure_channel(address(server)) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=NAME), timeout=WAIT_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
        server.stop(WAIT_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
        assert error(lambda: next(watch)).code() is grpc.StatusCode.UNAVAILABLE


def test_a_watch_of_what_is_not_there():
    """The names that clients make up are not kept."""
    with serving() as server, grpc.insecure_channel(address(server)) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service="x"), timeout=WAIT_S)
        assert next(watch).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
        assert "x" not in server._health._send_response_callbacks
        server.stop(WAIT_S)
        assert error(lambda: next(watch)).code() is grpc.StatusCode.UNAVAILABLE


def test_watches_that_end_are_forgotten():
    with serving() as server, grpc.insecure_channel(address(server)) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        for _ in range(3):
            watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=WAIT_S)
            next(watch)
            watch.cancel()
        eventually(lambda: not server._health._send_response_callbacks[""])


def test_reflection(channel):
    database = ProtoReflectionDescriptorDatabase(channel)
    assert set(database.get_services()) == {NAME, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection"}
    assert database.FindFileByName(health_pb2.DESCRIPTOR.name).package == "grpc.health.v1"


def test_reflection_that_is_asked_nothing(server):
    with FrameClient(server.port) as client:
        stream = client.headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo", end=True)
        fields, content = client.outcome(stream)
        assert (fields[b":status"], fields[b"grpc-status"], content) == (b"200", b"0", b"")


def test_reflection_that_is_asked_what_is_no_message(server):
    """Behind an answer the status stands in trailers, without one in headers."""
    for before in (b"", framed(b"\x3a\x01*")):
        with FrameClient(server.port) as client:
            stream = client.headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
            client.h2.send_data(stream, before)
            while before and not any(getattr(event, "data", b"") for event in client.seen):
                assert client.receive()
            client.h2.send_data(stream, framed(b"x", flag=7), end_stream=True)
            fields, content = client.outcome(stream)
            assert (fields[b":status"], fields[b"grpc-status"]) == (b"200", b"12")
            assert bool(content) == bool(before)


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


def connections(server):
    return sum(len(loop._place.connections) for loop in server._loops)


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


def unread(server, client, window):
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
        unread(server, client, window)
        eventually(lambda: connections(server) == 0)


@pytest.mark.parametrize("window", [0, 1000])
def test_pings_do_not_show_that_a_client_reads_its_answers(window):
    with serving(patience_s=0.5) as server, FrameClient(server.port) as client:
        unread(server, client, window)

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
    monkeypatch.setattr(protocol, "_UNREAD_BYTES", 25_000)
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


def test_answers_of_a_conversation_that_wait_to_be_read_are_bounded(monkeypatch):
    monkeypatch.setattr(protocol, "_UNREAD_BYTES", 5_000)
    with serving() as server, FrameClient(server.port) as client:
        client.h2.update_settings({4: 0})
        stream = client.headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo")
        for _ in range(200):
            client.h2.send_data(stream, framed(b"\x3a\x01*"))
        client.flush()
        assert client.until(StreamReset, stream).error_code == ErrorCode.ENHANCE_YOUR_CALM


def test_questions_of_a_conversation_that_nobody_reads_are_bounded(monkeypatch):
    """Those before it hold all threads."""
    monkeypatch.setattr(protocol, "_UNREAD_QUESTIONS", 3)
    with serving() as server, FrameClient(server.port) as client:
        talks = [client.headers("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo") for _ in range(5)]
        for stream in talks[:4]:
            client.h2.send_data(stream, framed(b"\x3a\x01*"))
            client.until(DataReceived, stream)
        client.h2.send_data(talks[4], framed(b"\x3a\x01*") * 4)
        assert client.outcome(talks[4])[0][b"grpc-status"] == b"8"


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
