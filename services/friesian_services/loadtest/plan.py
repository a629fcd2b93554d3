"""What a load test is asked to do."""

from __future__ import annotations

import ipaddress
import math
import socket
from dataclasses import dataclass
from typing import Literal, get_args

from friesian_fast.errors import InvalidInputError, UnavailableError

Protocol = Literal["http", "grpc", "grpc-original"]
Arrivals = Literal["poisson", "constant"]

PORTS: dict[str, int] = {"http": 8000, "grpc": 8980, "grpc-original": 8980}


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadPlan:
    """A load test.

    Parameters
    ----------
    protocol : {"http", "grpc", "grpc-original"}
        ``grpc`` is the call of ``friesian.v1``, ``grpc-original`` the original's.
    host : str
    port : int
    rate : float, optional
        Open loop: requests a second, sent whether or not the earlier ones are answered.
    clients : int, optional
        Closed loop: so many clients, each sending when its last request is answered. One of the two is given.
    arrivals : {"poisson", "constant"}
        Of the open loop.
    k, candidates : int
    duration_s, warmup_s : float
        What is measured, and what goes before and is not.
    timeout_s : float
        A request unanswered for so long is an error.
    connections : int
        In the open loop, connections at most; in the closed loop each client has its own.
    seed : int
        Of the users drawn and of the Poisson arrivals.
    """

    protocol: Protocol
    host: str
    port: int
    rate: float | None
    clients: int | None
    arrivals: Arrivals = "poisson"
    k: int = 10
    candidates: int = 50
    duration_s: float = 10.0
    warmup_s: float = 2.0
    timeout_s: float = 10.0
    connections: int = 256
    seed: int = 0

    def __post_init__(self) -> None:
        _one_of("--protocol", self.protocol, get_args(Protocol))
        _one_of("--arrivals", self.arrivals, get_args(Arrivals))
        if (self.rate is None) == (self.clients is None):
            raise InvalidInputError("give either --rate (open loop) or --clients (closed loop)")
        if self.rate is not None:
            _within("--rate", self.rate, 0.01, 1e6)
        if self.clients is not None:
            _within("--clients", self.clients, 1, 10_000)
        _within("--duration", self.duration_s, 0.1, 86_400)
        _within("--warmup", self.warmup_s, 0, 86_400)
        _within("--timeout", self.timeout_s, 0.01, 3600)
        _within("--connections", self.connections, 1, 10_000)
        _within("--k", self.k, 1, 2**31 - 1)
        _within("--candidates", self.candidates, 1, 2**31 - 1)

    @property
    def is_open(self) -> bool:
        """Whether arrivals do not wait for answers."""
        return self.rate is not None

    @property
    def most_connections(self) -> int:
        """How many connections there may be."""
        return self.connections if self.clients is None else self.clients


def address_of(target: str | None, protocol: Protocol, *, allow_remote: bool) -> tuple[str, int]:
    """Host and port of ``host:port``, or where `friesian serve all` listens.

    Raises
    ------
    InvalidInputError
        If it is not ``host:port``, or not on this machine and `allow_remote` is not set.
    UnavailableError
        If the host has no address.
    """
    _one_of("--protocol", protocol, get_args(Protocol))
    target = target or f"127.0.0.1:{PORTS[protocol]}"
    host, colon, port = target.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65_536:
        raise InvalidInputError(f"--target is '{target}'; it must be host:port, such as 127.0.0.1:{PORTS[protocol]}")
    if not allow_remote:
        _check_loopback(host)
    return host, int(port)


def _check_loopback(host: str) -> None:
    try:
        found = {str(entry[4][0]) for entry in socket.getaddrinfo(host, None)}
    except OSError as error:
        raise UnavailableError(f"--target: '{host}' has no address ({error.strerror or error})") from error
    remote = sorted(address for address in found if not ipaddress.ip_address(address.partition("%")[0]).is_loopback)
    if remote:
        raise InvalidInputError(
            f"--target: {host} is {remote[0]}, which is not this machine; a load test can take a service down, "
            "so another machine needs --allow-remote"
        )


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise InvalidInputError(f"{name} is '{value}'; use one of {', '.join(known)}")


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise InvalidInputError(f"{name} is {value:g}; it must be from {low:g} to {high:g}")
