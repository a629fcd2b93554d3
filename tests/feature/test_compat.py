"""The names that old scripts import: the context, the file helpers, the checks."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from friesian_fast import compat
from friesian_fast.compat import OrcaContext, SafePickle, init_orca_context, invalidInputError, invalidOperationError
from friesian_fast.errors import FriesianError, InvalidInputError, NotFoundError, NotSupportedError

SCRIPT = """
import warnings
from friesian_fast.compat import init_orca_context, stop_orca_context, OrcaContext, FeatureTable, makedirs, exists

conf = {"spark.network.timeout": "10000000", "spark.sql.broadcastTimeout": "7200", "spark.task.cpus": "1",
        "spark.sql.shuffle.partitions": "3", "spark.driver.maxResultSize": "40G", "spark.app.name": "recsys-old",
        "spark.serializer": "org.apache.spark.serializer.KryoSerializer"}
with warnings.catch_warnings(record=True) as told:
    warnings.simplefilter("always")
    sc = init_orca_context("local", cores=1, memory="1g", num_nodes=2, init_ray_on_spark=True, conf=conf,
                           driver_memory="2g", object_store_memory="1g", spark_log_level="ERROR")
print(*sorted(text for text in (str(one.message) for one in told) if "Ray" in text or "num_nodes" in text), sep="\\n")
spark = OrcaContext.get_spark_session()
print(sc.appName, sc.master, spark.conf.get("spark.sql.shuffle.partitions"), sc.getConf().get("spark.driver.memory"))
print(OrcaContext.get_spark_context() is sc)
table = FeatureTable(spark.createDataFrame([("x",), ("y",)], ["a"]))
print(table.hash_encode("a", 10).to_list("a"))
stop_orca_context()
"""


def test_a_script_in_a_process_of_its_own():
    done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        "a local session has one node, so num_nodes=2 has no effect",
        "there is no Ray here: everything runs on Spark",
        "recsys-old local[1] 3 2g",
        "True",
        str([int(hashlib.md5(text).hexdigest(), 16) % 10 for text in (b"x", b"y")]),
    ]


def test_a_running_session_is_taken(spark):
    with pytest.warns(UserWarning, match="Spark runs already, so cluster_mode 'yarn' has no effect"):
        assert init_orca_context("yarn", cores=4) is spark.sparkContext
    assert init_orca_context() is spark.sparkContext
    assert OrcaContext.get_spark_session() is spark
    assert OrcaContext.get_sql_context() is spark


@pytest.fixture
def stopped(monkeypatch):
    """As if no session were active; what would be started is returned instead."""
    from pyspark.sql import SparkSession

    monkeypatch.setattr(SparkSession, "getActiveSession", classmethod(lambda cls: None))
    started = {}

    class Session:
        sparkContext = "context"  # noqa: N815 - Spark's name

    def get_session(master, **options):
        started.update(options, master=master)
        return Session

    monkeypatch.setattr(compat, "get_session", get_session)
    monkeypatch.delenv("HADOOP_CONF_DIR", raising=False)
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    return started


@pytest.mark.parametrize(
    ("arguments", "master", "options"),
    [
        ({}, f"local[{compat.processors()}]", {}),
        ({"cores": "*"}, f"local[{compat.processors()}]", {}),
        ({"cluster_mode": "local", "cores": 1, "conf": {"k": "v"}}, "local[1]", {"k": "v"}),
        (
            {"cluster_mode": "standalone", "master": "spark://h:7077", "cores": 4, "memory": "6g", "num_nodes": 3},
            "spark://h:7077",
            {
                "spark.executor.cores": "4",
                "spark.executor.memory": "6g",
                "spark.executor.instances": "3",
                "spark.cores.max": "12",
            },
        ),
        (
            {"cluster_mode": "yarn-client", "hadoop_conf": "/etc/hadoop", "driver_cores": 2, "jars": "a.jar"},
            "yarn",
            {"spark.driver.cores": "2", "spark.jars": "a.jar", "spark.executor.cores": "2"},
        ),
        (
            {"cluster_mode": "k8s", "master": "k8s://h", "container_image": "image:1"},
            "k8s://h",
            {"spark.kubernetes.container.image": "image:1", "spark.executor.instances": "1"},
        ),
        ({"cluster_mode": "spark-submit"}, f"local[{compat.processors()}]", {}),
    ],
)
def test_cluster_modes(stopped, monkeypatch, arguments, master, options):
    monkeypatch.setattr(os, "environ", dict(os.environ))
    assert init_orca_context(**arguments) == "context"
    assert stopped["master"] == master
    assert options.items() <= stopped["options"].items()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"cluster_mode": "mesos"}, "cluster_mode is 'mesos'; use local, standalone"),
        ({"cluster_mode": "standalone"}, "Please specify master for standalone mode"),
        ({"cluster_mode": "k8s", "master": "k8s://h"}, "Please specify container_image for k8s mode"),
        ({"cluster_mode": "yarn"}, "cluster_mode 'yarn' needs hadoop_conf, or HADOOP_CONF_DIR"),
        ({"cluster_mode": "yarn-cluster"}, "start the script with spark-submit --deploy-mode cluster"),
        ({"cores": "all"}, "cores is 'all'; give a number, or '\\*' for all"),
        ({"colour": "red"}, "init_orca_context knows no keyword 'colour'"),
        ({"runtime": "dask"}, "runtime is 'dask'; it must be spark or ray"),
    ],
)
def test_wrong_arguments_are_named(stopped, arguments, message):
    with pytest.raises(InvalidInputError, match=message):
        init_orca_context(**arguments)


def test_ray_is_not_there(stopped):
    with pytest.warns(UserWarning, match="there is no Ray here: everything runs on Spark"):
        init_orca_context(runtime="ray")
    with pytest.raises(NotSupportedError, match="there is no Ray here"):
        OrcaContext.get_ray_context()
    with pytest.raises(RuntimeError, match="No active SparkContext"):
        OrcaContext.get_spark_context()


def test_settable_attributes():
    assert OrcaContext.pandas_read_backend == "spark"
    assert OrcaContext.log_output is False


@pytest.mark.parametrize("name", ["dump", "dumps", "load", "loads"])
def test_pickle_is_refused(name):
    with pytest.raises(NotSupportedError, match=r"json\.dump"):
        getattr(SafePickle, name)({"a": 1}, None)


def test_checks():
    invalidInputError(True, "fine")
    with pytest.raises(RuntimeError, match="wrong; do this"):
        invalidInputError(False, "wrong", "do this")
    cause = ValueError("why")
    with pytest.raises(FriesianError, match="wrong") as raised:
        invalidOperationError(False, "wrong", cause=cause)
    assert raised.value.__cause__ is cause


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_files(tmp_path, scheme):
    base = f"{scheme}{tmp_path}/some/where"
    assert not compat.exists(base)
    compat.makedirs(base)
    compat.makedirs(base)
    assert compat.exists(base)
    assert not compat.is_file(base)
    assert compat.write_text(f"{base}/b.txt", "one\n  ünï \n") == 11
    assert compat.open_text(f"{base}/b.txt") == ["one", "ünï"]
    assert compat.is_file(f"{base}/b.txt")
    assert compat.get_remote_file_to_local(f"{base}/b.txt", str(tmp_path / "a.txt")) == 0
    assert compat.put_local_file_to_remote(str(tmp_path / "a.txt"), f"{base}/a.txt", filemode=0o600) == 0
    assert (tmp_path / "some" / "where" / "a.txt").stat().st_mode & 0o777 == 0o600
    assert compat.listdir(base) == ["a.txt", "b.txt"]
    with pytest.raises(InvalidInputError, match="exists; remove it, or pass over_write=True"):
        compat.get_remote_file_to_local(f"{base}/b.txt", str(tmp_path / "a.txt"))
    compat.get_remote_file_to_local(f"{base}/b.txt", str(tmp_path / "a.txt"), over_write=True)
    with pytest.raises(InvalidInputError, match="is not empty"):
        compat.rmdir(base)
    compat.makedirs(f"{base}/empty")
    compat.rmdir(f"{base}/empty")
    assert not compat.exists(f"{base}/empty")


def test_files_that_are_not_there(tmp_path):
    for function in (compat.open_text, compat.listdir, compat.load_numpy):
        with pytest.raises(NotFoundError, match="nowhere"):
            function(str(tmp_path / "nowhere"))
    with pytest.raises(NotFoundError, match="there is no file .*nowhere"):
        compat.get_remote_file_to_local(str(tmp_path / "nowhere"), str(tmp_path / "x"))
    with pytest.raises(InvalidInputError, match="strange://x cannot be used"):
        compat.exists("strange://x")


def test_arrays_without_pickles(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    assert compat.load_numpy(str(tmp_path / "a.npy")).tolist() == [0, 1, 2]
    np.save(tmp_path / "o.npy", np.array([{}], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        compat.load_numpy(str(tmp_path / "o.npy"))
