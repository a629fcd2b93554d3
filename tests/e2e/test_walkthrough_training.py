"""docs/walkthrough_training.md does what it says: its files and commands, in its order, from an empty folder."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DOCUMENT = Path(__file__).parents[2] / "docs" / "walkthrough_training.md"
FENCE = re.compile(r"(?:<!-- file: (\S+) -->\n)?^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?"
# In this order: anything; speeds, broken numbers and large ones; spaces. Small whole numbers are meant.
LOOSE = re.compile(rf"(…|{NUMBER}(?= rows/s)|[-+]?[\d,]*\.\d+(?:e[-+]?\d+)?|\d+e[-+]?\d+|\d+,\d+|\s+)")

AUC = re.compile(r"\bval_auc:? (\d+\.\d+)")
MOST_APART = 0.03  # of AUCs at the end; the first epoch leaves more to learn than this


def pattern(line):
    """A line of the document as what it has to be found by."""
    # What the expression matched stands at the odd places; a part by itself may not match, as 103 of "103 rows/s".
    parts = []
    for place, part in enumerate(LOOSE.split(line.strip())):
        loose = ".*" if part == "…" else r"\s+" if part.isspace() else NUMBER
        parts.append(loose if place % 2 else re.escape(part))
    return re.compile("".join(parts))


def missing(expected, printed):
    """The first line of the document that was not printed after those before it; None if all were."""
    lines = iter(printed.splitlines())
    for line in expected.splitlines():
        wanted = pattern(line)
        if line.strip() != "…" and not any(wanted.search(found) for found in lines):
            return line
    return None


def last_auc(text):
    """Of the validation, after the last epoch that is told; None if none is."""
    found = AUC.findall(text)
    return float(found[-1]) if found else None


def run(command, home):
    """What a terminal would show."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        ["bash", "-c", f"exec {command}"],
        cwd=home,
        env={**os.environ, "PATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == -signal.SIGKILL:
        return f"{done.stdout}Killed\n"
    assert done.returncode == 0, f"{command}\n{done.stdout}"
    return done.stdout


@pytest.mark.slow
def test_every_command_prints_what_the_document_shows(tmp_path):
    printed, shown = "", 0
    for name, kind, body in FENCE.findall(DOCUMENT.read_text(encoding="utf-8")):
        if name:
            (tmp_path / name).write_text(body, encoding="utf-8")
        elif kind == "sh":
            printed = "".join(run(command, tmp_path) for command in body.splitlines())
            print(printed)
        else:
            assert kind == "text", f"a block of '{kind}' is neither a file, nor commands, nor what they print"
            assert (absent := missing(body, printed)) is None, f"'{absent}' is not in\n{printed}"
            if (auc := last_auc(body)) is not None:
                assert last_auc(printed) == pytest.approx(auc, abs=MOST_APART)
            shown += 1
    assert shown == 7


@pytest.mark.parametrize(
    ("expected", "printed", "absent"),
    [
        ("Epoch 1/4 - 9,609 rows/s - loss: 0.67 - … - val_auc: 0.68", "Epoch 1/4 - 81 rows/s - loss: 0.7 - x", True),
        ("Epoch 1/4 - 103 rows/s - loss: 0.67", "Epoch 1/4 - 3,582 rows/s - loss: 0.7", False),
        (
            "Epoch 1/4 - 9,609 rows/s - loss: 0.67 - … - auc: 0.6",
            "Epoch 1/4 - 81 rows/s - loss: 0.7 - x - auc: 1.0",
            False,
        ),
        ("Epoch 1/4 - 9 rows/s", "Epoch 2/4 - 9 rows/s", True),
        ("the same bits: True", "the same bits: False", True),
        ("within 3e-07 of", "ONNX scores are within 1.2e-7 of Keras'", False),
        ("0  626  1  -1.2", "0   626 1 0.30", False),
        ("b\na", "a\nb", True),
        ("a\n…\nc", "a\nb\nb\nc", False),
    ],
)
def test_numbers_may_differ_and_nothing_else(expected, printed, absent):
    assert (missing(expected, printed) is not None) == absent


def test_the_last_auc_is_the_one_that_counts():
    assert last_auc("Epoch 1/2 - val_auc: 0.61 - x\nEpoch 2/2 - auc: 0.9 - val_auc: 0.6957\n") == 0.6957
    assert last_auc("val_auc 0.7469; the best possible is 0.7817") == 0.7469
    assert last_auc("{'loss': 0.63, 'auc': 0.69}") is None
