"""Requests that an event loop answers itself, where nothing waits for a network."""

from __future__ import annotations

from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from friesian_services._pb import friesian_v1_pb2 as v1
from friesian_services._pb import recommender_pb2 as pb

# One user's request, whose id may have 1,024 characters; candidates that take longer than other calls should wait.
_SHORT_BYTES, _MANY = 4096, 1000


def is_short_of_original(request: bytes) -> bool:
    """Whether a request of the original's service is for one user and not for thousands of candidates."""
    if len(request) > _SHORT_BYTES:
        return False
    try:
        asked = pb.RecommendRequest.FromString(request)
    except DecodeError:  # its refusal is short
        return True
    return len(asked.ID) <= 1 and asked.candidateNum < _MANY


def is_short(request: bytes) -> bool:
    """The same of our own service, without explanation and filter."""
    if len(request) > _SHORT_BYTES:
        return False
    try:
        asked = v1.RecommendRequest.FromString(request)
    except DecodeError:
        return True
    users = len(asked.users.int64.values) + len(asked.users.string.values)
    return users <= 1 and asked.candidates < _MANY and not asked.explain and not asked.HasField("filter")
