from tests.services.fixtures import fused, redis_server, releases, ruled_releases, string_releases  # noqa: F401
from tests.services.rpc_server import channel, server  # noqa: F401
