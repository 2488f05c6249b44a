"""What the view does when a real Redis dies, freezes, is full, or is not there."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from schemas.accounts import AccountSummary
from services.alerts.view import Batch, Trimmed, View, ViewAway, ViewLost
from services.alerts.view.link import METHOD_SECONDS
from tests.contract.owners import Owner
from tests.contract.redis_servers import RedisServer, real, redis_process, redis_server
from tests.platform import eventually, free_port
from tests.unit.alerts import builders as b

pytestmark = pytest.mark.integration

LEEWAY = 0.5
"""Seconds that a busy machine may take longer."""

Call = Callable[[View], Coroutine[Any, Any, Any]]

READS: dict[str, Call] = {
    "cases": lambda view: view.cases(),
    "case": lambda view: view.case("acme"),
    "account": lambda view: view.account("acme"),
    "accounts": lambda view: view.accounts("", None, 10),
    "alert": lambda view: view.alert("a"),
    "alerts": lambda view: view.alerts(False, None, 10),
    "answer": lambda view: view.answer("x"),
    "sparks": lambda view: view.sparks([("acme", "usage")], date(2026, 5, 14)),
    "freshness": lambda view: view.freshness(),
    "tip": lambda view: view.tip(),
    "changes": lambda view: view.changes(None, 0, 10),
}
WRITES: dict[str, Call] = {
    "claim": lambda view: view.claim(1, "other"),
    "beat": lambda view: view.beat(0, "first", 1.0),
    "write": lambda view: view.write(0, "first", Batch()),
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@contextlib.asynccontextmanager
async def on(url: str) -> AsyncIterator[RedisServer]:
    server = real(url)
    try:
        yield server
    finally:
        for view in server.opened:
            await view.close()
        await server.client.aclose()


async def refused(call: Coroutine[Any, Any, Any]) -> tuple[float, str]:
    """Return after how long a call said that the view is away, and what it said."""
    begun = time.monotonic()
    with pytest.raises(ViewAway) as raised:
        await call
    return time.monotonic() - begun, str(raised.value)


async def test_where_nobody_listens_every_method_says_so_at_once() -> None:
    async with on(f"redis://user:secret@127.0.0.1:{free_port()}/0") as server:
        view = server.view(2)
        with pytest.raises(ViewAway):
            await view.claim(0, "first")
        for call in (READS | WRITES).values():
            took, said = await refused(call(view))
            assert took < LEEWAY
            assert "secret" not in said
            assert "127.0.0.1" in said
            assert "EBBWATCH_REDIS_URL" in said


async def test_a_restart_loses_all_and_the_owner_writes_it_anew(folder: Path) -> None:
    port = free_port()
    with contextlib.ExitStack() as running:
        url, process = running.enter_context(redis_process(folder, port=port))
        async with on(url) as server:
            owner = await Owner(server).begin()
            await owner.say(b.raised(), b.commented())
            view = server.view(1)
            before = await view.account("acme")
            process.send_signal(signal.SIGKILL)
            process.wait()
            took, _ = await refused(view.account("acme"))
            assert took < LEEWAY
            with pytest.raises(ViewAway):
                await owner.say(b.commented("while it was away"))
            running.enter_context(redis_process(folder, port=port))
            # What waited is not written into a view that lacks the rest.
            assert await owner.view.beat(0, "first", server.clock()) is False
            with pytest.raises(ViewLost):
                await owner.view.write(0, "first", Batch())
            assert await server.keys() == []
            await owner.begin()
            after = await view.account("acme")
            assert before is not None
            assert after is not None
            assert [one.text for one in after.timeline] == ["while it was away"] + [
                one.text for one in before.timeline
            ]


@contextlib.asynccontextmanager
async def with_an_older_dump(folder: Path) -> AsyncIterator[tuple[RedisServer, Owner, View]]:
    """Give a server that came back with less than it had acknowledged; "lost" is missing."""
    port = free_port()
    with contextlib.ExitStack() as running:
        url, process = running.enter_context(redis_process(folder, port=port))
        async with on(url) as server:
            owner = await Owner(server).begin()
            await owner.say(b.raised(account="kept"))
            await server.client.save()
            await owner.say(b.raised("b", account="lost"))
            reader = server.view(1)
            assert sorted(one.account for one in await reader.cases()) == ["kept", "lost"]
            process.send_signal(signal.SIGKILL)
            process.wait()
            await refused(reader.cases())
            running.enter_context(redis_process(folder, port=port))
            assert await server.client.hkeys("test.view:0:open") == [b"kept"]
            yield server, owner, reader


@contextlib.asynccontextmanager
async def with_a_replica_behind(folder: Path) -> AsyncIterator[tuple[RedisServer, Owner, View]]:
    """Give a server that took the other one's place with less than that had acknowledged."""
    (folder / "other").mkdir()
    with contextlib.ExitStack() as running:
        at_once = ("--repl-diskless-sync-delay", "0")
        url, process = running.enter_context(redis_process(folder, *at_once))
        other, _ = running.enter_context(redis_process(folder / "other"))
        async with on(url) as server, on(other) as replica:
            port = url.rpartition(":")[2].partition("/")[0]
            owner = await Owner(server).begin()
            await owner.say(b.raised(account="kept"))
            await replica.client.execute_command("REPLICAOF", "127.0.0.1", port)

            async def followed() -> bool:
                return bool(await replica.client.hexists("test.view:0:open", "kept"))

            await eventually(followed, what="the replica")
            await replica.client.execute_command("REPLICAOF", "NO", "ONE")
            await owner.say(b.raised("b", account="lost"))
            reader = server.view(1)
            assert sorted(one.account for one in await reader.cases()) == ["kept", "lost"]
            process.send_signal(signal.SIGKILL)
            process.wait()
            await refused(reader.cases())
            await replica.client.config_set("port", port)
            yield server, owner, reader


Older = Callable[[Path], contextlib.AbstractAsyncContextManager[tuple[RedisServer, Owner, View]]]
older = pytest.mark.parametrize("come_back", [with_an_older_dump, with_a_replica_behind])


@older
async def test_a_redis_that_knows_less_than_it_did_is_noticed_by_the_owner(
    folder: Path, come_back: Older
) -> None:
    async with come_back(folder) as (server, owner, reader):
        assert await owner.view.beat(0, "first", server.clock()) is False
        with pytest.raises(ViewLost, match="older than what was written"):
            await owner.say(b.raised("c", account="later"))
        assert (await reader.freshness()).complete is False
        # What was known stays until all of it is back.
        assert sorted(one.account for one in await reader.cases()) == ["kept", "lost"]
        await owner.begin()
        everybody = ["kept", "later", "lost"]
        for view in (reader, server.view(1)):
            assert sorted(one.account for one in await view.cases()) == everybody
            assert (await view.freshness()).complete is True
        await owner.say(b.raised("d", account="newest"))
        assert sorted(one.account for one in await reader.cases()) == sorted([*everybody, "newest"])


@older
async def test_a_redis_that_knows_less_than_it_did_is_noticed_by_a_new_owner(
    folder: Path, come_back: Older
) -> None:
    async with come_back(folder) as (server, owner, reader):
        # Its snapshot lies behind what Redis has: of the log nothing would be missing.
        heir = Owner(server, "second", log=owner.log)
        first = heir.log.messages[0]
        assert await heir.view.claim(0, "second", first[0], first[1]) is False
        assert (await reader.freshness()).complete is False
        await heir.rebuild()
        assert sorted(one.account for one in await reader.cases()) == ["kept", "lost"]
        last = owner.partition
        assert await server.view(1).claim(0, "third", last.stamp, last.appended) is True


@older
async def test_what_the_live_stream_lost_is_not_passed_over(folder: Path, come_back: Older) -> None:
    async with come_back(folder) as (server, owner, reader):
        place = await reader.tip()
        assert await owner.view.beat(0, "first", server.clock()) is False
        await owner.begin()
        await owner.say(b.raised("c", account="later"))
        with pytest.raises(Trimmed):
            await reader.changes(place, 0, 10)


async def test_nobody_waits_long_for_a_server_that_is_frozen(folder: Path) -> None:
    with redis_process(folder) as (url, process):
        async with on(url) as server:
            owner = await Owner(server).begin()
            await owner.say(b.raised())
            process.send_signal(signal.SIGSTOP)
            try:
                waits = READS | {"waiting": lambda view: view.changes("0-0", 200, 10)}
                views = [(name, call, server.view(1)) for name, call in waits.items()]
                views += [(name, WRITES[name], owner.view) for name in ("write", "beat")]
                first = await asyncio.gather(*[refused(call(view)) for _, call, view in views])
                # The next ones do not even try.
                again = await asyncio.gather(*[refused(call(view)) for _, call, view in views])
                names = [name for name, *_ in views]
                limit = METHOD_SECONDS + LEEWAY
                assert [n for n, (took, _) in zip(names, first, strict=True) if took > limit] == []
                assert [
                    n for n, (_, said) in zip(names, again, strict=True) if "ago" not in said
                ] == []
            finally:
                process.send_signal(signal.SIGCONT)
            assert (await server.view(1).account("acme")) is not None


async def test_many_that_wait_for_a_frozen_server_end_together(folder: Path) -> None:
    with redis_process(folder) as (url, process):
        async with on(url) as server:
            view = server.view(1)
            await view.freshness()
            process.send_signal(signal.SIGSTOP)
            try:
                begun = time.monotonic()
                found = await asyncio.gather(
                    *[view.account(f"acct_{n}") for n in range(200)], return_exceptions=True
                )
                took = time.monotonic() - begun
            finally:
                process.send_signal(signal.SIGCONT)
            assert {type(one) for one in found} == {ViewAway}
            assert took < METHOD_SECONDS + LEEWAY


async def test_what_could_not_be_written_is_written_when_the_server_wakes(folder: Path) -> None:
    with redis_process(folder) as (url, process):
        async with on(url) as server:
            owner = await Owner(server).begin()
            await owner.say(b.raised())
            process.send_signal(signal.SIGSTOP)
            try:
                for n in range(3):
                    with pytest.raises(ViewAway):
                        await owner.say(b.commented(f"comment {n}"))
            finally:
                process.send_signal(signal.SIGCONT)

            async def beaten() -> bool:
                with contextlib.suppress(ViewAway):
                    return await owner.view.beat(0, "first", server.clock())
                return False

            await eventually(beaten, within=METHOD_SECONDS + LEEWAY, what="the beat")
            page = await server.view(1).account("acme")
            assert page is not None
            assert [one.text for one in page.timeline] == [
                *[f"comment {n}" for n in (2, 1, 0)],
                "It fell.",
            ]
            stamp = int(await server.client.hget("test.view:0:marker", "stamp") or -1)
            assert stamp == owner.partition.stamp


async def test_a_full_server_keeps_what_it_has_and_takes_nothing_half(folder: Path) -> None:
    with redis_server(folder, "--maxmemory-policy", "noeviction") as url:
        async with on(url) as server:
            owner = await Owner(server).begin()
            await owner.say(b.raised())
            before = await server.view(1).account("acme")
            await server.client.config_set("maxmemory", "1mb")
            filler = {f"n{n}": random.Random(n).randbytes(400).hex() for n in range(200)}
            with pytest.raises(ViewAway, match="OutOfMemoryError"):
                await owner.say(b.raised("b", because=filler), b.commented("x" * 4_000))
            view = server.view(1)
            assert await view.account("acme") == before
            assert [one.account for one in await view.cases()] == ["acme"]
            await server.client.config_set("maxmemory", "0")
            assert await owner.view.beat(0, "first", server.clock()) is True
            page = await view.account("acme")
            assert page is not None
            assert [one.n for one in page.timeline] == [2, 1, 0]


async def test_a_call_that_is_given_up_mixes_up_no_other_answer(valkey: str, seed: int) -> None:
    chance = random.Random(seed)
    async with on(valkey) as server:
        owner = await Owner(server).begin()
        ids = [f"acct_{n}" for n in range(20)]
        await owner.tell(*[AccountSummary(account=one, stamp=1, name=f"{one} Ltd") for one in ids])
        view = server.view(1)
        for _ in range(300):
            given_up = asyncio.ensure_future(view.account(chance.choice(ids)))
            for _ in range(chance.randrange(12)):
                await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.wait({given_up})
            wanted = chance.choice(ids)
            page = await view.account(wanted)
            assert page is not None
            assert page.name == f"{wanted} Ltd"
        await server.client.flushdb()


async def test_a_write_that_is_given_up_is_written_later(valkey: str) -> None:
    async with on(valkey) as server:
        owner = await Owner(server).begin()
        await server.client.execute_command("CLIENT", "PAUSE", "60000", "WRITE")
        writing = asyncio.ensure_future(owner.say(b.raised(account="acct_0")))
        await asyncio.wait({writing}, timeout=0.05)
        writing.cancel()
        await asyncio.wait({writing})
        assert writing.cancelled()
        await server.client.execute_command("CLIENT", "UNPAUSE")
        # Given up at any other point, or just not any more: Valkey is quick.
        for ticks in range(1, 25):
            writing = asyncio.ensure_future(owner.say(b.raised(account=f"acct_{ticks}")))
            for _ in range(ticks):
                await asyncio.sleep(0)
            writing.cancel()
            await asyncio.wait({writing})
        assert await owner.view.beat(0, "first", server.clock()) is True
        found = {one.account for one in await server.view(1).cases()}
        assert found == {f"acct_{ticks}" for ticks in range(25)}
        await server.client.flushdb()


async def test_a_failure_is_not_followed_by_a_storm_of_tries(folder: Path) -> None:
    tries = 0

    async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal tries
        tries += 1
        writer.close()
        await writer.wait_closed()

    listening = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    async with on(f"redis://127.0.0.1:{port}/0") as server:
        view = server.view(8)
        for call in READS.values():
            await refused(call(view))
    listening.close()
    assert tries == len(READS)
