"""OpenVINO's core: one for the process, kept until it ends."""

from __future__ import annotations

import threading
from typing import Any

_lock = threading.Lock()
_core: Any = None


def openvino_core() -> Any:
    """The one core, made at the first call.

    On CPUs with AMX the CPU plugin of each core gives the thread that loads it a new stack for signal handlers, and
    unmaps that stack when the core is let go, from whatever thread. Where that was another thread, or where two cores
    went in the order they came, the first thread is left with an unmapped stack, and the next signal that Python
    handles in it (SIGTERM, Ctrl-C) ends the process by SIGSEGV. A core that is never let go unmaps nothing.

    Raises
    ------
    ImportError
        If OpenVINO is not installed.
    """
    global _core
    import openvino

    with _lock:
        if _core is None:
            _core = openvino.Core()
        return _core
