"""The command as a stranger meets it: help everywhere, named failures, nothing heavy until it is needed."""

import socket
import subprocess
import sys

import pytest
from tests.services.processes import free_port

GROUPS = [(), ("serve",), ("recsys2021",), ("online_retail",)]
STEPS = [
    ("demo",),
    ("evaluate",),
    ("publish",),
    ("load-redis",),
    ("loadtest",),
    ("recsys2021", "generate"),
    ("recsys2021", "preprocess"),
    ("recsys2021", "train_wnd"),
    ("recsys2021", "train_two_tower"),
    ("recsys2021", "predict_two_tower"),
    ("recsys2021", "publish"),
    ("online_retail", "prepare"),
    ("online_retail", "train"),
    ("online_retail", "publish"),
    ("online_retail", "report"),
]


def friesian(*arguments, **options):
    command = [sys.executable, "-m", "friesian_fast.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, **options)


@pytest.mark.parametrize("command", [*GROUPS, ("serve", "all"), ("serve", "recall")], ids=" ".join)
def test_help(command):
    done = friesian(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout
    assert "completion" not in done.stdout


@pytest.mark.parametrize("command", STEPS, ids=" ".join)
def test_the_help_of_a_step_gives_an_example(command):
    done = friesian(*command, "--help")
    assert done.returncode == 0, done.stderr
    assert "Example: " in done.stdout


def test_help_of_the_whole_imports_nothing_heavy():
    code = """
import sys
from friesian_fast.cli.main import app
app(["--help"], standalone_mode=False)
print([name for name in ("pyarrow", "tensorflow", "pyspark", "grpc", "onnxruntime") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_an_unknown_command_is_refused():
    done = friesian("recomend")
    assert done.returncode == 2
    assert "recomend" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("recsys2021", "preprocess", "--data_dir", "nowhere"), "nowhere"),
        (("publish", "-c", "nowhere.yaml", "--releases", "releases"), "nowhere.yaml"),
        (("serve", "all", "--releases", "nowhere"), "nowhere"),
    ],
)
def test_a_named_failure_is_one_line_and_status_1(tmp_path, arguments, message):
    done = friesian(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("option", "other"), [("--http-port", "--grpc-port"), ("--grpc-port", "--http-port")])
def test_the_demo_finds_a_taken_port_before_it_works(tmp_path, option, other):
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ports = (option, str(port), other, str(free_port()))
        done = friesian("demo", "--once", "--dir", str(tmp_path / "demo"), *ports)
    assert done.returncode == 1
    assert f"error: port {port} is in use" in done.stderr
    assert option in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_missing_package_names_the_extra_that_brings_it():
    code = """
import sys
sys.modules["pyarrow"] = None  # as if it were not installed
from friesian_fast.cli.main import main
sys.argv = ["friesian", "recsys2021", "generate", "10", "out"]
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'friesian-fast[spark]'" in done.stderr


@pytest.mark.parametrize(
    ("failure", "message"),
    [
        ("OSError(28, 'No space left on device', 'out/x')", "error: cannot use out/x: No space left on device; check"),
        ("ModuleNotFoundError('no', name='faiss.swigfaiss')", "pip install 'friesian-fast[recall]'"),
        ("ModuleNotFoundError('no', name='ours')", "Traceback"),
        ("KeyError('ours')", "Traceback"),
    ],
)
def test_only_what_the_user_can_mend_is_told_in_one_line(failure, message):
    code = f"""
from friesian_fast.cli.errors import reported
@reported
def command():
    raise {failure}
command()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert (len(done.stderr.splitlines()) == 1) == ("Traceback" not in message)


def test_an_unknown_simd_level_is_named():
    code = "import numpy as np; from friesian_fast.hashing import md5_bucket; md5_bucket(np.array(['a']), 10)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"FRIESIAN_SIMD_LEVEL": "sse9"},
    )
    assert done.returncode != 0
    assert "FRIESIAN_SIMD_LEVEL is 'sse9'; it must be one of scalar, avx2, avx512" in done.stderr
