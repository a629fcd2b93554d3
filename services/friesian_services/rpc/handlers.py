"""Which handler answers which path."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from friesian_services.interceptor import CallInterceptor


class Servicer(NamedTuple):
    """A servicer, what registers it, the full name of its service, and which of its requests take no time.

    Those, and those for which `is_short` says so by their bytes, are answered by the event loop itself: handing them to
    another thread and back costs more. A request that waits for a network or for many users has to be none of them.
    """

    add: Callable[[Any, Any], None]
    servicer: Any
    name: str
    is_short: Callable[[bytes], bool] | None = None


def always(message: bytes) -> bool:
    """For servicers whose requests are all short."""
    return True


class Found(NamedTuple):
    """A handler, and which of its requests are short."""

    handler: Any
    is_short: Callable[[bytes], bool] | None


class Handlers:
    """What generated code registers servicers with, in the place of a server.

    Parameters
    ----------
    interceptor : CallInterceptor
    """

    def __init__(self, interceptor: CallInterceptor) -> None:
        self._interceptor = interceptor
        self._found: dict[bytes, Found] = {}
        self._is_short: Callable[[bytes], bool] | None = None

    def add(self, servicer: Servicer) -> None:
        """Register one."""
        self._is_short = servicer.is_short
        servicer.add(servicer.servicer, self)

    def add_generic_rpc_handlers(self, handlers: Iterable[Any]) -> None:
        """Called by generated code, which then registers the same by their names."""

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Any]) -> None:
        """Called by generated code."""
        for method, handler in handlers.items():
            path = f"/{service}/{method}"
            self._found[path.encode()] = Found(self._interceptor.wrapped(handler, path), self._is_short)

    def find(self, path: bytes) -> Found | None:
        """The handler of a path; None where there is none."""
        return self._found.get(path)
