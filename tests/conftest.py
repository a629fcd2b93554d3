from __future__ import annotations

import pytest

from friesian_fast import _core


@pytest.fixture(params=_core.runnable_simd_levels())
def level(request: pytest.FixtureRequest) -> str:
    """Each instruction-set level this CPU can run."""
    return str(request.param)
