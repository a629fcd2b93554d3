"""The names that scripts of the original import besides its tables: Orca's context, file helpers, checks.

An old script runs when its ``bigdl`` imports name this module instead; see ``docs/migrating.md``. Files are reached
through ``pyarrow.fs``, so S3 and HDFS paths need no other library.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError, NotFoundError, NotSupportedError
from friesian_fast.feature import FeatureTable, StringIndex, TargetCode
from friesian_fast.feature.session import cluster_options, get_session, processors, stop_session
from friesian_fast.feature.table import Table

__all__ = [
    "FeatureTable",
    "OrcaContext",
    "SafePickle",
    "StringIndex",
    "Table",
    "TargetCode",
    "exists",
    "get_remote_file_to_local",
    "init_orca_context",
    "invalidInputError",
    "invalidOperationError",
    "is_file",
    "listdir",
    "load_numpy",
    "makedirs",
    "open_text",
    "put_local_file_to_remote",
    "rmdir",
    "stop_orca_context",
    "write_text",
]

# Settings of the original's cluster modes that Spark knows by another name.
_SPARK_NAMES = {
    "additional_archive": "spark.archives",
    "container_image": "spark.kubernetes.container.image",
    "driver_cores": "spark.driver.cores",
    "driver_memory": "spark.driver.memory",
    "extra_python_lib": "spark.submit.pyFiles",
    "jars": "spark.jars",
    "penv_archive": "spark.archives",
    "python_location": "spark.pyspark.python",
    "spark_yarn_archive": "spark.yarn.archive",
}
_OTHERS = {"conf", "hadoop_conf", "hadoop_user_name", "master", "spark_log_level"}
# Of Ray, conda and the original's own scripts: accepted, without effect.
_WITHOUT_EFFECT = {
    "conda_name",
    "enable_numa_binding",
    "env",
    "extra_executor_memory_for_ray",
    "extra_params",
    "include_webui",
    "num_ray_nodes",
    "object_store_memory",
    "ray_node_cpu_cores",
    "redirect_spark_log",
    "system_config",
    "verbose",
}
_MODES = "local, standalone, yarn, yarn-client, k8s, k8s-client, spark-submit or bigdl-submit"


def init_orca_context(
    cluster_mode: str | None = None,
    runtime: str = "spark",
    cores: int | str | None = None,
    memory: str = "2g",
    num_nodes: int = 1,
    init_ray_on_spark: bool = False,
    init_executor_gateway: bool = True,
    **kwargs: Any,
) -> Any:
    """Start Spark, or take the session that is active.

    Parameters
    ----------
    cluster_mode : str, optional
        local (the default), standalone, yarn, yarn-client, k8s, k8s-client, spark-submit or bigdl-submit.
    runtime : {"spark", "ray"}
        There is no Ray here: ``"ray"`` warns, and runs on Spark.
    cores : int or "*", optional
        Of each node; by default, and by "*", all locally, 2 elsewhere. Locally never more than there are.
    memory : str
        Of each node; locally the JVM's heap.
    num_nodes : int
        Executors of a cluster.
    init_ray_on_spark : bool
        Warns if true.
    init_executor_gateway : bool
        Has no effect.
    **kwargs
        ``conf`` (dict of Spark settings), ``master``, ``driver_cores``, ``driver_memory``, ``jars``, ``hadoop_conf``
        and the other keywords of the original.

    Returns
    -------
    pyspark.SparkContext

    Raises
    ------
    InvalidInputError
        If the mode or a keyword is not known, or a mode lacks what it needs.
    """
    from pyspark.sql import SparkSession

    unknown = sorted(set(kwargs) - {*_SPARK_NAMES, *_OTHERS, *_WITHOUT_EFFECT})
    if unknown:
        raise InvalidInputError(
            f"init_orca_context knows no keyword '{unknown[0]}'; pass Spark settings as conf={{...}}"
        )
    if isinstance(cores, str) and cores != "*":
        raise InvalidInputError(f"cores is '{cores}'; give a number, or '*' for all")
    if runtime == "ray" or init_ray_on_spark:
        warnings.warn("there is no Ray here: everything runs on Spark", stacklevel=2)
    elif runtime != "spark":
        raise InvalidInputError(f"runtime is '{runtime}'; it must be spark or ray")
    active = SparkSession.getActiveSession()
    if active is not None:
        if cluster_mode not in (None, "spark-submit", "bigdl-submit"):
            warnings.warn(f"Spark runs already, so cluster_mode '{cluster_mode}' has no effect", stacklevel=2)
        return active.sparkContext
    count = cores if isinstance(cores, int) else None
    context = _start((cluster_mode or "local").lower(), count, memory, num_nodes, kwargs)
    if "spark_log_level" in kwargs:
        context.setLogLevel(kwargs["spark_log_level"])
    return context


def stop_orca_context() -> None:
    """Stop Spark, if it runs."""
    stop_session()


class OrcaContext:
    """The running context; the settable attributes of the original are kept, and have no effect."""

    log_output = False
    pandas_read_backend = "spark"
    serialize_data_creator = False
    train_data_store = "DRAM"
    barrier_mode = True
    _eager_mode = True
    _shard_size: int | None = None

    @staticmethod
    def get_spark_session() -> Any:
        """The active SparkSession.

        Raises
        ------
        InvalidInputError
            If there is none.
        """
        from pyspark.sql import SparkSession

        active = SparkSession.getActiveSession()
        if active is None:
            raise InvalidInputError("No active SparkContext. Please create a SparkContext first: init_orca_context()")
        return active

    @staticmethod
    def get_spark_context() -> Any:
        """The SparkContext of the active session."""
        return OrcaContext.get_spark_session().sparkContext

    get_sql_context = get_spark_session

    @staticmethod
    def get_ray_context() -> Any:
        """Always an error."""
        raise NotSupportedError("there is no Ray here; use OrcaContext.get_spark_context()")


class SafePickle:
    """Always an error: what is loaded here may not execute."""

    @staticmethod
    def _refuse(*arguments: Any, **options: Any) -> Any:
        raise NotSupportedError(
            "SafePickle is pickle, which executes what it loads; write dicts and lists with json.dump and read them "
            "with json.load, tables with write_parquet, and a StringIndex with its write_parquet"
        )

    dump = dumps = load = loads = _refuse


def invalidInputError(condition: Any, errMsg: str, fixMsg: str | None = None) -> None:  # noqa: N802 - the original's
    """Raise an `InvalidInputError`, which is a RuntimeError, unless the condition holds."""
    if not condition:
        raise InvalidInputError(f"{errMsg}; {fixMsg}" if fixMsg else errMsg)


def invalidOperationError(  # noqa: N802 - the original's
    condition: Any, errMsg: str, fixMsg: str | None = None, cause: BaseException | None = None
) -> None:
    """`invalidInputError`, with the error that caused it."""
    try:
        invalidInputError(condition, errMsg, fixMsg)
    except InvalidInputError as error:
        raise error from cause


def exists(path: str) -> bool:
    """Whether there is a file or directory."""
    with _located(path) as (system, place):
        return bool(system.get_file_info(place).type.name != "NotFound")


def is_file(path: str) -> bool:
    """Whether there is a file."""
    with _located(path) as (system, place):
        return bool(system.get_file_info(place).is_file)


def listdir(path: str) -> list[str]:
    """The names in a directory, sorted."""
    from pyarrow.fs import FileSelector

    with _located(path) as (system, place):
        return sorted(info.base_name for info in system.get_file_info(FileSelector(place)))


def makedirs(path: str) -> None:
    """Make a directory and those above it; nothing happens if it is there."""
    with _located(path) as (system, place):
        system.create_dir(place, recursive=True)


def rmdir(path: str) -> None:
    """Remove an empty directory."""
    if listdir(path):
        raise InvalidInputError(f"{path} is not empty; remove what is in it first")
    with _located(path) as (system, place):
        system.delete_dir(place)


def write_text(path: str, text: str) -> int:
    """Write a text file in UTF-8; returns the number of characters."""
    with _located(path) as (system, place), system.open_output_stream(place) as file:
        file.write(text.encode())
    return len(text)


def open_text(path: str) -> list[str]:
    """The lines of a text file in UTF-8, without white space around them."""
    with _located(path) as (system, place), system.open_input_stream(place) as file:
        return [line.strip() for line in file.read().decode().splitlines()]


def load_numpy(path: str) -> Any:
    """The array of a ``.npy`` file, or the arrays of a ``.npz``; pickled objects in it are refused."""
    import io

    import numpy as np

    with _located(path) as (system, place), system.open_input_stream(place) as file:
        return np.load(io.BytesIO(file.read()), allow_pickle=False)


def get_remote_file_to_local(remote_path: str, local_path: str, over_write: bool = False) -> int:
    """Copy a file from any file system to this machine; returns 0."""
    return _copy(remote_path, local_path, over_write)


def put_local_file_to_remote(
    local_path: str, remote_path: str, filemode: int | None = None, over_write: bool = False
) -> int:
    """Copy a file of this machine to any file system; returns 0. `filemode` has an effect on local targets only."""
    _copy(local_path, remote_path, over_write)
    target = remote_path.removeprefix("file://")
    if filemode is not None and "://" not in target:
        Path(target).chmod(filemode)
    return 0


def _start(mode: str, cores: int | None, memory: str, num_nodes: int, given: Mapping[str, Any]) -> Any:
    settings = dict(given.get("conf") or {})
    for name, key in _SPARK_NAMES.items():
        if given.get(name) is not None:
            value = (
                f"{settings[key]},{given[name]}" if name == "additional_archive" and key in settings else given[name]
            )
            settings.setdefault(key, str(value))
    if given.get("hadoop_user_name"):
        os.environ["HADOOP_USER_NAME"] = str(given["hadoop_user_name"])
    app = str(settings.pop("spark.app.name", "friesian"))
    if mode in ("spark-submit", "bigdl-submit") and "PYSPARK_GATEWAY_PORT" in os.environ:
        from pyspark.sql import SparkSession

        return SparkSession.builder.appName(app).getOrCreate().sparkContext  # all settings are spark-submit's
    master = _master(mode, cores, given)
    if mode == "local" and num_nodes > 1:
        warnings.warn(f"a local session has one node, so num_nodes={num_nodes} has no effect", stacklevel=3)
    options = {**cluster_options(master, cores or 2, memory, num_nodes), **settings}
    return get_session(master, app=app, memory=memory, options=options).sparkContext


def _master(mode: str, cores: int | None, given: Mapping[str, Any]) -> str:
    master = given.get("master")
    if mode in ("local", "spark-submit", "bigdl-submit"):
        return str(master or f"local[{min(cores or processors(), processors())}]")
    if mode in ("yarn-cluster", "k8s-cluster"):
        raise InvalidInputError(
            f"cluster_mode '{mode}' runs the driver on the cluster: start the script with spark-submit "
            "--deploy-mode cluster, and use cluster_mode='spark-submit'"
        )
    if mode in ("yarn", "yarn-client"):
        if given.get("hadoop_conf"):
            os.environ["HADOOP_CONF_DIR"] = str(given["hadoop_conf"])
        if not os.environ.get("HADOOP_CONF_DIR"):
            raise InvalidInputError(f"cluster_mode '{mode}' needs hadoop_conf, or HADOOP_CONF_DIR in the environment")
        return "yarn"
    needed = {
        "standalone": ("master",),
        "k8s": ("master", "container_image"),
        "k8s-client": ("master", "container_image"),
    }
    if mode not in needed:
        raise InvalidInputError(f"cluster_mode is '{mode}'; use {_MODES}")
    for name in needed[mode]:
        if not given.get(name):
            raise InvalidInputError(f"Please specify {name} for {mode} mode")
    return str(master)


@contextmanager
def _located(path: str) -> Any:
    """A pyarrow file system and the place in it; errors name the path."""
    import pyarrow as pa
    from pyarrow.fs import FileSystem, LocalFileSystem

    text = str(path)
    try:
        if "://" not in text:
            yield LocalFileSystem(), str(Path(text).expanduser().absolute())
        else:
            scheme, _, rest = text.partition("://")
            yield FileSystem.from_uri(f"{'s3' if scheme in ('s3a', 's3n') else scheme}://{rest}")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no file or directory {text}; correct the path") from error
    except (OSError, pa.ArrowException) as error:
        raise InvalidInputError(f"{text} cannot be used: {error}") from error


def _copy(source: str, target: str, over_write: bool) -> int:
    from pyarrow.fs import copy_files

    if not over_write and exists(target):
        raise InvalidInputError(f"{target} exists; remove it, or pass over_write=True")
    with _located(source) as (from_system, from_place), _located(target) as (to_system, to_place):
        if not from_system.get_file_info(from_place).is_file:
            raise NotFoundError(f"there is no file {source}; correct the path")
        copy_files(from_place, to_place, source_filesystem=from_system, destination_filesystem=to_system)
    return 0
