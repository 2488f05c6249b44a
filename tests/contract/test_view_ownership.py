"""Who may write the view, and what becomes of it when it is lost."""

from datetime import UTC, datetime
from typing import Any

import pytest

from services.alerts.shown import Freshness
from services.alerts.view import Batch, Superseded, ViewLost
from tests.contract.owners import Owner
from tests.contract.redis_servers import PREFIX, RedisServer
from tests.contract.seen import dump, month, read, summary
from tests.unit.alerts import builders as b


class TestOwnership:
    async def test_who_comes_after_another_reads_on_if_the_view_has_all_that_he_has(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised(), b.commented())
        stamp, appended = owner.partition.stamp, owner.partition.appended
        asked = {
            "nothing folded": (-1, -1),
            "less than is there": (0, b.us(0)),
            "what is there": (stamp, appended),
            "more than is there": (stamp + 1, appended + 1),
            "less, but of a log that was begun anew": (0, appended + 1),
        }
        told = {}
        for what, (at, when) in asked.items():
            # Each claim that fails leaves the partition to be rebuilt.
            await Owner(server, epoch=f"before {what}", log=owner.log).begin()
            told[what] = await server.view(1).claim(0, what, at, when)
        assert told == {
            "nothing folded": False,
            "less than is there": True,
            "what is there": True,
            "more than is there": False,
            "less, but of a log that was begun anew": False,
        }

    async def test_another_partition_count_is_rebuilt(self, server: RedisServer) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised())
        at = (owner.partition.stamp, owner.partition.appended)
        assert await server.view(2).claim(0, "second", *at) is False

    async def test_an_owner_of_before_writes_nothing(self, server: RedisServer) -> None:
        zombie = await Owner(server).begin()
        await zombie.say(b.raised())
        heir = Owner(server, epoch="second", log=zombie.log)
        at = (zombie.partition.stamp, zombie.partition.appended)
        assert await heir.view.claim(0, "second", *at) is True
        marker = f"{PREFIX}view:0:marker"
        before = await dump(server), await server.client.hgetall(marker), await server.keys()
        with pytest.raises(Superseded):
            await zombie.say(b.commented("too late"))
        with pytest.raises(Superseded):
            await zombie.tell(summary())
        with pytest.raises(Superseded):
            await zombie.view.beat(0, "first", server.clock())
        with pytest.raises(Superseded):
            await zombie.rebuild()
        after = await dump(server), await server.client.hgetall(marker), await server.keys()
        assert before == after

    async def test_who_never_claimed_writes_nothing(self, server: RedisServer) -> None:
        with pytest.raises(Superseded):
            await server.view(1).write(0, "first", Batch())
        assert await server.keys() == []

    async def test_nothing_of_a_former_owner_outlives_a_rebuild(self, server: RedisServer) -> None:
        former = await Owner(server).begin()
        await former.tell(summary("gone"), month("gone", "2026-05", 1), summary("acme"))
        await former.say(
            b.raised("x", account="gone"), b.raised("y"), b.raised("z", account="ended")
        )
        await former.say(b.cleared("z", account="ended"))
        heir = Owner(server, epoch="second", accounts=[summary("acme")])
        heir.log.add(b.raised("y"))
        await heir.begin()
        after = await dump(server)
        await server.client.flushdb()
        await Owner(server, log=heir.log, accounts=heir.accounts).begin()
        assert after == await dump(server)

    async def test_a_rebuild_is_complete_only_at_its_end(self, server: RedisServer) -> None:
        owner = Owner(server)
        owner.log.add(b.raised())
        view = server.view(1)
        seen = []

        async def looking() -> Any:
            seen.append((await view.freshness()).complete)
            seen.append(await owner.view.beat(0, "first", server.clock()))
            for one in (summary(),):
                yield one

        await owner.view.claim(0, "first")
        owner.fold()
        assert await owner.view.beat(0, "first", 0) is False
        await owner.view.rebuild(0, "first", owner.cases(), [], looking(), owner.stamp)
        seen += [(await view.freshness()).complete, await owner.view.beat(0, "first", 0)]
        # A beat while it is under way asks for no other one.
        assert seen == [False, True, True, True]

    async def test_a_rebuild_that_broke_off_is_asked_for_again(self, server: RedisServer) -> None:
        owner = Owner(server)
        await owner.view.claim(0, "first")

        async def breaking() -> Any:
            yield summary()
            raise RuntimeError("Kafka is away")

        with pytest.raises(RuntimeError):
            await owner.view.rebuild(0, "first", [], [], breaking(), owner.stamp)
        assert await owner.view.beat(0, "first", server.clock()) is False
        assert (await server.view(1).freshness()).complete is False

    async def test_what_is_written_during_a_rebuild_is_not_overwritten(
        self, server: RedisServer
    ) -> None:
        owner = Owner(server)
        owner.log.add(*[b.raised(f"a{n}", account=f"acct_{n}") for n in range(120)])
        old = [summary(), summary("erased"), month("acme", "2026-05", 1), summary("other")]

        async def reading() -> Any:
            for one in old:
                yield one
            await owner.tell(summary(name="Acme Inc"), month("acme", "2026-05", 2))
            await owner.view.write(0, "first", Batch(gone=["erased"]))
            await owner.say(b.acknowledged(case="acct_119"), b.raised("new", account="new"))

        await owner.view.claim(0, "first")
        owner.fold()
        owner.partition.take_changed()
        await owner.view.rebuild(0, "first", owner.cases(), [], reading(), owner.stamp)
        view = server.view(1)
        page = await view.account("acme")
        assert page is not None
        assert (page.name, page.days) == ("Acme Inc", {"usage": {"2026-05-01": 2.0}})
        found, _ = await view.accounts("", None, 10)
        assert [one.account for one in found] == ["acme", "other"]
        states = {one.account: one.state for one in await view.cases()}
        assert states == {f"acct_{n}": "open" for n in range(119)} | {
            "acct_119": "acknowledged",
            "new": "open",
        }

    async def test_a_case_is_taken_for_a_rebuild_just_before_it_is_written(
        self, server: RedisServer
    ) -> None:
        owner = Owner(server)
        owner.log.add(*[b.raised(f"a{n}", account=f"acct_{n}") for n in range(200)])
        await owner.view.claim(0, "first")
        owner.fold()
        owner.partition.take_changed()

        def acting() -> Any:
            for place, one in enumerate(owner.cases()):
                yield one
                if place == 40:
                    # Folded while the rebuild is under way; written after it.
                    owner.log.add(b.acknowledged(case="acct_150"))
                    owner.fold()

        await owner.view.rebuild(0, "first", acting(), [], owner.records(), owner.stamp)
        case = await server.view(1).case("acct_150")
        assert case is not None
        assert case.state == "acknowledged"


class TestLoss:
    async def test_after_a_flush_the_owner_is_told_and_all_comes_back(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        await owner.tell(summary(), month("acme", "2026-05", 1))
        await owner.say(b.raised("a"), b.acknowledged(id="act"), b.raised("b"), b.cleared("b"))
        view = server.view(1)
        before = await read(view), await dump(server)
        await server.client.flushdb()
        assert await owner.view.beat(0, "first", server.clock()) is False
        with pytest.raises(ViewLost):
            await owner.say(b.commented())
        assert (await view.freshness()).complete is False
        assert await server.keys() == []
        del owner.log.messages[-1]
        owner.partition = b.apply(type(owner.partition).begin(0, 1), owner.log.messages)
        await owner.begin()
        assert (await view.freshness()).complete is True
        assert (await read(view), await dump(server)) == before

    async def test_a_list_stays_as_it_was_until_what_takes_its_place_is_whole(
        self, server: RedisServer
    ) -> None:
        owner = await Owner(server).begin()
        await owner.say(b.raised("a"), b.raised("x", account="other"))
        view = server.view(1)
        before = await view.cases()
        await server.client.flushdb()
        assert await view.cases() == before
        heir = Owner(server, epoch="second")
        heir.log.add(b.raised("a"))
        await heir.view.claim(0, "second")
        await heir.view.write(0, "second", heir.batch())
        assert await view.cases() == before
        await heir.rebuild()
        assert [one.account for one in await view.cases()] == ["acme"]

    async def test_who_reads_for_the_first_time_gets_what_there_is(
        self, server: RedisServer
    ) -> None:
        owner = Owner(server)
        await owner.view.claim(0, "first")
        await owner.say(b.raised())
        view = server.view(1)
        assert [one.account for one in await view.cases()] == ["acme"]
        assert (await view.freshness()).complete is False

    async def test_a_partition_that_nobody_writes_is_stale(self, server: RedisServer) -> None:
        await Owner(server, number=0, partitions=2).begin()
        left = await Owner(server, number=1, partitions=2).begin()
        server.clock.now += 16
        assert await left.view.beat(1, "first", server.clock()) is True
        assert await server.view(2).freshness() == Freshness(
            as_of=datetime.fromtimestamp(server.clock() - 16, UTC),
            partitions=2,
            current=1,
            complete=True,
            stale=True,
            reason="Partition 0 of the view has not been written for 16 seconds: what is shown may "
            "be out of date. Check that `ebbwatch serve alerts` runs and reaches Kafka and Redis.",
        )
