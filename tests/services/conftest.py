from tests.services.fixtures import fused, redis_server, releases, ruled_releases, string_releases  # noqa: F401
