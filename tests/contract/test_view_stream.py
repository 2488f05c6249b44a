"""The live stream: what a client is answered that asks from any place whatever."""

import asyncio

import pytest

from services.alerts.shown import Change
from services.alerts.view import Batch, Trimmed, View
from services.alerts.view.commands import STREAM_LENGTH
from tests.contract.owners import Owner
from tests.contract.redis_servers import PREFIX, RedisServer
from tests.unit.alerts import builders as b

STREAM = f"{PREFIX}view:stream"


def change(account: str) -> Change:
    return Change(id="", type="case.commented", account=account, version=1, severity="high")


async def say(owner: Owner, *accounts: str) -> list[str]:
    """Write changes, and return their ids."""
    changes = [change(one) for one in accounts]
    await owner.view.write(0, owner.epoch, Batch(changes=changes))
    newest = await owner.server.client.xrevrange(STREAM, count=len(accounts))
    return [id.decode() for id, _ in reversed(newest)]


async def accounts(view: View, after: str | None, limit: int = 100) -> list[str]:
    return [one.account for one in await view.changes(after, 0, limit)]


async def test_messages_come_in_order_with_ids_that_go_on(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    view = server.view(1)
    assert await view.tip() == "0-0"
    ids = await say(owner, "a", "b", "c")
    assert await view.changes("0-0", 0, 2) == [
        change("a").model_copy(update={"id": ids[0]}),
        change("b").model_copy(update={"id": ids[1]}),
    ]
    assert await accounts(view, ids[1]) == ["c"]
    assert await accounts(view, ids[2]) == await accounts(view, None) == []
    assert await view.tip() == ids[2]


async def test_a_fold_says_what_happened_and_what_is_new(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    await owner.say(
        b.raised("a"),
        b.acknowledged(),
        b.raised("b", shadow=True),
        b.raised("c", historic=True),
        b.worsened("a", "critical"),
        b.cleared("a"),
    )
    found = await server.view(1).changes("0-0", 0, 10)
    assert [(one.type, one.version, one.severity, one.raised) for one in found] == [
        # All were folded at once, so each tells the case as it is after the last.
        ("alert.raised", 3, "medium", True),
        ("case.acknowledged", 3, "medium", False),
        ("alert.raised", 3, "medium", False),
        ("alert.raised", 3, "medium", False),
        ("alert.worsened", 3, "medium", True),
        ("alert.cleared", 3, "medium", False),
    ]


async def test_who_waits_is_woken_by_the_first_message(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    view = server.view(1)
    waiting = asyncio.ensure_future(view.changes(None, 5_000, 10))
    # One round trip later it waits; a message that came before that would not be for it.
    await view.tip()
    for _ in range(20):
        await asyncio.sleep(0)
    while not waiting.done():
        await say(owner, "a")
        await asyncio.wait({waiting}, timeout=0.05)
    assert [one.account for one in waiting.result()][:1] == ["a"]


async def test_who_waits_in_vain_gets_nothing(server: RedisServer) -> None:
    assert await server.view(1).changes(None, 30, 10) == []
    owner = await Owner(server).begin()
    (id,) = await say(owner, "a")
    assert await server.view(1).changes(id, 30, 10) == []


async def test_many_may_wait_while_others_read(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    view = server.view(1)
    (id,) = await say(owner, "a")
    waiting = [asyncio.ensure_future(view.changes(id, 2_000, 10)) for _ in range(8)]
    assert await view.cases() == []
    await asyncio.wait(waiting, timeout=0.05)
    await say(owner, "b")
    found = await asyncio.gather(*waiting)
    assert [[one.account for one in each] for each in found] == [["b"]] * 8


async def test_a_place_after_which_something_may_be_missing_is_refused(
    server: RedisServer,
) -> None:
    owner = await Owner(server).begin()
    view = server.view(1)
    ids = await say(owner, *"abcde")
    assert await accounts(view, "0-0") == list("abcde")
    await server.client.xtrim(STREAM, minid=ids[2], approximate=False)
    time, _, number = ids[-1].partition("-")
    places = {
        "kept": ids[2],
        "newest": ids[4],
        "trimmed": ids[1],
        "the beginning": "0-0",
        "older than all": "1-1",
        "newer than all": f"{time}-{int(number) + 1}",
        "far ahead": "99999999999999-0",
        "half": time,
        "nothing": "",
        "no id": "x-y",
        "negative": "-1-0",
        "spaces": " 1-0",
        "other digits": "١-٠",
        "beyond 64 bits": "99999999999999999999-0",
    }
    told = {}
    for what, place in places.items():
        try:
            told[what] = "".join(await accounts(view, place))
        except Trimmed:
            told[what] = "trimmed"
    assert told == dict.fromkeys(places, "trimmed") | {"kept": "de", "newest": ""}


async def test_after_a_flush_former_places_are_refused_and_ids_go_on(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    view = server.view(1)
    (before,) = await say(owner, "a")
    await server.client.flushdb()
    assert await view.tip() == "0-0"
    with pytest.raises(Trimmed):
        await view.changes(before, 0, 10)
    await owner.begin()
    (after,) = await say(owner, "b")
    assert tuple(map(int, after.split("-"))) > tuple(map(int, before.split("-")))
    with pytest.raises(Trimmed):
        await view.changes(before, 0, 10)
    assert await accounts(view, "0-0") == ["b"]


async def test_the_stream_stays_short(server: RedisServer) -> None:
    owner = await Owner(server).begin()
    for _ in range(STREAM_LENGTH // 2_000 + 1):
        await say(owner, *["a"] * 2_000)
    kept = await server.client.xlen(STREAM)
    assert STREAM_LENGTH <= kept <= STREAM_LENGTH + 200
