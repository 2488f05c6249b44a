"""A real Kafka and a real Valkey for tests, on free ports and in a folder of their own."""

import asyncio
import contextlib
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar, overload

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from services import local

T = TypeVar("T")

JARS = Path(__file__).parents[1] / ".ebbwatch" / "kafka" / "lib"
POLL_SECONDS = 0.02
PORTS = 20_000, 32_000
"""Below those from which Linux takes ports for outgoing connections, 32768 on."""
_ANY = random.SystemRandom()
"""Not the seed of the tests: several runs of it share the machine's ports."""


_GIVEN: set[int] = set()
"""What is given and not listened on yet looks free; a long run begins anew at half of them."""


def free_port() -> int:
    """Return a loopback port that nothing listens on just now, and that was not given lately."""
    if 2 * len(_GIVEN) > len(range(*PORTS)):
        _GIVEN.clear()
    while True:
        # A port that the system picks may be picked for any outgoing connection before the server
        # that it is meant for has started.
        port = _ANY.randrange(*PORTS)
        if port in _GIVEN:
            continue
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            _GIVEN.add(port)
            return port


def distinct_ports(count: int) -> list[int]:
    """Return several free ports, no two the same."""
    return [free_port() for _ in range(count)]


def free_ports() -> local.Ports:
    """Return free ports for a whole platform."""
    return local.Ports(*distinct_ports(3))


def require_jars() -> Path:
    """Return the folder of the broker's jars, or skip the test that needs them."""
    if not JARS.is_dir():
        pytest.skip("the local Kafka's jars are missing: make install")
    return JARS


@contextlib.contextmanager
def local_kafka(folder: Path) -> Iterator[str]:
    """Run a broker as long as the block lasts; gives its bootstrap address."""
    elsewhere = {"EBBWATCH_REDIS_URL": "redis://not-asked-for:1/0"}
    with _platform(folder, elsewhere) as addresses:
        yield addresses.kafka


@contextlib.contextmanager
def local_valkey(folder: Path) -> Iterator[str]:
    """Run a Valkey as long as the block lasts; gives its URL."""
    with _platform(folder, {"EBBWATCH_KAFKA": "not-asked-for:1"}) as addresses:
        yield addresses.redis_url


@overload
async def eventually(
    ask: Callable[[], Awaitable[T]], *, within: float = ..., what: str = ...
) -> T: ...


@overload
async def eventually(ask: Callable[[], T], *, within: float = ..., what: str = ...) -> T: ...


async def eventually(
    ask: Callable[[], object], *, within: float = 10.0, what: str = "the condition"
) -> object:
    """Ask until the answer is true and return it; fail when that takes too long.

    Args:
        ask: The condition, a plain function or a coroutine function; must not block.
        within: Seconds, > 0.
        what: What is waited for, as the failure shall say.
    """
    end = time.monotonic() + within
    while True:
        answer = ask()
        if isinstance(answer, Awaitable):
            answer = await answer
        if answer:
            return answer
        if time.monotonic() > end:
            pytest.fail(f"{what} did not come true within {within:g} s; last answer: {answer!r}")
        await asyncio.sleep(POLL_SECONDS)


async def create_topics(
    bootstrap: str, *names: str, partitions: int = 1, configs: Mapping[str, str] | None = None
) -> None:
    """Create topics with replication 1 and return when they can be written to.

    Args:
        bootstrap: Address of the broker.
        names: Names of the topics, which do not exist yet.
        partitions: Partitions of each, >= 1.
        configs: Topic settings by Kafka's names, such as `cleanup.policy`.
    """
    topics = [NewTopic(name, partitions, 1, topic_configs=dict(configs or {})) for name in names]
    async with _admin(bootstrap) as admin:

        async def all_led() -> bool:
            described = await admin.describe_topics(list(names))
            found = [part for topic in described for part in topic["partitions"]]
            led = [part for part in found if part["leader"] >= 0]
            return len(led) == partitions * len(names)

        answer = await admin.create_topics(topics)
        failed = [entry for entry in answer.topic_errors if entry[1] != 0]
        assert failed == []
        await eventually(all_led, what=f"a leader for each partition of {', '.join(names)}")


@contextlib.contextmanager
def _platform(folder: Path, elsewhere: Mapping[str, str]) -> Iterator[local.Addresses]:
    jars = JARS if "EBBWATCH_KAFKA" in elsewhere else require_jars()
    try:
        yield local.up(folder, ports=free_ports(), jars=jars, environ=elsewhere)
    finally:
        local.down(folder)


@contextlib.asynccontextmanager
async def _admin(bootstrap: str) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
