"""The SparkSession: local and cheap by default, any cluster by its master."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from friesian_fast.errors import InvalidInputError, MissingExtraError
from friesian_fast.feature.java import java_home

# Short jobs: the optimising compiler and the parallel collector cost more CPU than they give back. The fast exit of
# the first compiler is kept only for local masters, where the rows never pass through the JVM.
_LOCAL_JVM = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -XX:-UsePerfData -Xshare:auto"

_QUIET_LOG = """\
rootLogger.level = error
logger.gateway.name = org.apache.spark.api.python.PythonGatewayServer
logger.gateway.level = error
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n
"""


def get_session(
    master: str | None = None,
    *,
    app: str = "friesian",
    memory: str | None = None,
    options: Mapping[str, str] | None = None,
) -> Any:
    """The active SparkSession, or a new one.

    Parameters
    ----------
    master : str, optional
        A Spark master; by default ``local[N]`` with a thread per processor.
    app : str
    memory : str, optional
        The most heap the JVM of a local session may take, such as ``"6g"``.
    options : mapping of str to str, optional
        Further Spark settings; they win over ours.

    Returns
    -------
    pyspark.sql.SparkSession

    Raises
    ------
    MissingExtraError
        If pyspark is not installed.
    NoJavaError
        If there is no Java to run it on.
    InvalidInputError
        If Spark refuses the master or a setting.
    """
    try:
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise MissingExtraError("FeatureTable", "spark") from error
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    return _start(master or f"local[{processors()}]", app, memory, options or {})


def stop_session() -> None:
    """Stop the active session and wait for its JVM, so that nothing of it outlives this process."""
    from pyspark import SparkContext

    context = SparkContext._active_spark_context
    if context is None:
        return
    gateway = SparkContext._gateway
    context.stop()
    process = getattr(gateway, "proc", None)
    if gateway is None or process is None:  # a JVM that somebody else started
        return
    gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = None
    process.stdin.close()  # the JVM ends with its standard input
    process.wait()


def processors() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cluster_master(cluster_mode: str, master: str | None, cores: int) -> str:
    """The Spark master that the original's cluster flags mean.

    Parameters
    ----------
    cluster_mode : {"local", "standalone", "yarn", "spark-submit"}
    master : str or None
        Needed for standalone; wins everywhere else when given.
    cores : int
        Threads of a local session; more than there are processors are not used.
    """
    if cores < 1:
        raise InvalidInputError(f"--executor_cores is {cores}; it must be at least 1")
    if cluster_mode == "local":
        return master or f"local[{min(cores, processors())}]"
    if cluster_mode == "standalone":
        if not master:
            raise InvalidInputError("--cluster_mode standalone needs --master, such as spark://host:7077")
        return master
    if cluster_mode in ("yarn", "spark-submit"):
        return master or ("yarn" if cluster_mode == "yarn" else os.environ.get("MASTER", "local[*]"))
    raise InvalidInputError(f"--cluster_mode is '{cluster_mode}'; use local, standalone, yarn or spark-submit")


def cluster_options(master: str, cores: int, memory: str, executors: int) -> dict[str, str]:
    """Executor settings for a cluster; a local session has no executors of its own."""
    if not re.fullmatch(r"\d+[kmgtKMGT]?b?", memory):
        raise InvalidInputError(f"--executor_memory is '{memory}'; write a size such as 6g")
    if executors < 1:
        raise InvalidInputError(f"--num_executor is {executors}; it must be at least 1")
    if _is_local(master):
        return {}
    return {
        "spark.executor.cores": str(cores),
        "spark.executor.memory": memory,
        "spark.executor.instances": str(executors),
        "spark.cores.max": str(cores * executors),
    }


def _start(master: str, app: str, memory: str | None, options: Mapping[str, str]) -> Any:
    from pyspark.sql import SparkSession

    builder = SparkSession.builder.appName(app).master(master)
    for key, value in {**_settings(master, memory), **options}.items():
        builder = builder.config(key, value)
    _use_this_python(master)
    with _java_environment(), _log_settings() as log:
        if "spark.driver.extraJavaOptions" not in options:
            builder = builder.config(
                "spark.driver.extraJavaOptions", f"{log} {_LOCAL_JVM if _is_local(master) else ''}"
            )
        try:
            return builder.getOrCreate()
        except Exception as error:  # py4j has many kinds for a refused setting
            first_line = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise InvalidInputError(
                f"Spark did not start with master '{master}': {first_line}; check the master and its address"
            ) from error


def _use_this_python(master: str) -> None:
    """The workers must be a Python that has friesian_fast; on a cluster its owner may know another place for it."""
    for variable in ("PYSPARK_PYTHON", "PYSPARK_DRIVER_PYTHON"):
        if _is_local(master) or variable not in os.environ:
            os.environ[variable] = sys.executable


def _is_local(master: str) -> bool:
    return master == "local" or master.startswith("local[")


def _settings(master: str, memory: str | None) -> dict[str, str]:
    shared = {
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # Else timestamps of 96 bits, which other readers take for local times.
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    }
    if not _is_local(master):
        return shared
    local = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": str(2 * processors()),
        "spark.sql.catalogImplementation": "in-memory",
    }
    return {**shared, **local, **({"spark.driver.memory": memory} if memory else {})}


@contextmanager
def _log_settings() -> Iterator[str]:
    """The JVM option that names our log settings, a file that is only read at the start."""
    with tempfile.TemporaryDirectory(prefix="friesian-log-") as directory:
        log = Path(directory) / "log4j2.properties"
        log.write_text(_QUIET_LOG, encoding="utf-8")
        yield f"-Dlog4j2.configurationFile={log.as_uri()}"


@contextmanager
def _java_environment() -> Iterator[None]:
    """``JAVA_HOME`` as Spark's launcher needs it, for as long as it takes to start."""
    before = os.environ.get("JAVA_HOME")
    os.environ["JAVA_HOME"] = str(java_home())
    try:
        yield
    finally:
        if before is None:
            del os.environ["JAVA_HOME"]
        else:
            os.environ["JAVA_HOME"] = before
