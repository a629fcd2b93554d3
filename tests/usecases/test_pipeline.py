"""The demo's step runner: each step once, a killed one again, nobody beside it."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from friesian_fast.errors import FriesianError
from friesian_fast.usecases.pipeline import Step, exclusive, run_pipeline

STEP_MODULE = """
import pathlib, sys, time
name, *rest = sys.argv[1:]
with open("log", "a") as log:
    log.write(name + "\\n")
if "fail" in rest:
    sys.exit(3)
if "hang" in rest and not pathlib.Path("unhang").exists():
    pathlib.Path("hanging").write_text(str(__import__("os").getpid()))
    time.sleep(60)
pathlib.Path(name + ".out").write_text(name)
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "step_module.py").write_text(STEP_MODULE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "modules"))
    return tmp_path


def step(name, *arguments):
    return Step(name=name, module="step_module", arguments=(name, *arguments), outputs=(f"{name}.out",))


def log(home):
    path = home / "log"
    return path.read_text().split() if path.exists() else []


def test_runs_in_order_and_reuses_what_is_done(home):
    steps = [step("a"), step("b")]
    first = list(run_pipeline(steps, home))
    second = list(run_pipeline(steps, home))
    assert [(cost.name, cost.reused) for cost in first] == [("a", False), ("b", False)]
    assert [(cost.name, cost.reused) for cost in second] == [("a", True), ("b", True)]
    assert [cost.cpu_s for cost in second] == [pytest.approx(cost.cpu_s, abs=0.01) for cost in first]
    assert log(home) == ["a", "b"]


def test_a_changed_argument_runs_that_step_and_all_after_it(home):
    list(run_pipeline([step("a"), step("b"), step("c")], home))
    costs = list(run_pipeline([step("a"), step("b", "changed"), step("c")], home))
    assert [cost.reused for cost in costs] == [True, False, False]


def test_a_lost_output_is_made_again(home):
    list(run_pipeline([step("a"), step("b")], home))
    (home / "a.out").unlink()
    assert [cost.reused for cost in run_pipeline([step("a"), step("b")], home)] == [False, False]


def test_a_damaged_stamp_counts_as_not_done(home):
    list(run_pipeline([step("a")], home))
    (home / ".steps" / "1-a.json").write_text("{")
    assert [cost.reused for cost in run_pipeline([step("a")], home)] == [False]


def test_a_failing_step_stops_the_rest_and_leaves_no_stamp(home):
    with pytest.raises(FriesianError, match="step 'b' ended with status 3"):
        list(run_pipeline([step("a"), step("b", "fail"), step("c")], home))
    assert log(home) == ["a", "b"]
    assert [path.name for path in (home / ".steps").iterdir()] == ["1-a.json"]


def test_a_step_that_runs_again_keeps_its_old_output_until_it_has_the_new(home):
    """The release that serves must not vanish because publishing the next one fails."""
    list(run_pipeline([step("a")], home))
    failing = Step(name="a", module="step_module", arguments=("a", "fail"), outputs=("a.out",))
    with pytest.raises(FriesianError, match="step 'a'"):
        list(run_pipeline([failing], home))
    assert (home / "a.out").exists()


def test_what_a_step_cannot_replace_is_cleared_first(home):
    (home / "a.out").write_text("old")
    failing = Step(name="a", module="step_module", arguments=("a", "fail"), outputs=("a.out",), clears=("a.out",))
    with pytest.raises(FriesianError, match="step 'a'"):
        list(run_pipeline([failing], home))
    assert not (home / "a.out").exists()


def test_a_second_pipeline_is_kept_out(home):
    with exclusive(home), pytest.raises(FriesianError, match="another run is working"), exclusive(home):
        pass


def test_killed_parent_takes_its_step_along_and_the_next_run_goes_on(home):
    """SIGKILL, which no handler sees: the step must not go on writing beside the next run."""
    code = textwrap.dedent(
        """
        import pathlib, sys
        from friesian_fast.usecases.pipeline import Step, exclusive, run_pipeline
        def step(name, *a):
            return Step(name=name, module="step_module", arguments=(name, *a), outputs=(f"{name}.out",))
        home = pathlib.Path(sys.argv[1])
        with exclusive(home):
            list(run_pipeline([step("a"), step("b", "hang")], home))
        """
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(home)])
    child = int(wait_for(lambda: (home / "hanging").read_text() if (home / "hanging").exists() else ""))
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()
    wait_for(lambda: not is_running(child))
    (home / "unhang").touch()
    with exclusive(home):
        costs = list(run_pipeline([step("a"), step("b", "hang")], home))
    assert [cost.reused for cost in costs] == [True, False]


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_for(condition, timeout_s=20):
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError("timed out")
