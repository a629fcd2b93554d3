"""What the caller of a training sees and is called with, and how it gets from a worker to here."""

import io
import re
import socket
import sys
import threading
import time
import types

import pytest
from rich.console import Console

from friesian_fast.errors import NotSupportedError
from friesian_fast.train import MLflowLog, events, news, pulse
from friesian_fast.train.events import LateTeller, Mailbox, listening, send_file, sender
from friesian_fast.train.news import News

STEP = {"epoch": 1, "step": 3, "steps": 10, "rows": 3000, "seconds": 2.0}
END = {"epoch": 1, "logs": {"loss": 0.5, "rows_per_second": 1234.5, "input_wait": 0.01}}


def test_lines_and_functions_at_the_end_of_an_epoch(capsys):
    told = []
    with News(2, [lambda epoch, logs: told.append((epoch, logs))], verbose=True) as take:
        take(STEP)
        take(END)
    assert capsys.readouterr() == ("Epoch 1/2 - 1,234 rows/s - loss: 0.5000\n", "")
    assert told == [(1, END["logs"])]


def test_a_function_of_the_caller_that_takes_long_is_told(monkeypatch):
    monkeypatch.setattr(pulse, "LONG_S", 0.2)
    told = []
    monkeypatch.setattr(News, "line", lambda self, text: told.append(text))

    def upload(epoch, logs):
        until = time.monotonic() + 20
        while len(told) < 3 and time.monotonic() < until:
            time.sleep(0.01)

    News(1, [upload], verbose=True)(END)
    name = "test_a_function_of_the_caller_that_takes_long_is_told.<locals>.upload"
    assert len(told) == 3  # the first is of the epoch
    for line in told[1:]:
        assert re.fullmatch(rf"the callback {name} is still running after \d+ s", line)


def test_who_wants_no_lines_finds_what_is_late_in_the_log(capsys, caplog):
    take = News(1, [], verbose=False)
    for rank, seconds in ((1, 60), (0, 61), (0, 121)):  # as of two Spark tasks, each of which tells for itself
        take({"late": f"rank {rank} is still reading rows", "what": "reading rows", "seconds": seconds})
    assert caplog.messages == ["rank 1 is still reading rows", "rank 0 is still reading rows"]
    assert capsys.readouterr().out == ""


def test_a_bar_on_a_terminal(monkeypatch):
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, force_interactive=True, width=100)
    monkeypatch.setattr(news, "_console", lambda: console)
    with News(2, [], verbose=True) as take:
        take(STEP)
        take({**STEP, "step": 4})
    for text in ("epoch 1/2", "4/10", "steps", "1,500 rows/s"):
        assert text in screen.getvalue()
    with News(2, [], verbose=False) as take:
        take(STEP)


def test_the_bar_can_be_turned_off(monkeypatch):
    monkeypatch.setenv("FRIESIAN_PROGRESS", "0")
    assert news._console() is None


def test_events_arrive_in_order_and_strangers_are_not_heard():
    found = []
    with listening("127.0.0.1", found.append) as mailbox:
        wrong = sender(Mailbox(mailbox.host, mailbox.port, b"another key"))
        wrong({"epoch": 9})
        send = sender(mailbox)
        for event in (STEP, END):
            send(event)
        del send  # its worker ends
    assert found == [STEP, END]


def test_news_that_take_long_are_heard_to_their_end(monkeypatch):
    monkeypatch.setattr(events, "_END_S", 0.3)
    found = []

    def slow(event):
        time.sleep(0.5)
        found.append(event)

    with listening("127.0.0.1", slow) as mailbox:
        send = sender(mailbox)
        for event in (STEP, STEP, END):
            send(event)
        del send
    assert found == [STEP, STEP, END]


def test_a_file_arrives_whole_or_its_sender_knows(tmp_path, monkeypatch):
    monkeypatch.setattr(events, "_CHUNK", 1000)
    (tmp_path / "sent").write_bytes(bytes(range(250)) * 10)
    with listening("127.0.0.1", print, inbox=tmp_path / "kept") as mailbox:
        assert send_file(mailbox, tmp_path / "sent")
        assert not send_file(Mailbox(mailbox.host, mailbox.port, b"another key"), tmp_path / "sent")
    assert (tmp_path / "kept").read_bytes() == (tmp_path / "sent").read_bytes()
    assert not send_file(mailbox, tmp_path / "sent")


def test_who_never_answers_keeps_no_sender(tmp_path, monkeypatch):
    """As a machine that is gone without a word."""
    monkeypatch.setattr(events, "_CHUNK_S", 1)
    (tmp_path / "sent").write_bytes(b"weights")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        mailbox = Mailbox("127.0.0.1", silent.getsockname()[1], b"the key")
        assert not send_file(mailbox, tmp_path / "sent")
        sender(mailbox)(STEP)
    assert "the key" not in repr(mailbox)


def test_what_is_late_is_told_over_one_connection(monkeypatch):
    calls, called, found = [], events._call, []
    monkeypatch.setattr(events, "_call", lambda *given: calls.append(given) or called(*given))
    with listening("127.0.0.1", found.append) as mailbox:
        tell = LateTeller(mailbox)
        assert not calls  # most trainings have nothing to tell
        for text in ("one", "two"):
            tell({"late": text})
        del tell
    assert found == [{"late": "one"}, {"late": "two"}]
    assert len(calls) == 1


def test_what_is_late_stands_on_stderr_if_the_caller_is_out_of_reach(monkeypatch, capsys):
    """It is tried once, and for no longer than some seconds."""
    waited, called = [], events._call
    monkeypatch.setattr(events, "_TELL_S", 1)
    monkeypatch.setattr(events, "_call", lambda mailbox, seconds: waited.append(seconds) or called(mailbox, seconds))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        tell = LateTeller(Mailbox("127.0.0.1", silent.getsockname()[1], b"the key"))
        for text in ("one", "two"):
            tell({"late": text})
    assert capsys.readouterr().err == "one\ntwo\n"
    assert waited == [1]


def test_who_calls_and_stays_silent_keeps_nobody_out(monkeypatch):
    monkeypatch.setattr(events, "_HANDSHAKE_S", 1)
    found = []
    with listening("127.0.0.1", found.append) as mailbox, socket.create_connection(("127.0.0.1", mailbox.port)) as call:
        for event in (STEP, END):  # a worker that is begun again calls again
            sender(mailbox)(event)
        call.settimeout(20)
        while call.recv(4096):  # the challenge, then nothing more: hung up
            pass
    assert found == [STEP, END]


def test_nobody_need_send_or_listen():
    with listening("127.0.0.1", print) as mailbox:
        pass
    sender(mailbox)(STEP)
    sender(None)(STEP)


def test_what_the_callers_function_raises_is_raised_at_the_end():
    def fail(event):
        raise ZeroDivisionError("at the caller's")

    over = threading.Event()

    def listen():
        with listening("127.0.0.1", fail, over.set) as mailbox:
            sender(mailbox)(STEP)
            assert over.wait(20)
            raise KeyError("what came of it")

    with pytest.raises(ZeroDivisionError, match="caller's"):
        listen()


def test_mlflow_gets_the_metrics_if_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(NotSupportedError, match="MLflowLog needs MLflow: pip install mlflow"):
        MLflowLog()
    logged = []
    module = types.ModuleType("mlflow")
    module.log_metrics = lambda metrics, step: logged.append((metrics, step))
    monkeypatch.setitem(sys.modules, "mlflow", module)
    MLflowLog()(3, {"loss": 0.5})
    assert logged == [({"loss": 0.5}, 3)]
