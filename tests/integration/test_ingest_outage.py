import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest

from services import local
from tests.integration.ingesting import Deployment, Process, counted, deployment, event, produce
from tests.platform import create_topics, eventually, free_ports, require_jars

pytestmark = pytest.mark.integration

DEADLINE = 3


class Broker:
    """A broker of this test's own, which it may kill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports()
        self._environ = {"EBBWATCH_REDIS_URL": "redis://not-asked-for:1/0"}

    def up(self) -> str:
        return local.up(
            self._folder, ports=self._ports, jars=require_jars(), environ=self._environ
        ).kafka

    def kill(self) -> None:
        (kafka, _) = local.status(self._folder, ports=self._ports, environ=self._environ)
        assert kafka.pid is not None
        os.kill(kafka.pid, signal.SIGKILL)

    def down(self) -> None:
        local.down(self._folder)


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    made = Broker(tmp_path_factory.mktemp("broker"))
    try:
        yield made
    finally:
        made.down()


@pytest.fixture
async def ours(broker: Broker, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployment(await asyncio.to_thread(broker.up), tmp_path) as made:
        yield made


async def test_while_kafka_is_away_it_is_503_and_afterwards_nothing_acknowledged_is_missing(
    ours: Deployment, broker: Broker
) -> None:
    topic = f"{ours.prefix}usage"
    await create_topics(ours.kafka, topic)
    await ours.set_rules(1, {"gateway": topic})
    key, ingest = await ours.key(), await ours.live(ingest_deadline_seconds=str(DEADLINE))
    acknowledged: set[str] = set()
    answers: list[tuple[int, float]] = []
    ids = iter(range(10**9))
    calm = asyncio.Event()

    async def client() -> None:
        while not calm.is_set():
            batch = [event(f"e{next(ids)}", f"acct_{n}") for n in range(10)]
            status = 0
            while status != 200 and not calm.is_set():
                start = time.monotonic()
                status, _ = await ingest.post(batch, key)
                answers.append((status, time.monotonic() - start))
                await asyncio.sleep(0.02)
            if status == 200:
                acknowledged.update(each["id"] for each in batch)

    await produce(ours.kafka, topic, [json.dumps(event("k1")).encode()])
    clients = [asyncio.create_task(client()) for _ in range(4)]
    await _more(acknowledged, 300)
    await asyncio.to_thread(broker.kill)
    answers.clear()
    await eventually(lambda: [each for each in answers if each[0] == 503][20:], within=30)
    status, ready = await ingest.ask("/readyz")
    assert (status, ready["checks"]["kafka"]["ok"]) == (503, False)
    assert (await ingest.ask("/livez"))[0] == 200
    assert max(seconds for _, seconds in answers) < DEADLINE + 1
    assert {status for status, _ in answers} <= {200, 503}
    await asyncio.to_thread(broker.up)
    await produce(ours.kafka, topic, [json.dumps(event("k2")).encode()])
    await _more(acknowledged, 300)
    await eventually(ingest.ready, within=60)
    calm.set()
    await asyncio.gather(*clients)

    async def carried() -> bool:
        return {"k1", "k2"} <= counted(await ours.entries()).keys()

    await eventually(carried, within=60, what="the input's records")
    counts = counted(await ours.entries())
    assert {id for id in acknowledged if counts.get(id) != 1} == set()
    assert await ingest.end() == 0


async def test_it_ends_within_its_time_also_while_kafka_is_away(
    ours: Deployment, broker: Broker
) -> None:
    key, ingest = await ours.key(), await ours.live(ingest_deadline_seconds="60")
    await asyncio.to_thread(broker.kill)
    posting = asyncio.create_task(ingest.post([event("1")], key))
    await eventually(lambda: _pending(ingest), within=30)

    start = time.monotonic()
    code = await ingest.end()

    assert (code, time.monotonic() - start < 8.5) == (0, True)
    # Whether it still hears the refusal or only the end of the connection: never that it is taken.
    with contextlib.suppress(aiohttp.ClientError):
        assert (await posting)[0] == 503


async def _more(acknowledged: set[str], count: int) -> None:
    enough = len(acknowledged) + count
    await eventually(lambda: len(acknowledged) >= enough, within=60, what=f"{count} more 2xx")


async def _pending(ingest: Process) -> bool:
    shown = (await ingest.ask("/metrics"))[1]
    return any(
        line.startswith("ebbwatch_ingest_pending_bytes") and float(line.split()[1]) > 0
        for line in shown.splitlines()
    )


async def test_it_waits_for_kafka_and_answers_503_meanwhile(
    ours: Deployment, broker: Broker
) -> None:
    key = await ours.key()
    await ours.set_mode("live")
    await asyncio.to_thread(broker.kill)
    ingest = await ours.start()

    status, answer = await ingest.post([event("1")], key)
    assert (status, answer["error"]) == (503, "unavailable")
    await asyncio.to_thread(broker.up)
    await eventually(ingest.ready, within=60)

    assert (await ingest.post([event("1")], key))[0] == 200
