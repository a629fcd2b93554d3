"""What the two transports share: how a request is sent, and what came of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

ANSWERED = "answered"
FALLBACK = "fallback"
TIMEOUT = "timeout"
UNREACHABLE = "cannot connect"

# Told once for each request: ANSWERED, FALLBACK (answered with the popular items), or the kind of the error.
Done = Callable[[str], None]


class Calls(Protocol):
    """A transport. `open_connections` and `waited` tell how many connections there are, and how many requests found
    none free."""

    open_connections: int
    waited: int

    async def open(self, connections: int) -> None:
        """Connect; an `UnavailableError` if nobody listens."""

    def render(self, user: int | str) -> bytes:
        """The request for one user, as bytes."""

    def send(self, request: bytes, done: Done) -> None:
        """Send now, or as soon as there is a connection; `done` is told within the time-out."""

    async def close(self) -> None:
        """Let the connections go."""
