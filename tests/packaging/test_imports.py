"""Who may import whom, and what an import may cost: read from the sources and seen in fresh processes."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = ("pyspark", "tensorflow", "keras", "torch", "pandas", "pyarrow", "faiss", "sklearn")

# Module-level imports go downwards only. A part may import itself and what is listed.
_ONLINE = {"spec", "errors", "_core", "_files", "arrays"}
ALLOWED = {
    "errors": set(),
    "_files": {"errors"},
    "spec": {"errors", "_files"},
    "hashing": {"errors", "_core"},
    "vocab": {"errors", "_core"},
    "store": _ONLINE,
    "recall": _ONLINE,
    "rank": _ONLINE,
    "release": _ONLINE | {"store", "recall", "rank"},
    "recommend": _ONLINE | {"store", "recall", "rank", "release"},
    "feature": {"spec", "errors", "_core", "_files", "hashing", "vocab", "evaluate"},
    "compat": {"errors", "feature"},
    "evaluate": {"errors"},
    "models": {"spec", "errors"},
    "train": {"spec", "errors", "models", "_files", "evaluate"},
    "usecases": {
        "spec",
        "errors",
        "_files",
        "hashing",
        "vocab",
        "train",
        "evaluate",
        "models",
        "feature",
        "release",
        "cli",
        "recall",
        "store",
        "recommend",
    },
    "cli": {"spec", "errors", "_files", "usecases", "release", "store", "recommend", "evaluate"},
    "friesian_services": _ONLINE | {"store", "recall", "rank", "release", "recommend"},
}


def python_files():
    yield from sorted((ROOT / "python" / "friesian_fast").rglob("*.py"))
    yield from sorted((ROOT / "services" / "friesian_services").rglob("*.py"))


def part_of(module):
    """`friesian_fast.store.mapped` belongs to `store`, every service to `friesian_services`."""
    names = module.split(".")
    if names[0] == "friesian_services":
        return "friesian_services"
    return names[1] if len(names) > 1 else "__init__"


def module_level_imports(path):
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            if node.module == "friesian_fast":
                yield from (f"friesian_fast.{alias.name}" for alias in node.names)


def part_of_file(path):
    base = ROOT / ("services" if "friesian_services" in path.parts else "python")
    module = ".".join(path.relative_to(base).with_suffix("").parts)
    return part_of(module)


@pytest.mark.parametrize("path", list(python_files()), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_downwards(path):
    part = part_of_file(path)
    if part == "__init__":
        return
    assert part in ALLOWED, f"say in ALLOWED what the new part '{part}' may import"
    for name in module_level_imports(path):
        if name.split(".")[0] not in ("friesian_fast", "friesian_services") or name == "friesian_fast":
            continue
        imported = part_of(name)
        known = imported in ALLOWED or imported == "_core"
        assert imported == part or imported in ALLOWED[part] or not known, f"{path.name} imports {name}"


def test_the_core_knows_no_python():
    for path in (ROOT / "cpp" / "src").rglob("*"):
        if path.suffix in (".cpp", ".hpp"):
            text = path.read_text(encoding="utf-8")
            assert "Python.h" not in text, path
            assert "pybind11" not in text, path


@pytest.mark.parametrize(
    "module",
    [
        "friesian_fast",
        "friesian_fast.hashing",
        "friesian_fast.evaluate",
        "friesian_fast.store",
        "friesian_fast.recall",
        "friesian_fast.recommend",
        "friesian_fast.release.open",
        "friesian_fast.cli.main",
        "friesian_services.recommender.servicer",
    ],
)
def test_light_modules_pull_in_nothing_heavy(module):
    code = f"import {module}, sys; print(','.join(m for m in {HEAVY!r} if m in sys.modules))"
    assert run_python(code) == ""


def run_python(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()
