"""What belongs to the call being answered: its deadline and its id, handed on to every stage it reaches."""

from __future__ import annotations

import itertools
import os
import re
import time
from contextvars import ContextVar
from typing import Any

from friesian_services.errors import DeadlineError

REQUEST_ID = "x-request-id"

# What headers, metadata and log lines can all carry.
_USABLE_ID = re.compile(r"[!-~]{1,128}")

# An id that is made here names the process and counts its calls: to draw each at random costs more.
_PROCESS = os.urandom(8).hex()
_calls = itertools.count(1)

# On the clock of time.monotonic(); None for a caller that waits forever.
deadline: ContextVar[float | None] = ContextVar("deadline", default=None)
request_id: ContextVar[str] = ContextVar("request_id", default="-")


def begin(remaining_s: float | None, caller_id: str | None) -> None:
    """Set both for this context's call; one without an id that can be handed on gets a new one."""
    if remaining_s is not None or deadline.get() is not None:
        deadline.set(None if remaining_s is None else time.monotonic() + remaining_s)
    if caller_id is None or not _USABLE_ID.fullmatch(caller_id):
        caller_id = f"{_PROCESS}-{next(_calls)}"
    request_id.set(caller_id)


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


def require_waiting(context: Any) -> None:
    """Go on only while the gRPC caller waits: it may have gone, or its time may be up.

    Raises
    ------
    DeadlineError
        If nobody waits.
    """
    remaining()
    if not context.is_active():
        raise DeadlineError("the caller has gone")
