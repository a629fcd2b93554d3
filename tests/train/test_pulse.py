"""What a launcher sees of a worker that takes long, over a real file."""

import os
import time

import pytest

from friesian_fast.train import pulse as pulse_module
from friesian_fast.train.pulse import Overdue, Pulse, PulseSeen


@pytest.fixture
def file(tmp_path):
    (tmp_path / "pulse").touch()
    return tmp_path / "pulse"


@pytest.fixture
def pulse(file, monkeypatch):
    monkeypatch.setattr(pulse_module, "_BEAT_S", 0.02)
    made = Pulse(file)
    yield made
    made.close()


def until(holds):
    end = time.monotonic() + 20
    while not holds() and time.monotonic() < end:
        time.sleep(0.005)
    assert holds()


def test_what_takes_long_stands_in_the_file_as_long_as_it_takes(file, pulse):
    with pulse.doing("making the model"):
        until(lambda: file.read_text() == "1 making the model")
    assert file.read_text() == ""
    with pulse.doing("reading rows"):
        until(lambda: file.read_text() == "2 reading rows")
        before = file.stat().st_mtime_ns
        until(lambda: file.stat().st_mtime_ns > before)  # and it goes on beating


def test_what_is_done_within_something_else_is_shown_as_long_as_it_takes(file, pulse):
    with pulse.doing("making the model"):
        until(lambda: file.read_text() == "1 making the model")
        with pulse.doing("reading rows"):
            until(lambda: file.read_text() == "2 reading rows")
        until(lambda: file.read_text() == "1 making the model")
    assert file.read_text() == ""


def test_what_ends_before_the_next_beat_is_not_written(file):
    before = file.stat().st_mtime_ns
    pulse = Pulse(file)
    with pulse.doing("reading rows"):
        pass
    pulse.close()
    assert (file.read_text(), file.stat().st_mtime_ns) == ("", before)


def test_each_thing_is_told_after_a_while_and_again_after_twice_the_time(file, monkeypatch):
    monkeypatch.setattr(pulse_module, "LONG_S", 60)
    clock = [1000.0]
    monkeypatch.setattr(pulse_module.time, "monotonic", lambda: clock[0])
    seen, overdue = PulseSeen(file), Overdue(2)

    def write(text):
        file.write_text(text)
        os.utime(file, (clock[0], clock[0]))  # that of file systems stands still for some milliseconds

    def told(seconds):
        clock[0] += seconds
        seen.silence()
        doing = seen.doing()
        lines = [event["late"] for event in overdue.events({} if doing is None else {1: doing})]
        return lines[0] if lines else None

    assert told(1000) is None
    write("1 making the model")
    assert [told(seconds) for seconds in (0, 59, 1, 1, 59, 119, 1)] == [
        None,
        None,
        "rank 1 of 2 is still making the model after 60 s",
        None,
        "rank 1 of 2 is still making the model after 120 s",
        None,
        "rank 1 of 2 is still making the model after 240 s",
    ]
    assert [told(1000), told(1)] == [
        "rank 1 of 2 is still making the model after 1240 s",
        None,
    ]  # once, if nobody looked for long
    write("2 reading rows")
    assert [told(seconds) for seconds in (0, 59, 1)] == [None, None, "rank 1 of 2 is still reading rows after 60 s"]
    write("3 reading rows")  # of the next window: that these take a minute is known
    assert [told(seconds) for seconds in (0, 119, 1)] == [None, None, "rank 1 of 2 is still reading rows after 120 s"]
    write("")
    assert [told(seconds) for seconds in (0, 1000)] == [None, None]


def test_workers_that_do_the_same_are_told_in_one_line():
    overdue = Overdue(100)

    def lines(doing):
        return [event["late"] for event in overdue.events(doing)]

    reading = {rank: ("reading rows", 60.0 + rank) for rank in range(1, 15)}
    assert lines({**reading, 20: ("reading rows", 1.0), 0: ("making the model", 61.0)}) == [
        "ranks 1, 2 and 12 more of 100 are still reading rows after 74 s",
        "rank 0 of 100 is still making the model after 61 s",
    ]
    assert lines({3: ("reading rows", 147.0), 4: ("reading rows", 140.0)}) == []
    assert lines({3: ("reading rows", 148.0), 4: ("reading rows", 140.0)}) == [
        "ranks 3, 4 of 100 are still reading rows after 148 s"
    ]
