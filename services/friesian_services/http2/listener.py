"""What a connection needs of whom it serves."""

from __future__ import annotations

from typing import Protocol

from friesian_services.http2.fields import Fields


class Listener(Protocol):
    """Whom a connection tells what has come. What it sends in answer goes out in the order it was sent."""

    def headers(self, stream: int, fields: Fields, ended: bool) -> None:
        """A stream's first headers, or at a client its trailers."""
        ...

    def data(self, stream: int, data: bytes, ended: bool) -> None:
        """A piece of a stream's content."""
        ...

    def reset(self, stream: int, code: int) -> None:
        """The peer has given a stream up."""
        ...

    def leaving(self, last_stream: int) -> None:
        """The peer takes no new streams, and has not looked at those above that one."""
        ...
