"""What a servicer is told of the call that it answers, and what it says of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NoReturn

import grpc

from friesian_services.http2.fields import Fields
from friesian_services.rpc.messages import CallError, Metadata, timeout_in


class CallContext:
    """As much of grpc.ServicerContext as servicers use, those of health and reflection included.

    Parameters
    ----------
    fields : Fields
        The request's headers.

    Raises
    ------
    CallError
        If its timeout is none.
    """

    __slots__ = ("_callbacks", "_code", "_details", "_fields", "_gone", "_trailing", "_until")

    def __init__(self, fields: Fields) -> None:
        self._fields = fields
        timeout = timeout_in(fields)
        self._until = None if timeout is None else time.monotonic() + timeout
        self._gone = False
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._trailing: Metadata = ()
        self._callbacks: list[Callable[[], None]] = []

    def sent(self, name: str) -> str | None:
        """What the caller sent along under a name, as text; of several values the last."""
        value = self._fields.get(name.encode())
        return None if value is None else value.decode("latin-1")

    def time_remaining(self) -> float | None:
        """Seconds that the caller still waits; None for one that waits forever."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def is_active(self) -> bool:
        """Whether the caller is still there."""
        return not self._gone

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """Have something called at the end of the call; False if it is over."""
        if self._gone:
            return False
        self._callbacks.append(callback)
        return True

    def set_trailing_metadata(self, metadata: Metadata) -> None:
        """What goes along with the status."""
        self._trailing = metadata

    def set_code(self, code: grpc.StatusCode) -> None:
        """The status, without ending the call."""
        self._code = code

    def set_details(self, details: str) -> None:
        """What the status says."""
        self._details = details

    def code(self) -> grpc.StatusCode | None:
        """The status, if one was set."""
        return self._code

    def details(self) -> str:
        """What it says."""
        return self._details

    def trailing_metadata(self) -> Metadata:
        """What goes along with it."""
        return self._trailing

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """End the call with a status.

        Raises
        ------
        CallError
            Always.
        """
        self._code, self._details = code, details
        raise CallError(code, details)

    def end(self) -> None:
        """The call is over, however it ended."""
        self._gone = True
        callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()
