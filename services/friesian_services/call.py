"""What belongs to the call being answered: its deadline and its id, handed on to every stage it reaches."""

from __future__ import annotations

import time
import uuid
from contextvars import ContextVar

from friesian_services.errors import DeadlineError

REQUEST_ID = "x-request-id"

# On the clock of time.monotonic(); None for a caller that waits forever.
deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
request_id: ContextVar[str] = ContextVar("request_id", default="-")


def begin(remaining_s: float | None, caller_id: str | None) -> None:
    """Set both for this thread's call; one without an id gets one."""
    deadline.set(None if remaining_s is None else time.monotonic() + remaining_s)
    request_id.set(caller_id or uuid.uuid4().hex[:16])


def remaining() -> float | None:
    """Seconds left.

    Raises
    ------
    DeadlineError
        If none is.
    """
    until = deadline.get()
    if until is None:
        return None
    left = until - time.monotonic()
    if left <= 0:
        raise DeadlineError("the caller's deadline has passed")
    return left
