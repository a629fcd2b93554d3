"""Both ends of an HTTP/2 connection without sockets: ours, and the one of the library h2."""

from h2.config import H2Configuration
from h2.connection import H2Connection

from friesian_services.http2 import frames
from friesian_services.http2.connection import Connection
from friesian_services.http2.fields import written

ASKED = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", b"/a/b"), (b":authority", b"x")]
ANSWERED = [(b":status", b"200"), (b"content-type", b"application/grpc")]
TRAILERS = [(b"grpc-status", b"0")]
BLOCK = written(ASKED)


class Told:
    """Keeps what a connection tells."""

    def __init__(self):
        self.events = []

    def headers(self, stream, fields, ended):
        self.events.append(("headers", stream, fields, ended))

    def data(self, stream, data, ended):
        self.events.append(("data", stream, data, ended))

    def reset(self, stream, code):
        self.events.append(("reset", stream, code))

    def leaving(self, last_stream):
        self.events.append(("leaving", last_stream))

    def content(self, stream):
        """All of a stream's content, and how often its end was told."""
        mine = [event for event in self.events if event[1] == stream]
        content = b"".join(event[2] for event in mine if event[0] == "data")
        return content, sum(event[-1] is True for event in mine)


def ours(*, client=False):
    """Our side, and what it was told."""
    told = Told()
    return Connection(told, client=client), told


def begun(values=None):
    """A server whose client has sent its preface and settings, and what it was told; nothing is left to be sent."""
    server, told = ours()
    server.receive(frames.PREFACE + frames.settings(values or {}))
    server.outgoing()
    return server, told


def h2_peer(*, client):
    """h2's side."""
    peer = H2Connection(H2Configuration(client_side=client, header_encoding=None))
    peer.initiate_connection()
    return peer


def pass_on(connection, peer, cut=None):
    """Hand each side the other's bytes until both are silent; what h2 saw. `cut` tells where pieces end."""
    seen = []
    while True:
        to_us, to_peer = peer.data_to_send(), connection.outgoing()
        if not to_us and not to_peer:
            return seen
        for piece in pieces(to_us, cut):
            connection.receive(piece)
        for piece in pieces(to_peer, cut):
            seen += peer.receive_data(piece)


def pieces(data, cut):
    """The data in pieces; whole without `cut`."""
    while data:
        size = cut(len(data)) if cut else len(data)
        yield data[:size]
        data = data[size:]


def sent(data):
    """Our frames as (kind, flags, stream, payload)."""
    found = []
    while data:
        length = int.from_bytes(data[:3], "big")
        found.append((data[3], data[4], int.from_bytes(data[5:9], "big"), data[9 : 9 + length]))
        data = data[9 + length :]
    return found
