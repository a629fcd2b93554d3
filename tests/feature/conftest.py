"""One Spark session for all tests of the tables."""

import pytest


@pytest.fixture(scope="session")
def spark():
    from friesian_fast.feature.session import get_session

    return get_session("local[2]")
