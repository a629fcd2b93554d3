"""A gRPC server with a few tiny methods, and a client that sends whatever frames one likes."""

import contextlib
import socket
import threading

import grpc
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded, StreamReset, TrailersReceived

from friesian_fast.errors import NotFoundError
from friesian_services.interceptor import CallInterceptor
from friesian_services.rpc.handlers import Servicer
from friesian_services.rpc.server import GrpcServer

NAME = "test.Test"
LARGE = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
WAIT_S = 20  # for what comes soon; only a failure takes so long


class Methods:
    """What the server answers; bytes in, bytes out."""

    def __init__(self):
        self.go, self.begun, self.gone = threading.Event(), threading.Semaphore(0), threading.Semaphore(0)
        self.contexts = []

    def echo(self, request, context):
        return request

    def wait(self, request, context):
        """Answered when `go` is set; `gone` tells that the call is over."""
        self.contexts.append(context)
        context.add_callback(self.gone.release)
        self.begun.release()
        assert self.go.wait(WAIT_S)
        return request

    def thread(self, request, context):
        return threading.current_thread().name.encode()

    def large(self, request, context):
        return b"x" * int(request)

    def remaining(self, request, context):
        return repr(context.time_remaining()).encode()

    def metadata(self, request, context):
        context.set_trailing_metadata((("x-a", "b"), ("x-b-bin", b"\xff\0")))
        return repr((context.sent("x-q"), context.sent("x-other"))).encode()

    def missing(self, request, context):
        context.set_trailing_metadata((("x-a", "b"),))
        raise NotFoundError(request.decode(errors="replace"))

    def status(self, request, context):
        context.set_code(grpc.StatusCode.DATA_LOSS)
        context.set_details("lost")
        return request

    def broken(self, request, context):
        raise ZeroDivisionError

    def unwritable(self, request, context):
        return None


def register(methods, handlers):
    """As generated code does."""
    names = ("echo", "thread", "wait", "large", "remaining", "metadata", "missing", "status", "broken", "unwritable")
    made = {
        name: grpc.unary_unary_rpc_method_handler(getattr(methods, name), bytes, lambda answer: answer + b"")
        for name in names
    }
    handlers.add_registered_method_handlers(NAME, made)


@contextlib.contextmanager
def serving(*, is_short=None, port=0, **options):
    """A server that answers, its methods within reach."""
    methods = Methods()
    servicer = Servicer(register, methods, NAME, is_short)
    server = GrpcServer("127.0.0.1", port, [servicer], CallInterceptor(), **{"threads": 4, **options})
    server.start()
    server.methods = methods
    try:
        yield server
    finally:
        methods.go.set()
        server.stop(0)


class FrameClient:
    """A client made of h2 and a socket; `outcome` is what a stream ended with."""

    def __init__(self, port, *, receive_buffer=None):
        self._socket = socket.socket()
        if receive_buffer:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._socket.settimeout(WAIT_S)
        self._socket.connect(("127.0.0.1", port))
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding=None))
        self.h2.initiate_connection()
        self.seen = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._socket.close()

    def headers(self, method="echo", *, end=False, verb="POST", **fields):
        """Open a stream; fields by their names with underscores."""
        stream = self.h2.get_next_available_stream_id()
        named = {"content_type": "application/grpc", "te": "trailers"} | fields
        more = [(name.replace("_", "-"), value) for name, value in named.items()]
        path = method if "/" in method else f"/{NAME}/{method}"
        head = [(":method", verb), (":scheme", "http"), (":path", path), (":authority", "x")]
        self.h2.send_headers(stream, head + more, end_stream=end)
        return stream

    def ask(self, method="echo", message=b"", **fields):
        """A whole call."""
        stream = self.headers(method, **fields)
        self.h2.send_data(stream, framed(message), end_stream=True)
        return stream

    def flush(self, more=b""):
        self._socket.sendall(self.h2.data_to_send() + more)

    def receive(self):
        """What comes next; False at the end."""
        self.flush()
        data = self._socket.recv(65536)
        events = self.h2.receive_data(data) if data else []
        for event in events:
            if isinstance(event, DataReceived):
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        self.seen += events
        return bool(data)

    def until(self, kind, stream=None):
        """The first event of a kind, of a stream."""
        while True:
            for event in self.seen:
                if isinstance(event, kind) and (stream is None or event.stream_id == stream):
                    return event
            assert self.receive(), f"the connection ended; {self.seen}"

    def rest(self):
        """All until the connection ends; why it did."""
        with contextlib.suppress(ConnectionError):
            while self.receive():
                pass
        return [event.additional_data for event in self.seen if isinstance(event, ConnectionTerminated)]

    def has_ended(self, stream):
        """Whether the end of a stream was seen."""
        return any(isinstance(event, (StreamEnded, StreamReset)) and event.stream_id == stream for event in self.seen)

    def outcome(self, stream):
        """Headers and trailers as one dictionary, and the content."""
        self.until((StreamEnded, StreamReset), stream)
        mine = [event for event in self.seen if getattr(event, "stream_id", None) == stream]
        fields = {}
        for event in mine:
            if isinstance(event, (ResponseReceived, TrailersReceived)):
                fields |= dict(event.headers)
        return fields, b"".join(event.data for event in mine if isinstance(event, DataReceived))


def framed(message, flag=0):
    return bytes((flag,)) + len(message).to_bytes(4, "big") + message


def eventually(true):
    """Wait until something holds."""
    seconds = threading.Event()
    for _ in range(WAIT_S * 50):
        if true():
            return
        seconds.wait(0.02)
    raise AssertionError("it never came to be")


def method(channel, name):
    return channel.unary_unary(f"/{NAME}/{name}")


def error(asked):
    """What a call fails with."""
    with pytest.raises(grpc.RpcError) as caught:
        asked()
    return caught.value


def address(server):
    return f"127.0.0.1:{server.port}"


def connections(server):
    return sum(len(loop._place.connections) for loop in server._loops)


@pytest.fixture(scope="module")
def server():
    """Our gRPC server with a few tiny methods."""
    with serving() as made:
        yield made


@pytest.fixture(scope="module")
def channel(server):
    """grpcio's channel to it."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options=LARGE) as made:
        yield made
