"""What OpenVINO does to the process around it."""

import subprocess
import sys

from tests.services import tiny_release

CODE = """
import os, signal, sys, threading
from friesian_fast.rank import OpenvinoRanker
from friesian_fast.spec import FeatureSpec

spec, taken = FeatureSpec.load(sys.argv[1]), []
signal.signal(signal.SIGTERM, lambda *_: taken.append("SIGTERM"))
first, second = (OpenvinoRanker(sys.argv[2], spec) for _ in range(2))
del first, second
others = [OpenvinoRanker(sys.argv[2], spec)]
thread = threading.Thread(target=others.clear)
thread.start()
thread.join()
os.kill(os.getpid(), signal.SIGTERM)
print(*taken)
"""


def test_a_process_that_let_rankers_go_handles_its_signals(tmp_path):
    """With a core for each ranker it ends by SIGSEGV (on CPUs with AMX), which is no way to drain a server."""
    tiny_release.spec().save(tmp_path / "spec.json")
    tiny_release.save_model(tmp_path / "ranker.onnx")
    command = [sys.executable, "-c", CODE, tmp_path / "spec.json", tmp_path / "ranker.onnx"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (0, "SIGTERM\n"), done.stderr
