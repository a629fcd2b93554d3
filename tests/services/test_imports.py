"""What a server loads."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2] / "services" / "friesian_services"
HEAVY = {"pyspark", "tensorflow", "keras", "torch", "pandas", "pyarrow", "faiss", "sklearn", "onnx", "redis"}


def test_no_service_loads_what_only_offline_code_needs():
    paths = [path.relative_to(ROOT.parent) for path in ROOT.rglob("*.py")]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    code = f"import importlib, sys; [importlib.import_module(name) for name in {names!r}]; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {name.partition(".")[0] for name in done.stdout.split()} & HEAVY == set()


def test_servicers_only_translate():
    for path in ROOT.glob("*/servicer.py"):
        lines = path.read_text().splitlines()
        assert len(lines) < 60, path
        assert not any(line.strip().startswith("try") for line in lines), path
