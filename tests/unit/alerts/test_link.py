import asyncio

import pytest
from redis.asyncio import Connection
from redis.exceptions import RedisError

from services.alerts.view import ViewAway
from services.alerts.view.link import Link, connect
from tests.platform import free_port


@pytest.mark.parametrize("password", ["CANARY", "CAN#ARY", "CAN/ARY", "C@N#ARY", "CAN%23ARY"])
async def test_no_error_of_the_view_shows_a_part_of_the_password(password: str) -> None:
    where = f"127.0.0.1:{free_port()}"
    # The client knows a sound address: what it says of one that it misreads is its own.
    link = Link(f"redis://ana:{password}@{where}/0", lambda _: connect(f"redis://{where}/0"))
    with pytest.raises(ViewAway) as raised:
        async with link.bounded():
            await link.ask("PING")
    await link.close()
    assert str(raised.value).startswith(f"the view at {where} cannot be used: ")
    assert not any(part in str(raised.value) for part in ("CAN", "ARY", "ana"))


class Gone(asyncio.StreamWriter):
    """A writer whose transport uvloop has closed because Redis went away."""

    def __init__(self) -> None:
        self.closed = False

    def __del__(self, *_: object) -> None:
        pass

    def writelines(self, _: object) -> None:
        raise RuntimeError("unable to perform operation on <TCPTransport closed=True>")

    def close(self) -> None:
        self.closed = True


async def test_a_transport_that_is_closed_already_is_a_broken_connection() -> None:
    connection, writer = Connection(), Gone()
    connection._reader, connection._writer = asyncio.StreamReader(), writer
    with pytest.raises(RedisError, match="connection is closed: unable to perform"):
        await connection.send_packed_command([b"PING"])
    assert (connection.is_connected, writer.closed) == (False, True)
