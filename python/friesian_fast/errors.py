"""Every failure has a name; each says what was wrong, where, and what to do.

The services map these to one gRPC and one HTTP status each; nothing here knows a transport.
"""

from __future__ import annotations


class FriesianError(RuntimeError):
    """Base of every error that friesian_fast raises on purpose."""


class InvalidInputError(FriesianError, ValueError):
    """An argument, column, file or value that cannot be used as given."""


class NotFoundError(FriesianError, LookupError):
    """An id, file or release that is not there."""


class ReleaseError(FriesianError):
    """A release that is incomplete, altered or of another version than this code reads."""


class ReleaseMismatchError(ReleaseError):
    """Two parts that belong to different releases."""


class SchemaMismatchError(FriesianError):
    """Rows, an index or a model made under another FeatureSpec than the one in use."""


class UnavailableError(FriesianError):
    """A store or service that cannot be reached now; trying again may help."""


class UnsupportedRuntimeError(FriesianError):
    """A ranking runtime or precision that is unknown, or that this machine cannot run."""


class WorkerError(FriesianError):
    """A process of a training that died or failed; the message names its rank."""


class WorkerLostError(WorkerError):
    """A process of a training that died or no longer answers; beginning again at the last checkpoint may help."""


class QualityGateError(FriesianError):
    """A release that falls short of what was required of it."""


class ConfigError(InvalidInputError):
    """A configuration key or value that is not accepted."""


class NotSupportedError(FriesianError):
    """Something of the original that is left out on purpose; the message says what to use instead."""


class MissingExtraError(FriesianError, ImportError):
    """An optional dependency that is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f"{feature} needs the '{extra}' extra: pip install 'friesian-fast[{extra}]'")
