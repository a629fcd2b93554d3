from tests.services.fixtures import redis_server, releases, string_releases  # noqa: F401
