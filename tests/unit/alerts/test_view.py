"""The view on a fake Redis: what tests/contract/ cannot show as well on a real one."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from dataclasses import replace
from typing import Any, Literal

import pytest
from fakeredis import FakeAsyncRedis, FakeServer
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as HungUp

from schemas.accounts import AccountDays, AccountSummary
from schemas.cases import LogRecord
from services.alerts.shown import ActionAnswer, Change
from services.alerts.view import Batch, Trimmed, ViewAway, ViewLost, part
from services.alerts.view.codec import PACK_BYTES, dump, pack, plain, unpack
from services.alerts.view.link import connect, connect_waiting
from services.alerts.view.script import GUARD, LOST
from services.alerts.view.stream import START
from tests.contract.owners import Owner
from tests.contract.redis_servers import RedisServer, fake, kept, put_back
from tests.unit.alerts import builders as b


@pytest.fixture
def gone() -> FakeServer:
    """The server behind `server`; `connected = False` takes it away."""
    return FakeServer()


@pytest.fixture
async def server(gone: FakeServer) -> AsyncIterator[RedisServer]:
    found = fake(gone)
    yield found
    gone.connected = True
    await found.close()


def summary(account: str, **fields: Any) -> AccountSummary:
    return AccountSummary(account=account, stamp=1, **fields)


def days(account: str, month: str, value: float = 1) -> AccountDays:
    return AccountDays(account=account, month=month, metrics={"usage": [value]})


async def away(call: Coroutine[Any, Any, Any]) -> None:
    with pytest.raises(ViewAway):
        await call


class TestAway:
    async def test_what_could_not_be_written_goes_with_the_next_write(
        self, server: RedisServer, gone: FakeServer
    ) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised())
        gone.connected = False
        await away(owner.say(b.acknowledged(id="x")))
        await away(owner.say(b.commented("one")))
        gone.connected = True
        await owner.say(b.commented("two"))
        view = server.view(1)
        page, answer = await view.account("acme"), await view.answer("x")
        assert page is not None
        assert answer is not None
        assert [one.text for one in page.timeline] == ["two", "one", "", "It fell."]
        assert answer.status == "applied"
        said = [one.type for one in await view.changes("0-0", 0, 9)]
        assert said == ["alert.raised", "case.acknowledged", "case.commented", "case.commented"]

    async def test_what_could_not_be_written_goes_with_a_beat(
        self, server: RedisServer, gone: FakeServer
    ) -> None:
        owner = await Owner(server).begin()
        gone.connected = False
        await away(owner.say(b.raised()))
        await away(owner.view.beat(0, "first", server.clock()))
        gone.connected = True
        assert await owner.view.beat(0, "first", server.clock()) is True
        assert [one.account for one in await server.view(1).cases()] == ["acme"]

    async def test_of_too_much_that_waits_a_rebuild_is_asked_for(
        self, server: RedisServer, gone: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(part, "WAITING_LIMIT", 5)
        owner = await Owner(server).begin()
        gone.connected = False
        await away(owner.tell(*[summary(f"acct_{n}") for n in range(6)]))
        gone.connected = True
        # Nothing later may be written: the marker would say that all before it is there.
        with pytest.raises(ViewLost):
            await owner.say(b.raised())
        assert await owner.view.beat(0, "first", server.clock()) is False
        await owner.begin()
        assert await owner.view.beat(0, "first", server.clock()) is True
        assert len((await server.view(1).accounts("", None, 9))[0]) == 6

    async def test_a_list_that_was_held_is_not_shown_as_if_redis_were_there(
        self, server: RedisServer, gone: FakeServer
    ) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised())
        view = server.view(1)
        await view.cases()
        gone.connected = False
        await away(view.cases())

    async def test_what_another_version_wrote_is_the_view_away_and_no_crash(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised())
        for key, value in (("open", b"{}"), ("alerts:acme", b"\x78nonsense")):
            field = "acme" if key == "open" else "a"
            await server.client.hset(f"test.view:0:{key}", field, value)
        view = server.view(1)
        for call in (view.cases(), view.case("acme"), view.account("acme"), view.alert("a")):
            with pytest.raises(ViewAway, match="this version cannot read"):
                await call

    @pytest.mark.parametrize("fields", [{"c": "[]"}, {"c": "{"}, {"d": "{}"}])
    async def test_a_place_before_a_message_that_cannot_be_read_is_no_good(
        self, server: RedisServer, fields: dict[Any, Any]
    ) -> None:
        await server.client.xadd("test.view:stream", fields)
        view = server.view(1)
        with pytest.raises(Trimmed, match="this version cannot read"):
            await view.changes(START, 0, 9)
        assert await view.changes(await view.tip(), 0, 9) == []


class Deaf(FakeAsyncRedis):
    """A client that does what it is told, and may lose the answer."""

    deaf = False

    async def execute_command(self, *words: Any, **options: Any) -> Any:
        answer = await super().execute_command(*words, **options)  # type: ignore[no-untyped-call]
        if self.deaf:
            raise HungUp("the answer was lost")
        return answer


class TestOlder:
    async def test_what_was_done_unanswered_seen_and_lost_again_hides_nothing_later(self) -> None:
        gone = FakeServer()
        clients: list[Deaf] = []

        def client(_: str) -> Redis:
            clients.append(Deaf(server=gone, protocol=2))
            return clients[-1]

        server = RedisServer("redis://fake:6379/0", client, client)
        owner = await Owner(server).begin()
        writing = clients[1]
        await owner.tell(summary("erased"))
        reader = server.view(1)
        assert len((await reader.accounts("", None, 9))[0]) == 1
        before = await kept(server)
        writing.deaf = True
        await away(owner.say(b.raised()))
        # Both lists have read the version of what is lost now.
        assert [one.account for one in await reader.cases()] == ["acme"]
        assert len((await reader.accounts("", None, 9))[0]) == 1
        await put_back(server, before)
        writing.deaf = False
        await owner.view.write(0, "first", Batch(gone=["erased"]))
        assert [one.account for one in await reader.cases()] == ["acme"]
        assert (await reader.accounts("", None, 9))[0] == []
        await server.close()

    async def test_a_call_that_was_given_up_and_arrives_late_changes_nothing(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        before = await server.client.hgetall("test.view:0:marker")
        sent = int(before[b"seq"])
        keys = ["test.view:0:marker", "test.view:stream"]
        late = ["first", sent - 1, sent, 3, "SET", "late", "1"]
        assert await server.client.register_script(GUARD)(keys=keys, args=late) == LOST
        assert await server.client.hgetall("test.view:0:marker") == before
        assert await server.client.get("late") is None
        assert await owner.view.beat(0, "first", server.clock()) is True


class TestBatch:
    def test_a_later_one_goes_after_an_earlier_one(self) -> None:
        change = Change(id="", type="case.commented", account="a")
        answer = ActionAnswer(id="x", account="a", status="applied")
        batch = Batch(1, 10, 5.0, summaries=[summary("a")], days=[days("a", "2026-05")])
        batch.add(Batch(2, 20, 6.0, answers=[answer], changes=[change], gone=["z"]))
        assert batch == Batch(
            2,
            20,
            6.0,
            summaries=[summary("a")],
            days=[days("a", "2026-05")],
            answers=[answer],
            changes=[change],
            gone=["z"],
        )
        assert len(batch) == 5

    def test_what_is_deleted_later_is_deleted(self) -> None:
        batch = Batch(summaries=[summary("a"), summary("b")], days=[days("a", "2026-05")])
        batch.add(Batch(gone=["a", "a/days/2026-05"]))
        assert batch == Batch(summaries=[summary("b")], gone=["a", "a/days/2026-05"])

    def test_what_is_written_again_later_is_there(self) -> None:
        batch = Batch(gone=["a", "a/days/2026-05", "b"])
        batch.add(Batch(summaries=[summary("a")], days=[days("a", "2026-05")]))
        assert batch == Batch(summaries=[summary("a")], days=[days("a", "2026-05")], gone=["b"])

    def test_an_empty_one_takes_nothing_back(self) -> None:
        batch = Batch(7, 70, 7.0, summaries=[summary("a")])
        before = replace(batch, summaries=list(batch.summaries))
        batch.add(Batch())
        assert batch == before


class TestCodec:
    @given(st.text(max_size=3 * PACK_BYTES))
    def test_what_is_packed_comes_back(self, text: str) -> None:
        answer = ActionAnswer(id="x", account="a", status="conflict", detail=text)
        stored = pack(answer)
        assert unpack(ActionAnswer, stored) == answer
        assert plain(stored) == dump(answer)

    def test_what_is_long_takes_less(self) -> None:
        answer = ActionAnswer(id="x", account="a", status="conflict", detail="It fell. " * 200)
        assert len(pack(answer)) * 10 < len(dump(answer))


def test_no_client_tries_again_by_itself_or_waits_long() -> None:
    kinds = {"brief": connect, "waiting": connect_waiting}
    told = {}
    for name, make in kinds.items():
        known = make("redis://127.0.0.1:1/0").connection_pool.connection_kwargs
        tries = known["retry"].get_retries()
        told[name] = (tries, known["socket_connect_timeout"], known["socket_timeout"])
    assert told == {"brief": (0, 1.0, 1.0), "waiting": (0, 1.0, None)}


ACCOUNTS = ("acme", "other", "third")
Happening = Literal["write", "twice", "away", "flush", "heir", "older"]


def records(account: str) -> st.SearchStrategy[LogRecord]:
    alerts = st.sampled_from(["x", "y", "z"]).map(lambda id: f"{id} of {account}")
    severities = st.sampled_from(["low", "medium", "critical"])
    about = {"account": st.just(account), "shadow": st.booleans()}
    case = st.just(account)
    return st.one_of(
        st.builds(b.raised, alerts, severities, **about),
        st.builds(b.worsened, alerts, severities, account=case),
        st.builds(b.cleared, alerts, account=case),
        st.builds(b.acknowledged, case=case),
        st.builds(b.snoozed, case=case),
        st.builds(b.resolved, case=case),
        st.builds(b.reopened, case=case),
        st.builds(b.commented, case=case),
        st.builds(b.feedback, alerts, case=case),
    )


steps = st.lists(
    st.tuples(
        st.lists(st.sampled_from(ACCOUNTS).flatmap(records), max_size=5),
        st.sampled_from(["write", "write", "twice", "away", "flush", "heir", "older"]),
    ),
    min_size=1,
    max_size=8,
)


async def everything(server: RedisServer, reader: Any = None) -> list[Any]:
    view = reader or server.view(1)
    return [
        sorted(await view.cases(), key=lambda one: one.account),
        sorted(await view.cases(resolved=True), key=lambda one: one.account),
        [await view.account(one) for one in ACCOUNTS],
        await view.alerts(False, None, 99),
        await view.alerts(True, None, 99),
        (await view.freshness()).complete,
    ]


async def written(server: RedisServer, gone: FakeServer, owner: Owner, how: str) -> Owner:
    """Fold and write what is new, in one of the ways in which that can go."""
    if how == "heir":
        stamp, appended = owner.partition.stamp, owner.partition.appended
        heir = Owner(server, f"{owner.epoch}+", log=owner.log)
        # The snapshot lies behind: all is folded again, and written over what is there.
        await heir.view.claim(0, heir.epoch, min(stamp, 0), appended if stamp >= 0 else -1)
        if not await heir.view.beat(0, heir.epoch, server.clock()):
            await heir.rebuild()
        owner = heir
    batch = owner.batch()
    if how == "away":
        gone.connected = False
        await away(owner.view.write(0, owner.epoch, batch))
        gone.connected = True
        assert await owner.view.beat(0, owner.epoch, server.clock())
        return owner
    if how == "older":
        before = await kept(server)
        await owner.view.write(0, owner.epoch, batch)
        await put_back(server, before)
        assert not await owner.view.beat(0, owner.epoch, server.clock())
        return await owner.begin()
    if how == "flush":
        await server.client.flushdb()
        assert not await owner.view.beat(0, owner.epoch, server.clock())
        return await owner.begin()
    for _ in range(2 if how == "twice" else 1):
        await owner.view.write(0, owner.epoch, batch)
    return owner


@settings(max_examples=30)
@given(steps)
def test_whatever_happens_the_view_is_what_the_log_says(
    happened: list[tuple[list[LogRecord], str]],
) -> None:
    async def play() -> tuple[list[Any], list[Any], list[Any]]:
        gone = FakeServer()
        server, fresh = fake(gone), fake()
        owner = await Owner(server).begin()
        reader = server.view(1)
        for news, how in happened:
            owner.log.add(*news)
            owner = await written(server, gone, owner, how)
            await reader.cases()
        await Owner(fresh, log=owner.log).begin()
        found = (
            await everything(server),
            await everything(server, reader),
            await everything(fresh),
        )
        await server.close()
        await fresh.close()
        return found

    new, followed, expected = asyncio.run(play())
    assert new == expected
    assert followed == expected
