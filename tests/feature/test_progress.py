"""The bar of long tasks: on a terminal's stderr, after a moment, gone at the end."""

import io
import time

import pytest
from rich.console import Console

from friesian_fast.errors import InvalidInputError
from friesian_fast.feature import progress
from friesian_fast.feature.tasks import run_tasks


def slow_rows(task):
    time.sleep(0.4)
    return {"rows": task["rows"]}


def failing(task):
    raise InvalidInputError("not this one")


@pytest.fixture
def terminal(monkeypatch):
    """What a person would see, as text."""
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, force_interactive=True, width=100)
    monkeypatch.setattr(progress, "_console", lambda: console)
    monkeypatch.setattr(progress, "_DELAY_S", 0.05)
    return screen


def test_it_counts_tasks_and_rows(spark, terminal):
    inputs = [{"rows": 1000}] * 3
    assert run_tasks(spark, slow_rows, inputs) == inputs
    shown = terminal.getvalue()
    assert "slow rows" in shown
    assert "3/3" in shown
    assert "rows/s" in shown


def test_a_failure_ends_it_and_keeps_its_name(spark, terminal):
    with pytest.raises(InvalidInputError, match="not this one"):
        run_tasks(spark, failing, [{}])


def test_short_work_shows_nothing(terminal, spark, monkeypatch):
    monkeypatch.setattr(progress, "_DELAY_S", 60)
    assert run_tasks(spark, slow_rows, [{"rows": 1}]) == [{"rows": 1}]
    assert terminal.getvalue() == ""


def test_it_is_for_terminals_and_can_be_turned_off(monkeypatch):
    assert progress._console() is None  # pytest's stderr is no terminal
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TTY_INTERACTIVE", "1")
    assert progress._console() is not None
    monkeypatch.setenv("FRIESIAN_PROGRESS", "0")
    assert progress._console() is None
