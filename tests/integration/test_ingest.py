import asyncio
import contextlib
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import aiohttp
import msgspec
import pytest

from schemas.events import ClockTicked, RulesApplied
from schemas.rejects import Reject
from services.commands.keys import revoke_key
from tests.integration.ingesting import Deployment, counted, deployment, event
from tests.platform import eventually, free_port

pytestmark = pytest.mark.integration


@pytest.fixture
async def ours(kafka: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployment(kafka, tmp_path) as made:
        yield made


async def test_nothing_is_taken_in_before_the_deployment_is_live(ours: Deployment) -> None:
    key, ingest = await ours.key(), await ours.start()

    async def detail() -> str:
        status, answer = await ingest.post([event("early")], key)
        assert status == 503
        return str(answer["detail"])

    async def names(command: str) -> bool:
        return command in await detail()

    await eventually(lambda: names("`ebbwatch import FILE...`, or `ebbwatch live`"))
    await ours.set_mode("importing")
    await eventually(lambda: names("`ebbwatch import` plays history"))
    assert (await ingest.ask("/readyz"))[0] == 503
    await ours.set_mode("live")
    await eventually(ingest.ready)
    assert await ingest.post([event("late")], key) == (200, {"accepted": 1, "rejected": []})

    assert counted(await ours.entries()) == {"late": 1}
    assert await ingest.end() == 0


async def test_rules_and_a_tick_stand_in_every_partition_before_the_first_event(
    ours: Deployment,
) -> None:
    await ours.set_rules(1)
    await ours.set_rules(2)
    key, ingest = await ours.key(), await ours.live()
    await ingest.post([event(str(n), f"acct_{n}") for n in range(40)], key)
    await ours.set_rules(3)

    async def announced() -> bool:
        events = [[e.event for e in entries] for entries in await ours.entries()]
        return all(any(isinstance(e, RulesApplied) and e.n == 3 for e in es) for es in events)

    await eventually(announced, what="rule set 3 in every partition")
    for entries in await ours.entries():
        kinds = [type(entry.event).__name__ for entry in entries]
        first = entries[0].event
        assert isinstance(first, RulesApplied)
        assert (first.n, kinds[1]) == (2, "ClockTicked")
        assert "UsageRecorded" in kinds[2:]


async def test_ticks_carry_the_time_and_the_hours_of_each_source(ours: Deployment) -> None:
    key, ingest = await ours.key(), await ours.live()
    hour = int(time.time()) // 3600
    sent = [event("1", source="/a"), event("2", source="/b", time="2025-01-01T00:30:00Z")]
    await ingest.post(sent, key)

    async def seen() -> dict[str, set[int]]:
        found: dict[str, set[int]] = {}
        for entry in (await ours.entries())[0]:
            if isinstance(entry.event, ClockTicked):
                for source, hours in entry.event.seen.items():
                    found.setdefault(source, set()).update(hours)
        return found

    found = await eventually(seen, what="a tick with hours")
    assert found["/a"] <= {hour, hour + 1}
    assert found["/b"] == {482_136}  # 2025-01-01T00:00Z in hours: 20,089 days x 24
    ticks = [e for e in (await ours.entries())[0] if isinstance(e.event, ClockTicked)]
    assert all(abs(tick.time / 1e6 - time.time()) < 60 for tick in ticks)
    assert len({tick.id for tick in ticks}) == len(ticks)


async def test_refusals_are_answered_and_kept_with_their_bytes(ours: Deployment) -> None:
    key, ingest = await ours.key("/api"), await ours.live()
    broken = event("2", data={"metric": "m", "quantity": -1})

    status, answer = await ingest.post([event("1"), broken, event("3", source="/b")], key)

    assert (status, answer["accepted"]) == (200, 1)
    assert [(r["index"], r["field"], r["reason"]) for r in answer["rejected"]] == [
        (1, "data.quantity", "invalid"),
        (2, "source", "forbidden_source"),
    ]
    records = [each for part in await ours.read("rejects.v1") for each in part]
    kept = [msgspec.json.decode(each.value, type=Reject) for each in records]
    assert {each.key for each in records} == {b"/api", b"/b"}
    assert sorted((r.index or 0, r.reason, json.loads(r.raw)["id"]) for r in kept) == [
        (1, "invalid", "2"),
        (2, "forbidden_source", "3"),
    ]


async def test_a_revoked_key_is_refused_within_seconds(ours: Deployment) -> None:
    key, ingest = await ours.key(), await ours.live()
    assert (await ingest.post([event("1")], key))[0] == 200

    await revoke_key(ours.config, key.split("_")[2])

    async def status() -> bool:
        return (await ingest.post([event("2")], key))[0] == 401

    await eventually(status, within=5, what="401 for a revoked key")
    text = ingest.log.read_text()
    assert (key[-43:] not in text, key.split("_")[2] in text) == (True, True)


async def test_what_was_answered_2xx_outlives_kill_9_and_counts_once(
    ours: Deployment, seed: int
) -> None:
    chance, key = random.Random(seed), await ours.key()
    acknowledged: set[str] = set()
    ids = iter(range(10**9))
    ingest = await ours.live()
    calm = asyncio.Event()

    async def client() -> None:
        while not calm.is_set():
            batch = [event(f"e{next(ids)}", f"acct_{chance.randrange(50)}") for _ in range(20)]
            while not calm.is_set():
                try:
                    status, answer = await ingest.post(batch, key)
                except aiohttp.ClientError:
                    status = 0
                if status == 200:
                    assert answer["rejected"] == []
                    acknowledged.update(each["id"] for each in batch)
                    break
                await asyncio.sleep(0.02)

    clients = [asyncio.create_task(client()) for _ in range(3)]
    for _ in range(3):
        enough = len(acknowledged) + 100 + chance.randrange(400)
        await eventually(partial(_reaches, acknowledged, enough), within=30)
        await ingest.end(signal.SIGKILL)
        ingest = await ours.live()
    calm.set()
    await asyncio.gather(*clients)

    counts = counted(await ours.entries())
    assert {id for id in acknowledged if counts.get(id) != 1} == set()


def _reaches(acknowledged: set[str], enough: int) -> bool:
    return len(acknowledged) >= enough


async def test_it_says_what_is_wrong_and_ends_with_the_code_for_it(ours: Deployment) -> None:
    bad = await ours.start(kafka="nowhere", ingest_tick_seconds="0", prefixx="x")
    absent = await ours.start(prefix="absent.")
    await eventually(lambda: absent.child.returncode is not None, within=30)
    other_count = await ours.start(partitions="5")
    await eventually(lambda: other_count.child.returncode is not None, within=30)

    codes = [each.child.returncode for each in (bad, absent, other_count)]
    assert codes == [78, 78, 78]
    wrong = json.loads(bad.log.read_text())["faults"]
    assert [each.split("=")[0].split(":")[0] for each in wrong] == [
        "EBBWATCH_INGEST_TICK_SECONDS",
        "EBBWATCH_KAFKA",
        "EBBWATCH_PREFIXX",
    ]
    assert "absent.events.v1 is missing; run `ebbwatch topics apply`" in absent.log.read_text()
    assert "set EBBWATCH_PARTITIONS=4" in other_count.log.read_text()


async def test_a_taken_port_is_an_error_that_names_it(ours: Deployment) -> None:
    port = free_port()
    server = await asyncio.start_server(lambda _reader, writer: writer.close(), "127.0.0.1", port)

    ingest = await ours.start(ingest_port=str(port))

    async with server:
        await eventually(lambda: ingest.child.returncode is not None, within=30)
    assert ingest.child.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ingest.log.read_text()
    assert "set EBBWATCH_INGEST_PORT" in ingest.log.read_text()


async def test_an_endless_body_gets_413_and_takes_no_memory(ours: Deployment) -> None:
    key, ingest = await ours.key(), await ours.live()
    await ingest.post([event("1")], key)
    before = _resident_kilobytes(ingest.child.pid)

    answers = await asyncio.gather(*(_endless(ingest.url, key) for _ in range(5)))

    assert [answer.split()[1] for answer, _ in answers] == [b"413"] * 5
    # Some megabytes lie in the buffers of both kernels' sockets when the answer comes.
    assert max(sent for _, sent in answers) < 30_000_000
    assert _resident_kilobytes(ingest.child.pid) - before < 100_000
    assert (await ingest.post([event("2")], key))[0] == 200


def _resident_kilobytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0])


async def _endless(url: str, key: str) -> tuple[bytes, int]:
    """Send chunks until the answer comes; returns its first line and how much was sent."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
        "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    writer.write(head.encode())
    answer, sent = asyncio.ensure_future(reader.readline()), 0
    while not answer.done() and sent < 1_000_000_000:
        writer.write(b"10000\r\n" + b" " * 65_536 + b"\r\n")
        sent += 65_536
        with contextlib.suppress(ConnectionError):
            await writer.drain()
    writer.close()
    return await answer, sent
