"""The connection to Redis: bounded in time, and its errors one error."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from pydantic import ValidationError
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisGone
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeout

from services.alerts.view.script import (
    CLAIM,
    COMPLETE,
    GUARD,
    LOST,
    READ,
    SUPERSEDED,
    Command,
    Word,
)
from services.settings import without_password

CALL_SECONDS: Final = 1.0
"""For connecting, and for one answer."""
METHOD_SECONDS: Final = 2.0
"""For one method of the view, all its calls together."""
STEPS_SECONDS: Final = 5 * METHOD_SECONDS
"""For what takes many calls, each bounded by `CALL_SECONDS`: a frozen Redis is noticed as soon."""
REST_SECONDS: Final = 0.5
"""After a timeout nobody asks for so long."""
CONNECTIONS: Final = 32
"""At once; who finds none free within `CALL_SECONDS` is told that Redis is away."""

Connect = Callable[[str], Redis]

_send = AbstractConnection.send_packed_command


async def _send_or_break(
    connection: AbstractConnection,
    command: bytes | str | Iterable[bytes],
    check_health: bool = True,
) -> None:
    """Send a command; a transport that is closed already is a broken connection, no bug.

    redis-py 8 expects an OSError there, and uvloop raises a RuntimeError (as for aiokafka,
    `services/kafka_clients.py`): a desk that reached for Redis just as it went away ended with it.
    """
    try:
        await _send(connection, command, check_health)
    except RuntimeError as error:
        raise RedisGone(f"the connection is closed: {error}") from error


AbstractConnection.send_packed_command = _send_or_break  # type: ignore[method-assign,assignment]


class ViewAway(Exception):
    """Redis does not answer, or not in time; what it holds is neither read nor written."""


class ViewLost(ViewAway):
    """The partition is gone or older than it was (FLUSHALL, a restart): it must be rebuilt."""


class Superseded(Exception):
    """Another owner has claimed the partition: nothing was written."""


def connect(url: str) -> Redis:
    """Return a client that waits briefly and never tries again by itself.

    Nothing is connected before the first command. Whether to try again is the caller's decision:
    many retries at once are what a Redis that just came back needs least.

    Args:
        url: Where Redis is, `redis://`, `rediss://` or `unix://`.
    """
    return _client(url, CALL_SECONDS)


def connect_waiting(url: str) -> Redis:
    """Return a client for commands that wait; how long, is theirs and the caller's to bound."""
    return _client(url, None)


def _client(url: str, seconds: float | None) -> Redis:
    pool = BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=CALL_SECONDS,
        socket_timeout=seconds,
        socket_connect_timeout=CALL_SECONDS,
        retry=Retry(NoBackoff(), 0),
        protocol=2,
    )
    return Redis.from_pool(pool)


class Link:
    """One process's way to Redis.

    Args:
        url: Where Redis is.
        connect: Makes the client.
    """

    def __init__(self, url: str, connect: Connect = connect) -> None:
        self._client = connect(url)
        self._guard = self._client.register_script(GUARD)
        self._claim = self._client.register_script(CLAIM)
        self._read = self._client.register_script(READ)
        self._where = _shown(url)
        self._rests_until = 0.0

    async def close(self) -> None:
        """Close all connections."""
        with contextlib.suppress(RedisError, OSError):
            await self._client.aclose()

    @contextlib.asynccontextmanager
    async def bounded(self, seconds: float = METHOD_SECONDS) -> AsyncIterator[None]:
        """End what the block does in time, and turn every error of Redis into one.

        After a timeout nobody waits for Redis for `REST_SECONDS`: requests that all wait for the
        same frozen server would hold up everything else.

        Args:
            seconds: For the whole block, > 0.

        Raises:
            ViewAway: Redis does not answer, not in time, with an error such as OOM, or with
                something that this version cannot read.
        """
        clock = asyncio.get_running_loop().time
        if clock() < self._rests_until:
            raise ViewAway(self._said("it did not answer a moment ago"))
        try:
            async with asyncio.timeout(seconds):
                yield
        except (TimeoutError, RedisTimeout) as error:
            self._rests_until = clock() + REST_SECONDS
            raise ViewAway(self._said("it did not answer in time")) from error
        except (RedisError, OSError) as error:
            raise ViewAway(self._said(f"{type(error).__name__}: {error}")) from error
        except (ValidationError, msgspec.DecodeError, zlib.error) as error:
            raise ViewAway(self._said("it holds what this version cannot read")) from error

    async def ask(self, *command: Word) -> Any:
        """Send one command and return its answer."""
        return await self._client.execute_command(*command)  # type: ignore[no-untyped-call]

    async def ask_all(self, commands: Sequence[Command]) -> list[Any]:
        """Send commands together, each on its own, and return their answers."""
        if not commands:
            return []
        async with self._client.pipeline(transaction=False) as together:
            for command in commands:
                together.execute_command(*command)
            answers: list[Any] = await together.execute()
            return answers

    async def ask_at_once(self, commands: Sequence[Command]) -> list[Any]:
        """Return the answers of commands that only read, with no write in between; hashes flat."""
        if not commands:
            return []
        answers: list[Any] = await self._read(args=_flat(commands))
        return answers

    async def guarded(
        self, keys: Sequence[str], caller: Sequence[Word], commands: Sequence[Command]
    ) -> bool:
        """Run commands at once and whole, if a partition's marker still names this owner.

        Args:
            keys: Of the marker, and of the live stream.
            caller: The owner, its newest call that was answered, and the number of this one.
            commands: Commands of Redis, or of `script.GUARD`.

        Returns:
            Whether nothing is missing in the partition.

        Raises:
            ViewLost: There is no marker, or one that is older than that answer; nothing was
                written.
            Superseded: It names another owner; nothing was written.
        """
        answer = await self._guard(keys=keys, args=[*caller, *_flat(commands)])
        if answer == LOST:
            raise ViewLost(
                f"{keys[0]} at {self._where} is gone, or older than what was written: the "
                "partition is rebuilt"
            )
        if answer == SUPERSEDED:
            raise Superseded(f"{keys[0]} names another owner than {caller[0]!r}")
        return bool(answer == COMPLETE)

    async def claim(self, keys: Sequence[str], *words: Word) -> bool:
        """Give a partition's marker to an owner; see `script.CLAIM`.

        Returns:
            Whether nothing is missing in the partition.
        """
        return bool(await self._claim(keys=keys, args=words) == COMPLETE)

    def _said(self, what: str) -> str:
        return (
            f"the view at {self._where} cannot be used: {what}; start Redis, or correct "
            "EBBWATCH_REDIS_URL"
        )


def _flat(commands: Sequence[Command]) -> list[Word]:
    words: list[Word] = []
    for command in commands:
        words += [len(command), *command]
    return words


def _shown(url: str) -> str:
    """Say where Redis is, without user and password."""
    shown = without_password(url)
    parts = urlsplit(shown)
    return parts.netloc or parts.path
