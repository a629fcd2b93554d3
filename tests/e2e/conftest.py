"""The whole way, once a session: raw records to a release, by the steps a user runs."""

import dataclasses

import pytest
from tests.services.fixtures import redis_server  # noqa: F401

from friesian_fast.usecases.pipeline import run_pipeline
from friesian_fast.usecases.recsys2021 import demo as recsys2021


def run_demo_steps(home, **arguments):
    """The demo's own steps, some with other arguments."""
    steps = [dataclasses.replace(step, arguments=arguments.get(step.name, step.arguments)) for step in recsys2021.STEPS]
    list(run_pipeline(steps, home))
    return home


@pytest.fixture(scope="session")
def small_home(tmp_path_factory):
    """5,000 records, every step as in the demo."""
    return run_demo_steps(tmp_path_factory.mktemp("small"), generate=("5000", "data"))


@pytest.fixture(scope="session")
def walkthrough_home(tmp_path_factory):
    """The original's 100,000 records of noise; one epoch, since there is nothing to learn."""
    train_wnd = next(step for step in recsys2021.STEPS if step.name == "train_wnd").arguments
    position = train_wnd.index("--epoch") + 1
    return run_demo_steps(
        tmp_path_factory.mktemp("walkthrough"),
        generate=("100000", "data", "--signal", "0"),
        train_wnd=(*train_wnd[:position], "1", *train_wnd[position + 1 :]),
    )
