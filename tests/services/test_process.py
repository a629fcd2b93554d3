"""The life of a process."""

import os
import signal
import threading
import time

import pytest

from friesian_services.process import run


@pytest.fixture
def handlers():
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in kept.items():
        signal.signal(number, handler)


class Front:
    """Stops only once the other one is stopping too."""

    def __init__(self, both):
        self.both, self.grace = both, None

    def start(self):
        pass

    def stop(self, grace_s):
        self.both.wait(20)
        self.grace = grace_s


@pytest.mark.usefixtures("handlers")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_fronts_drain_side_by_side(number):
    """One after the other they could take twice the time, and the second would still take requests."""

    class Last(Front):
        def start(self):
            os.kill(os.getpid(), number)

    both = threading.Barrier(2)
    fronts = [Front(both), Last(both)]
    run("x", fronts, {}, drain_s=7)
    assert [front.grace for front in fronts] == [7, 7]


@pytest.mark.usefixtures("handlers")
def test_a_signal_that_another_thread_got_is_heard_while_the_start_lasts(capsys):
    class Starting:
        def __init__(self):
            self.over, self.was_ended = threading.Event(), False

        def start(self):
            time.sleep(0.3)  # by now the main thread waits
            signal.pthread_kill(threading.get_ident(), signal.SIGTERM)
            self.was_ended = self.over.wait(20)

        def stop(self, grace_s):
            self.over.set()

    starting = Starting()
    run("x", [starting], {}, drain_s=0)
    assert capsys.readouterr().out == ""
    assert starting.was_ended
