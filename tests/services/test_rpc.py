"""The gRPC server over real sockets, asked by grpcio: its calls."""

import gzip
import zlib

import grpc
import pytest
from tests.services.rpc_server import (
    LARGE,
    WAIT_S,
    FrameClient,
    address,
    error,
    framed,
    method,
    serving,
)

from friesian_services.http2.fields import FieldReader
from friesian_services.rpc.handlers import always
from friesian_services.rpc.messages import refusal


@pytest.mark.parametrize("is_short", [None, always])
@pytest.mark.parametrize("loops", [1, 2])
@pytest.mark.parametrize("size", [0, 1, 16384 - 5, 16384 - 4, 3 << 20])
def test_an_answer(size, is_short, loops):
    """By the event loops and by threads."""
    with serving(is_short=is_short, loops=loops) as server, grpc.insecure_channel(address(server), LARGE) as channel:
        request = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
        assert method(channel, "echo")(request, timeout=WAIT_S) == request


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
