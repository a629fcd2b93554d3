"""The services' settings: YAML with the original's keys, then the environment, then flags; then frozen."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from friesian_fast.errors import ConfigError, MissingExtraError, NotFoundError
from friesian_fast.store.redis import RedisServer

_log = logging.getLogger(__name__)

# All that the original parsed. What a service here has no use for is accepted with a warning.
# fmt: off
ORIGINAL_KEYS = (
    "servicePort", "monitorPort", "logInterval", "modelPath", "savedModelInputs", "modelParallelism",
    "threadPerModel", "inputAlreadyBatched", "coreNumberPerMachine", "redisUrl", "redisType",
    "redisSentinelMasterName", "redisSentinelMasterURL", "redisKeyPrefix", "redisClusterItemSlotType",
    "redisMaxMemory", "redisTimeout", "redisPoolMaxTotal", "serviceType", "userFeatureColumns",
    "itemFeatureColumns", "userModelPath", "itemModelPath", "indexPath", "indexDim", "inferenceColumns",
    "inferenceBatch", "itemIDColumn", "recallServiceURL", "featureServiceURL", "rankingServiceURL",
    "initialUserDataPath", "initialItemDataPath", "initialDataPath", "userIDColumn", "itemEmbeddingColumn",
    "part",
)
# fmt: on
_ENVIRONMENT = "FRIESIAN_"
# May hold a password, so that messages do not repeat the value.
_SECRET = ("redis_url", "redis_sentinel_master_url")


class ServiceConfig(BaseModel):
    """What every service takes.

    A port of 0 is a free one, which is then printed; -1 in ``servicePort`` is the default, as in the original.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    default_port: ClassVar[int] = 0

    release_path: Path
    host: str = "0.0.0.0"
    service_port: int = Field(default=-1, ge=-1, le=65535)
    monitor_port: int = Field(default=0, ge=0, le=65535)
    log_interval: int = 2
    drain_seconds: float = Field(default=30, ge=0)
    workers: int = Field(default=1, ge=1, le=256)

    @property
    def port(self) -> int:
        """The port to listen on."""
        return self.default_port if self.service_port == -1 else self.service_port


class StoreConfig(BaseModel):
    """Where rows are read from: the release, or Redis when `redisUrl` is set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    service_type: str = "kv"
    redis_url: str | None = None
    redis_type: Literal["standalone", "sentinel", "cluster"] = "standalone"
    redis_sentinel_master_name: str | None = None
    redis_sentinel_master_url: str = "localhost:26379"
    redis_key_prefix: str | None = None
    redis_cluster_item_slot_type: Literal[0, 1, 2] = 0

    @field_validator("service_type")
    @classmethod
    def _only_kv(cls, value: str) -> str:
        if value.replace(" ", "") != "kv":
            raise ValueError("only kv is offered: vectors are computed when a release is published")
        return value

    @property
    def redis(self) -> RedisServer | None:
        """The server, if rows come from Redis."""
        if self.redis_url is None and self.redis_type != "sentinel":
            return None
        return RedisServer(
            url=self.redis_url or "localhost:6379",
            kind=self.redis_type,
            sentinel_master=self.redis_sentinel_master_name,
            sentinel_url=self.redis_sentinel_master_url,
            item_slot_type=self.redis_cluster_item_slot_type,
        )


class MemoryConfig(BaseModel):
    """How a service holds the release's rows and index: mapped, or copied into huge pages, by each process."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    huge_pages: bool = False


class FeatureConfig(ServiceConfig, StoreConfig, MemoryConfig):
    """The feature service."""

    default_port: ClassVar[int] = 8082


class FeatureRecallConfig(FeatureConfig):
    """The feature service that holds the vectors."""

    default_port: ClassVar[int] = 8085


class RankingConfig(ServiceConfig):
    """The ranking service. As many calls are scored at once as the original would keep copies of the model."""

    default_port: ClassVar[int] = 8083

    model_path: Path | None = None
    saved_model_inputs: str | None = None
    model_parallelism: int | None = Field(default=None, ge=1)
    core_number_per_machine: int = -1

    @property
    def calls_at_once(self) -> int:
        """Threads that score."""
        return self.core_number_per_machine if self.core_number_per_machine > 0 else self.model_parallelism or 8


class RecallConfig(ServiceConfig, MemoryConfig):
    """The recall service."""

    default_port: ClassVar[int] = 8084

    index_path: Path | None = None
    index_dim: int | None = None
    feature_service_url: str = "localhost:8085"


class FrontConfig(BaseModel):
    """What the HTTP front takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    http_port: int = Field(default=8000, ge=-1, le=65535)
    compat_status: bool = False


class RecommenderConfig(ServiceConfig, FrontConfig):
    """The recommender, on gRPC and HTTP; an `httpPort` of -1 leaves HTTP out."""

    default_port: ClassVar[int] = 8980

    recall_service_url: str = "localhost:8084"
    feature_service_url: str = "localhost:8082"
    ranking_service_url: str = "localhost:8083"
    inference_columns: str | list[str] | None = None
    inference_batch: int = Field(default=0, ge=0)


class AllConfig(ServiceConfig, StoreConfig, MemoryConfig, FrontConfig):
    """All stages in one process."""

    default_port: ClassVar[int] = 8980

    model_path: Path | None = None
    index_path: Path | None = None
    index_dim: int | None = None
    inference_columns: str | list[str] | None = None


Config = TypeVar("Config", bound=BaseModel)
ServiceSettings = TypeVar("ServiceSettings", bound=ServiceConfig)

# Services may share a file: what only another one uses is no mistake.
_ELSEWHERE = {key.lower() for key in ORIGINAL_KEYS} | {
    name.replace("_", "") for kind in (AllConfig, RecommenderConfig) for name in kind.model_fields
}


def load_config(kind: type[Config], path: Path | None, flags: Mapping[str, Any]) -> Config:
    """Read the settings of one service.

    Parameters
    ----------
    kind : type
        The service's model.
    path : Path or None
        The YAML file, whose keys may be in any case.
    flags : mapping
        By field name; None means not given.

    Raises
    ------
    NotFoundError
        If the file is not there.
    ConfigError
        If a key is unknown or a value is not accepted; it names the key and where it stands.
    """
    fields = {name.replace("_", ""): name for name in kind.model_fields}
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(name: str, value: Any, source: str) -> None:
        values[name], sources[name] = value, source

    for key, value in ({} if path is None else _known(kind, _read(path), path)).items():
        if value is not None:
            take(fields[key.lower()], value, f"key '{key}' of {path}")
    for variable, text in os.environ.items():
        name = fields.get(variable[len(_ENVIRONMENT) :].lower().replace("_", ""))
        if variable.startswith(_ENVIRONMENT) and name is not None:
            take(name, text, f"environment variable {variable}")
    for name, value in flags.items():
        if value is not None:
            take(name, value, f"flag --{name.replace('_', '-')}")
    if "release_path" not in values:
        where = f"{path}" if path is not None else "a YAML file (-c)"
        raise ConfigError(f"releasePath is missing: set it in {where}, in FRIESIAN_RELEASEPATH or by --release-path")
    return _validated(kind, values, sources)


def _known(kind: type[BaseModel], data: Mapping[Any, Any], path: Path) -> Mapping[str, Any]:
    """The keys that this service uses; the others warned about or refused."""
    fields = {name.replace("_", "") for name in kind.model_fields}
    known = {}
    for key, value in data.items():
        if str(key).lower() in fields:
            known[str(key)] = value
        elif str(key).lower() in _ELSEWHERE:
            _log.warning("%s: key '%s' is accepted, but nothing here uses it", path, key)
        else:
            raise ConfigError(f"{path} has the unknown key '{key}'; known here are {', '.join(_shown(kind))}")
    return known


def _validated(kind: type[Config], values: Mapping[str, Any], sources: Mapping[str, str]) -> Config:
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else ""
        what = first["msg"].removeprefix("Value error, ")
        shown = "" if name in _SECRET else f" is {values.get(name)!r}"
        raise ConfigError(f"{sources.get(name, name)}{shown}: {what}") from error


def _read(path: Path) -> Mapping[Any, Any]:
    try:
        import yaml
    except ImportError as error:
        raise MissingExtraError("reading a service's configuration", "serve") from error
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no configuration at {path}; give one with -c") from error
    except yaml.MarkedYAMLError as error:  # its own text repeats the line, which may hold a password
        place = "" if error.problem_mark is None else f" in line {error.problem_mark.line + 1}"
        raise ConfigError(f"{path} cannot be read as YAML: {error.problem}{place}") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as YAML: {error}") from error
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold keys and values, not {type(data).__name__}")
    return data


def _shown(kind: type[BaseModel]) -> list[str]:
    """The fields as keys: the original's spelling where it has one."""
    original = {key.lower(): key for key in ORIGINAL_KEYS}
    keys = []
    for name in kind.model_fields:
        first, *rest = name.split("_")
        keys.append(original.get(name.replace("_", ""), first + "".join(part.title() for part in rest)))
    return keys
