"""What a transport makes of an error: one gRPC and one HTTP status for each class, in one table."""

from __future__ import annotations

from typing import NamedTuple

import grpc

from friesian_fast.errors import (
    FriesianError,
    InvalidInputError,
    MissingExtraError,
    NotFoundError,
    ReleaseError,
    SchemaMismatchError,
    UnavailableError,
)
from friesian_fast.recommend import TooFewCandidatesError


class PreconditionError(FriesianError):
    """A request that this release cannot be asked, whatever its values."""


class UnsupportedError(FriesianError):
    """A call of the original's protos that is answered in another way here."""


class DeadlineError(UnavailableError):
    """The caller's time was up."""


class Status(NamedTuple):
    """How an error is answered; `title` is what kind of failure it is."""

    code: grpc.StatusCode
    http: int
    title: str


# The first class that fits; subclasses stand before their bases.
STATUS: tuple[tuple[type[FriesianError], Status], ...] = (
    (TooFewCandidatesError, Status(grpc.StatusCode.FAILED_PRECONDITION, 400, "Invalid request")),
    (PreconditionError, Status(grpc.StatusCode.FAILED_PRECONDITION, 400, "Not possible with this release")),
    (SchemaMismatchError, Status(grpc.StatusCode.FAILED_PRECONDITION, 500, "Parts of different releases")),
    (ReleaseError, Status(grpc.StatusCode.FAILED_PRECONDITION, 500, "Release not usable")),
    (UnsupportedError, Status(grpc.StatusCode.UNIMPLEMENTED, 501, "Not offered")),
    (MissingExtraError, Status(grpc.StatusCode.UNIMPLEMENTED, 501, "Not installed")),
    (DeadlineError, Status(grpc.StatusCode.DEADLINE_EXCEEDED, 504, "Out of time")),
    (UnavailableError, Status(grpc.StatusCode.UNAVAILABLE, 503, "Not available")),
    (NotFoundError, Status(grpc.StatusCode.NOT_FOUND, 404, "Not found")),
    (InvalidInputError, Status(grpc.StatusCode.INVALID_ARGUMENT, 400, "Invalid request")),
    (FriesianError, Status(grpc.StatusCode.INTERNAL, 500, "Failed")),
)


def status_of(error: FriesianError) -> Status:
    """The row of the table."""
    return next(status for kind, status in STATUS if isinstance(error, kind))


def error_of(code: grpc.StatusCode, text: str) -> FriesianError:
    """The way back, at a client: what a stage behind the wire answered."""
    if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED):
        return UnavailableError(text)
    if code is grpc.StatusCode.DEADLINE_EXCEEDED:
        return DeadlineError(text)
    if code is grpc.StatusCode.FAILED_PRECONDITION:
        return ReleaseError(text)
    if code is grpc.StatusCode.NOT_FOUND:
        return NotFoundError(text)
    if code is grpc.StatusCode.INVALID_ARGUMENT:
        return InvalidInputError(text)
    return FriesianError(text)
