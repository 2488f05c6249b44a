"""Each contract runs against the fake and against both real servers."""

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.contract import redis_servers
from tests.contract.redis_servers import RedisServer


@pytest.fixture(scope="session")
def redis7(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """URL of an empty redis-server 7.0, as Debian has it."""
    with redis_servers.redis_server(tmp_path_factory.mktemp("redis7")) as url:
        yield url


@pytest.fixture(
    params=[
        "fake",
        pytest.param("valkey", marks=pytest.mark.integration),
        pytest.param("redis7", marks=pytest.mark.integration),
    ]
)
async def server(request: pytest.FixtureRequest) -> AsyncIterator[RedisServer]:
    """An empty server."""
    if request.param == "fake":
        found = redis_servers.fake()
    else:
        found = redis_servers.real(request.getfixturevalue(request.param))
    yield found
    await found.close()
