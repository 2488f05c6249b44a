import asyncio
from datetime import UTC, date, datetime

from services.alerts import moments, showing
from services.alerts.shown import AccountPage, Freshness
from services.partitioning import partition_of
from tests.contract.owners import Owner
from tests.contract.redis_servers import PREFIX, RedisServer
from tests.contract.seen import ODD, dump, month, read, summary
from tests.unit.alerts import builders as b


async def test_of_nothing_nothing_is_read_and_that_is_said(server: RedisServer) -> None:
    view = server.view(partitions=2)
    assert await read(view) == ([], [], None, ([], None), ([], None))
    assert await view.case("acme") is None
    assert await view.alert("a") is None
    assert await view.answer("x") is None
    assert await view.accounts("", None, 10) == ([], None)
    assert await view.sparks([("acme", "usage")], date(2026, 5, 14)) == [[None] * 28]
    assert await view.sparks([], date(2026, 5, 14)) == []
    assert await view.changes(None, 0, 10) == []
    assert await view.freshness() == Freshness(
        as_of=None,
        partitions=2,
        current=0,
        complete=False,
        stale=True,
        reason="The view has not been written yet: what is shown may be out of date. "
        "Check that `ebbwatch serve alerts` runs and reaches Kafka and Redis.",
    )
    assert await server.keys() == []


async def test_what_is_written_is_read_by_every_process(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    await owner.tell(summary(), month("acme", "2026-05", *range(1, 32)))
    await owner.say(b.raised("a"), b.raised("b", "high"), b.commented("hello"))
    view = server.view(1)
    case = owner.partition.cases["acme"]
    line = showing.case_shown(case, summary())
    assert await view.cases() == [line]
    assert await view.cases(resolved=True) == []
    assert await view.case("acme") == line
    alerts = [showing.alert_shown(case.standings[id]) for id in ("b", "a")]
    assert await view.account("acme") == AccountPage(
        account="acme",
        name="Acme Ltd",
        owner="bob",
        arr=120_000,
        case=line,
        alerts=alerts,
        timeline=[moments.moment(one) for one in reversed(case.entries)],
        # Today is 14 May 2026: the 13th is the last day that is over.
        days={"usage": {f"2026-05-{day:02}": float(day) for day in range(1, 14)}},
    )
    assert await view.alert("a") == alerts[1]
    assert await view.freshness() == Freshness(
        as_of=datetime.fromtimestamp(server.clock(), UTC),
        partitions=1,
        current=1,
        complete=True,
        stale=False,
    )


async def test_all_keys_begin_with_the_prefix_of_the_deployment(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    await owner.tell(summary(), month("acme", "2026-05", 1))
    await owner.say(b.raised(), b.acknowledged())
    assert [key for key in await server.keys() if not key.startswith(f"{PREFIX}view:")] == []


async def test_each_account_is_found_in_its_own_partition(server: RedisServer) -> None:
    accounts = [f"acct_{n}" for n in range(20)] + [ODD]
    for number in range(3):
        mine = [one for one in accounts if partition_of(one, 3) == number]
        owner = await Owner(server, number=number, partitions=3).begin()
        await owner.tell(*[summary(one) for one in mine])
        await owner.say(*[b.raised(f"alert of {one}", account=one) for one in mine])
    view = server.view(3)
    assert sorted(one.account for one in await view.cases()) == sorted(accounts)
    for one in accounts:
        page, alert = await view.account(one), await view.alert(f"alert of {one}")
        assert page is not None
        assert alert is not None
        assert (page.account, page.alerts) == (one, [alert])
    assert [one.account for one in (await view.accounts("", None, 99))[0]] == sorted(accounts)


async def test_lists_follow_a_case_from_shelf_to_shelf(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    view = server.view(1)

    async def shelves() -> tuple[list[str], list[str]]:
        opened, resolved = await view.cases(), await view.cases(resolved=True)
        return [one.state for one in opened], [one.state for one in resolved]

    seen = []
    for record in (b.raised(), b.acknowledged(), b.resolved(), b.reopened(), b.cleared()):
        await owner.say(record)
        seen.append(await shelves())
    assert seen == [
        (["open"], []),
        (["acknowledged"], []),
        ([], ["resolved"]),
        (["open"], []),
        ([], ["resolved"]),
    ]


async def test_a_reader_takes_only_what_moved(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    await owner.say(*[b.raised(f"a{n}", account=f"acct_{n}") for n in range(1_200)])
    view = server.view(1)
    before = {one.account: one for one in await view.cases()}
    await owner.say(b.acknowledged(case="acct_7"))
    after = {one.account: one for one in await view.cases()}
    assert len(before) == len(after) == 1_200
    assert [id for id, one in after.items() if one is not before[id]] == ["acct_7"]
    assert after["acct_7"].state == "acknowledged"


async def test_a_case_with_shadow_alerts_only_is_on_its_page_and_in_no_list(
    server: RedisServer,
) -> None:
    owner = await Owner(server).begin()
    await owner.say(b.raised(shadow=True))
    view = server.view(1)
    assert await view.cases() == await view.cases(resolved=True) == []
    page = await view.account("acme")
    assert page is not None
    assert (page.case, [one.shadow for one in page.alerts]) == (None, [True])


async def test_writing_twice_changes_nothing(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    batch = await owner.say(b.raised("a"), b.raised("b"), b.cleared("b"), b.commented())
    before = await dump(server)
    await owner.view.write(0, "first", batch)
    assert await dump(server) == before


async def test_alerts_and_entries_that_a_case_drops_go(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    await owner.say(b.raised("a"), b.raised("b"), b.cleared("b"), b.commented(), b.commented())
    case = owner.partition.cases["acme"]
    del case.standings["b"], case.entries[:3]
    await owner.say(b.commented("last"))
    view = server.view(1)
    page = await view.account("acme")
    assert page is not None
    assert [one.alert_id for one in page.alerts] == ["a"]
    assert [one.n for one in page.timeline] == [5, 4, 3]
    assert await view.alert("b") is None
    assert [one.alert_id for one in (await view.alerts(False, None, 10))[0]] == ["a"]


async def test_a_long_timeline_is_read_newest_first(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    await owner.say(b.raised(), *[b.commented(f"comment {n}") for n in range(1_100)])
    page = await server.view(1).account("acme")
    assert page is not None
    assert [one.n for one in page.timeline] == list(range(1_100, 100, -1))


async def test_a_case_is_never_read_half_written(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    await owner.say(b.raised())
    view = server.view(1)
    seen: set[tuple[int, bool]] = set()

    async def writing() -> None:
        for n in range(40):
            await owner.say(b.snoozed(), b.raised(f"b{n}", "critical") if n % 2 else b.reopened())

    async def reading(done: asyncio.Task[None]) -> None:
        while not done.done():
            page = await view.account("acme")
            assert page is not None
            assert page.case is not None
            # Each change of the case's version is in the same write as its entry.
            said = sum(one.type.startswith("case.") for one in page.timeline)
            seen.add((said, len(page.case.alerts) == sum(one.open for one in page.alerts)))

    done = asyncio.ensure_future(writing())
    await reading(done)
    await done
    assert {matches for _, matches in seen} == {True}
    assert len(seen) > 1
