from tests.services.fixtures import fused, redis_server, releases, string_releases  # noqa: F401
