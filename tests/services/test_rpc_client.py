"""Our client against grpcio's server, ours, and one that sends whatever frames one likes."""

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from friesian_services._pb import friesian_v1_pb2 as v1
from tests.services.rpc_server import NAME, WAIT_S, Methods, eventually, framed, register, serving

from friesian_fast.errors import ConfigError
from friesian_services.http2 import frames
from friesian_services.http2.fields import written
from friesian_services.http2.frames import ErrorCode, frame
from friesian_services.rpc import client as rpc_client
from friesian_services.rpc import messages
from friesian_services.rpc.client import Channel
from friesian_services.rpc.messages import HEADERS, CallError, refusal, trailers

OK = trailers(grpc.StatusCode.OK, "")


class GrpcioMethods(Methods):
    """The same answers from grpcio's context."""

    def metadata(self, request, context):
        sent = dict(context.invocation_metadata())
        return repr((sent.get("x-q"), sent.get("x-other"))).encode()


@contextlib.contextmanager
def grpcio(port=0):
    """grpcio's server with the same methods."""
    pool = ThreadPoolExecutor(8)
    server = grpc.server(pool, options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)])
    server.methods = GrpcioMethods()
    register(server.methods, Registry(server))
    server.port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield server
    finally:
        server.methods.go.set()
        server.stop(0).wait()
        pool.shutdown()


class Registry:
    """grpcio's server wants handlers in two ways."""

    def __init__(self, server):
        self._server = server

    def add_registered_method_handlers(self, name, handlers):
        self._server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(name, handlers),))


SERVERS = pytest.mark.parametrize("kind", [grpcio, serving])


@contextlib.contextmanager
def asking(server):
    """Our client of a server, or of a port."""
    channel = Channel(f"127.0.0.1:{getattr(server, 'port', server)}")
    try:
        yield channel
    finally:
        channel.close()


def method(channel, name):
    return channel.unary_unary(f"/{NAME}/{name}", bytes, bytes)


def error(asked):
    """What a call fails with."""
    with pytest.raises(CallError) as caught:
        asked()
    return caught.value.code(), caught.value.details()


@SERVERS
@pytest.mark.parametrize("size", [0, 1, 16379, 16380, 5 << 20])
def test_an_answer(kind, size):
    with kind() as server, asking(server) as channel:
        for _ in range(2):
            assert method(channel, "echo")(b"x" * size, WAIT_S) == b"x" * size


@SERVERS
def test_one_connection_is_kept(kind):
    with kind() as server, asking(server) as channel:
        for number in range(1000):
            assert method(channel, "echo")(b"%d" % number, WAIT_S) == b"%d" % number
        assert len(channel._idle) == 1
        assert channel._idle[0]._stream == 1999


@SERVERS
def test_several_calls_at_once(kind):
    with kind() as server, asking(server) as channel:
        asked = [method(channel, "echo").future(b"%d" % number, WAIT_S) for number in range(5)]
        assert [call.result() for call in reversed(asked)] == [b"4", b"3", b"2", b"1", b"0"]
        assert len(channel._idle) == 5


@SERVERS
def test_calls_of_many_threads(kind):
    with kind() as server, asking(server) as channel, ThreadPoolExecutor(8) as pool:
        asked = [b"%d" % number for number in range(500)]
        assert list(pool.map(lambda request: method(channel, "echo")(request, WAIT_S), asked)) == asked
        assert 1 <= len(channel._idle) <= 8


@SERVERS
def test_what_goes_along(kind):
    with kind() as server, asking(server) as channel:
        assert method(channel, "metadata")(b"", WAIT_S, metadata=(("x-q", "v w"),)) == b"('v w', None)"
        assert 0 < float(method(channel, "remaining")(b"", 5)) <= 5


@SERVERS
def test_statuses(kind):
    with kind() as server, asking(server) as channel:
        assert error(lambda: method(channel, "status")(b"", WAIT_S)) == (grpc.StatusCode.DATA_LOSS, "lost")
        assert error(lambda: method(channel, "nothing")(b"", WAIT_S))[0] is grpc.StatusCode.UNIMPLEMENTED
        assert method(channel, "echo")(b"abc", WAIT_S) == b"abc"
        assert len(channel._idle) == 1  # a status is no reason to end a connection


def test_the_text_of_a_status():
    text = "größer als 100 % ~ 猫 \U0001f600"
    with serving() as server, asking(server) as channel:
        assert error(lambda: method(channel, "missing")(text.encode(), WAIT_S)) == (grpc.StatusCode.NOT_FOUND, text)


@SERVERS
def test_a_deadline(kind):
    with kind() as server, asking(server) as channel:
        code, _ = error(lambda: method(channel, "wait")(b"", 0.2))
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED
        assert kind is grpcio or channel._idle == []  # grpcio may have said so itself in time
        assert server.methods.gone.acquire(timeout=WAIT_S)
        assert method(channel, "echo")(b"abc", WAIT_S) == b"abc"


def test_no_time_at_all():
    with serving() as server, asking(server) as channel:
        for _ in range(2):
            assert error(lambda: method(channel, "wait")(b"", 0))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
            assert error(lambda: method(channel, "wait")(b"", -1))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
        assert method(channel, "echo")(b"abc", WAIT_S) == b"abc"  # that is no fault of the service


@SERVERS
def test_a_service_that_was_restarted(kind):
    """Calls on connections that were kept are asked again, each."""
    with kind() as server, asking(server) as channel:
        asked = [method(channel, "echo").future(b"1", WAIT_S) for _ in range(3)]
        assert [call.result() for call in asked] == [b"1"] * 3
        stop(server)
        with kind(port=server.port):
            asked = [method(channel, "echo").future(b"2" * 300_000, WAIT_S) for _ in range(3)]
            assert [call.result() for call in asked] == [b"2" * 300_000] * 3


def stop(server):
    ended = server.stop(0)
    if ended is not None:
        ended.wait()


@SERVERS
def test_a_call_that_runs_when_the_service_stops(kind):
    with kind() as server, asking(server) as channel:
        running = method(channel, "wait").future(b"abc", WAIT_S)
        assert server.methods.begun.acquire(timeout=WAIT_S)
        stopping = threading.Thread(target=server.stop, args=(WAIT_S,))
        stopping.start()
        eventually(lambda: not listens(server.port))
        server.methods.go.set()
        assert running.result() == b"abc"
        assert channel._idle == []
        stopping.join(WAIT_S)


def listens(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=WAIT_S).close()
    except ConnectionError:
        return False
    return True


def free_port():
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        return held.getsockname()[1]


def test_nobody_there(monkeypatch):
    """Calls fail at once for a while, longer each time."""
    monkeypatch.setattr(rpc_client, "time", clock := Clock())
    port = free_port()
    channel = Channel(f"127.0.0.1:{port}")
    refused = (grpc.StatusCode.UNAVAILABLE, "cannot be connected to: Connection refused")
    pauses = []
    for _ in range(7):
        assert error(lambda: method(channel, "echo")(b"", WAIT_S)) == refused
        pauses.append(round(channel._paused_until - clock.now, 3))
        clock.now = channel._paused_until - 0.001
        assert error(lambda: method(channel, "echo")(b"", WAIT_S)) == refused
        clock.now += 0.002
    assert pauses == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    with serving(port=port):
        assert method(channel, "echo")(b"abc", WAIT_S) == b"abc"
    channel.close()
    assert error(lambda: method(channel, "echo")(b"", WAIT_S)) == refused
    assert round(channel._paused_until - clock.now, 3) == 0.1


class Clock:
    """In the place of the module of time."""

    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.mark.parametrize("host", ["127.0.0.1:65536", "127.0.0.1:0", "no-such-host.invalid:80", "[::1]:9"])
def test_addresses_that_cannot_be_reached(host):
    assert error(lambda: method(Channel(host), "echo")(b"", WAIT_S))[0] is grpc.StatusCode.UNAVAILABLE


@pytest.mark.parametrize("url", ["", "host", ":80", "host:", "host:x", "http://host:80", "host:123456", "::1:80"])
def test_what_is_no_address(url):
    with pytest.raises(ConfigError, match="host:port"):
        Channel(url)


def test_the_callers_short_time_is_no_fault_of_the_service():
    """One whose connection takes long does not make the others wait."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        with contextlib.ExitStack() as filling:
            for _ in range(3):  # then the system takes no more
                waiting = filling.enter_context(socket.socket())
                waiting.setblocking(False)
                waiting.connect_ex(listener.getsockname())
            channel = Channel(f"127.0.0.1:{listener.getsockname()[1]}")
            assert error(lambda: method(channel, "echo")(b"", 0.1))[0] is grpc.StatusCode.DEADLINE_EXCEEDED
            assert channel._paused_until == 0


def test_closing():
    with serving() as server:
        channel = Channel(f"127.0.0.1:{server.port}")
        running = method(channel, "wait").future(b"abc", WAIT_S)
        assert method(channel, "echo")(b"abc", WAIT_S) == b"abc"
        [kept] = channel._idle
        channel.close()
        assert kept._socket.fileno() == -1
        server.methods.go.set()
        assert running.result() == b"abc"
        assert channel._idle == []
        eventually(lambda: not server._loops[0]._place.connections)


def test_a_call_whose_answer_nobody_takes():
    with serving() as server, asking(server) as channel:
        asked = method(channel, "wait").future(b"abc", WAIT_S)
        assert server.methods.begun.acquire(timeout=WAIT_S)
        del asked
        assert server.methods.gone.acquire(timeout=WAIT_S)


@contextlib.contextmanager
def scripted(*answers):
    """A server of one connection after the other, that answers the calls of each: with bytes, or by None, its end."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(WAIT_S)
    thread = threading.Thread(target=lambda: [answered(listener, pieces) for pieces in answers])
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join(WAIT_S)
        listener.close()


def answered(listener, pieces):
    connection, _ = listener.accept()
    connection.settimeout(WAIT_S)
    with connection, contextlib.suppress(ConnectionError):
        connection.sendall(frames.settings({}))
        for piece in pieces:
            while b"echo" not in connection.recv(65536):
                pass
            if piece is None:
                return
            connection.sendall(piece)
        while connection.recv(65536):
            pass


def content(message, stream=1):
    return frame(frames.DATA, 0, stream, message)


def ended(block, stream=1):
    return frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream, block)


BEGUN = frame(frames.HEADERS, frames.END_HEADERS, 1, HEADERS)
SOUND = BEGUN + content(framed(b"abc")) + ended(OK)
LEFT = frames.goaway(0, 0)
REFUSED = frame(frames.RST_STREAM, 0, 1, ErrorCode.REFUSED_STREAM.to_bytes(4, "big"))

FAILED = {
    "another protocol": ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "UNAVAILABLE", "does not speak gRPC"),
    "the end at once": ([None], "UNAVAILABLE", "it ended the connection"),
    "goaway": ([LEFT], "UNAVAILABLE", "it is being stopped"),
    "refused": ([REFUSED], "UNAVAILABLE", "it refused the call"),
    "reset": ([frame(frames.RST_STREAM, 0, 1, bytes(4))], "UNAVAILABLE", "with code 0"),
    "a broken frame": ([BEGUN + frame(frames.PING, 0, 0)], "UNAVAILABLE", "a ping of 0 bytes"),
    "a push": ([frame(frames.PUSH_PROMISE, 4, 1, bytes(4))], "UNAVAILABLE", "a push"),
    "another stream": ([BEGUN + ended(OK, 3)], "UNAVAILABLE", "stream 3"),
    "content behind the end": ([SOUND[:-9] + content(b"x") * 2], "UNAVAILABLE", ""),
    "no message": ([BEGUN + ended(OK)], "INTERNAL", "an answer has one message"),
    "no message, no headers": ([ended(refusal(grpc.StatusCode.OK, ""))], "INTERNAL", "an answer has one message"),
    "two messages": ([BEGUN + content(framed(b"a") * 2) + ended(OK)], "INTERNAL", "an answer has one"),
    "messages without end": ([BEGUN + content(framed(b"a") * 2)], "INTERNAL", "an answer has one"),
    "half a message": ([BEGUN + content(framed(b"abc")[:-1]) + ended(OK)], "INTERNAL", "an answer has one"),
    "an end without status": ([BEGUN + frame(frames.DATA, 1, 1, framed(b"a"))], "UNKNOWN", "no gRPC status"),
    "a status that is none": ([BEGUN + ended(written([(b"grpc-status", b"77")]))], "UNKNOWN", ""),
    "a text that is none": (
        [ended(written([(b"grpc-status", b"5"), (b"grpc-message", b"\xff%zz%ff")]))],
        "NOT_FOUND",
        "",
    ),
    "HTTP's 404": ([ended(written([(b":status", b"404")]))], "UNIMPLEMENTED", "its HTTP status is 404"),
    "HTTP's 503": ([ended(written([(b":status", b"503")]))], "UNAVAILABLE", "its HTTP status is 503"),
    "too long": ([BEGUN + content(b"\0\x7f\xff\xff\xff")], "RESOURCE_EXHAUSTED", "a message has at most"),
    "packed": ([BEGUN + content(framed(b"abc", flag=1))], "UNIMPLEMENTED", "identity, gzip and deflate"),
    "silence": ([BEGUN], "DEADLINE_EXCEEDED", "no answer in time"),
}


@pytest.mark.parametrize("name", FAILED)
def test_a_service_that_answers_badly(name):
    pieces, code, text = FAILED[name]
    with scripted(pieces) as server, asking(server) as channel:
        found, details = error(lambda: method(channel, "echo")(b"", 1.0))
        assert (found.name, text in details) == (code, True), details


def test_an_answer_that_is_another_message():
    with serving() as server, asking(server) as channel:
        asked = channel.unary_unary(f"/{NAME}/echo", bytes, v1.RowsReply.FromString)
        assert error(lambda: asked(b"\xff", WAIT_S)) == (
            grpc.StatusCode.INTERNAL,
            "the 1 bytes of the answer are not the message of this call",
        )


@pytest.mark.parametrize(
    "first",
    [
        [SOUND, None],
        [SOUND, frames.goaway(1, 0)],
        [SOUND + frames.goaway(1, 0)],
        [SOUND, REFUSED.replace(b"\0\0\0\x01", b"\0\0\0\x03")],
        [SOUND + frame(frames.RST_STREAM, 0, 1, bytes(4)), None],
    ],
)
def test_a_kept_connection_that_does_not_answer_any_more(first):
    """What it is asked is asked again on another."""
    with scripted(first, [SOUND]) as server, asking(server) as channel:
        assert method(channel, "echo")(b"1", WAIT_S) == b"abc"
        assert method(channel, "echo")(b"2", WAIT_S) == b"abc"


def test_answers_that_come_late_are_not_waited_for(monkeypatch):
    """Each piece comes in time, but all of them do not."""
    clock = Clock()

    class Trickling:
        def recv(self, size):
            clock.now += 0.1
            assert clock.now < 1010, "it waits longer than 5 seconds"
            return frames.settings({})

        def ignore(self, *_):
            """All else."""

        setsockopt = settimeout = sendall = close = ignore

    monkeypatch.setattr(rpc_client, "time", clock)
    monkeypatch.setattr(rpc_client.socket, "create_connection", lambda *_, **__: Trickling())
    asked = method(Channel("127.0.0.1:1"), "echo")
    assert error(lambda: asked(b"", 5)) == (grpc.StatusCode.DEADLINE_EXCEEDED, "no answer in time")


def test_a_large_request_to_a_service_that_does_not_read():
    with scripted([BEGUN]) as server, asking(server) as channel:
        assert error(lambda: method(channel, "echo")(bytes(1 << 20), 0.5))[0] is grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_connection_whose_numbers_are_used_up():
    with serving() as server, asking(server) as channel:
        assert method(channel, "echo")(b"a", WAIT_S) == b"a"
        channel._idle[0]._connection._last_stream = 2**31 - 3
        assert method(channel, "echo")(b"b", WAIT_S) == b"b"
        assert channel._idle == []
        assert method(channel, "echo")(b"c", WAIT_S) == b"c"


def test_the_time_that_is_told():
    assert messages.timeout_text(-1) == messages.timeout_text(0) == b"1u"
    assert messages.timeout_text(5) == b"5000000u"
    assert messages.timeout_text(99.9999999) == b"99999999u"
    assert messages.timeout_text(100) == b"100S"
    assert messages.timeout_text(1e12) == b"99999999S"
