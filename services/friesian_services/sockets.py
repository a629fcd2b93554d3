"""Sockets that are bound before anything is answered."""

from __future__ import annotations

import socket

from friesian_fast.errors import UnavailableError

# Connections that the system holds until they are looked at.
BACKLOG = 1024


def bound_socket(host: str, port: int, *, share_port: bool = False) -> socket.socket:
    """A listening TCP socket.

    Raises
    ------
    UnavailableError
        If the port is taken, or shared by another server.
    """
    listener = _socket(host)
    if share_port:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise UnavailableError(_taken(host, port)) from error
    return listener


def reserved_socket(host: str, port: int) -> socket.socket:
    """A TCP socket that holds a port for workers who share it: nobody else can have it, and nothing reaches this one.

    Raises
    ------
    UnavailableError
        If the port is taken.
    """
    holder = _socket(host)
    try:
        holder.bind((host, port))  # alone; sharing begins afterwards
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        # Others who reuse addresses would be let in as long as nobody listens.
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    except OSError as error:
        holder.close()
        raise UnavailableError(_taken(host, port)) from error
    return holder


def _socket(host: str) -> socket.socket:
    made = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)  # else a client whose machine is gone stays for ever
    return made


def _taken(host: str, port: int) -> str:
    return f"cannot listen on {host}:{port}: is the port in use? Stop what holds it, or choose another port"
