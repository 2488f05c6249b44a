"""Whom an event concerns: persons told late, accounts that are merged, what is erased."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import partial
from random import Random

import msgspec

from schemas import topics
from schemas.rejects import Reject
from tests.faults.commanding import command
from tests.faults.load import Event, Load, Sent, without
from tests.faults.logs import read, tail
from tests.faults.scenario import NotExact, Scenario
from tests.faults.scenarios.kills import feed_until
from tests.faults.settling import rest
from tests.faults.world import World

WAITING = 1_000
"""Events that wait for the account of a person (design.md §3)."""

BEYOND = 40
HOPS = 4
"""How often an event may be forwarded; see `services/detector/forwards.py`."""

DEATHS = ("detector.forwarded", "snapshot.cut", "snapshot.in_transaction", "snapshot.committed")


async def attributed_late(world: World, rng: Random) -> None:
    """Most events name a person alone; who that is comes late; accounts merge, even in a circle.

    The detector dies after its forwards are acknowledged, and at every step of a flush.
    """
    load, now = world.load(), datetime.now(UTC)
    begin = now - timedelta(seconds=60)
    weights = without() | {"stranger": 60.0, "joined": 6.0, "merged": 1.0}
    sent = load.events(2_500, begin, now, weights)
    world.due += load.due
    load.now = now
    merges = [*_chain(load, "chain", HOPS), *_chain(load, "long", HOPS + 1), *_circle(load, 3)]
    crowd = [_by(load, "crowd") for _ in range(WAITING + BEYOND)]
    _die_at(world, rng, "detector-0")
    async with world.feeding(_mixed(rng, sent, [*merges, *crowd])):
        pass
    await feed_until(world, partial(_fewer, world, 0))
    last = [_use(load, account) for account in ("chain_0", "long_0", "round_0") for _ in range(9)]
    last.append(Sent("http", _joined(load, "crowd", "chain_0")))
    async with world.feeding(last):
        world.kill("detector-0")
    await rest(world)
    await _require_refused(world, {"too_many_waiting": BEYOND})


async def erased(world: World, rng: Random) -> None:
    """Accounts and people are erased under load and kill -9; what comes late brings nothing back.

    What happens after an erasure counts anew.
    """
    load, now = world.load(), datetime.now(UTC)
    weights = without() | {"stranger": 20.0, "joined": 4.0, "late": 10.0}
    sent = load.events(1_500, now - timedelta(seconds=60), now, weights)
    world.due += load.due
    load.now = now
    gone = ("erased_one", "erased_two")
    async with world.feeding(_mixed(rng, sent, _life(load, gone, load.now))):
        pass
    async with world.feeding(2_500):
        _die_at(world, rng, "detector-0")
        for words in (("account", gone[0]), ("person", "erased_who"), ("account", gone[1])):
            left = len(world.arming.left("detector-0"))
            await command(world, "erase", *words, "--yes")
            # At any moment of the erasure, or after it: but each has one of its own.
            await feed_until(world, partial(_fewer, world, left))
        await feed_until(world, partial(_fewer, world, 0))
        for name in (load.account, load.account):
            await command(world, "erase", "account", name, "--yes", says="is erased")
        await command(world, "erase", "person", load.person, "--yes", says="is erased")
    async with world.feeding([*_life(load, gone, now - timedelta(hours=3)), *_anew(load)]):
        world.kill("detector-0")
    await rest(world)
    await _require_forgotten(world, (*gone, "erased_who"))


def _fewer(world: World, left: int) -> bool:
    """Tell whether fewer deaths are left than there were, or none."""
    return len(world.arming.left("detector-0")) < max(1, left)


def _die_at(world: World, rng: Random, name: str) -> None:
    """Let a service die at four places of its next starts, the first time or a little later."""
    world.arm(
        name, *(f"{one}=kill@{rng.randrange(1, 4)}" for one in rng.sample(DEATHS, len(DEATHS)))
    )
    world.kill(name)


def _mixed(rng: Random, sent: Iterable[Sent], more: Iterable[Sent]) -> list[Sent]:
    """Return a load with more events anywhere in it."""
    found = list(sent)
    for one in more:
        found.insert(rng.randrange(len(found) + 1), one)
    return found


def _chain(load: Load, name: str, length: int) -> list[Sent]:
    """Return merges of accounts, each into the next."""
    return [_merge(load, f"{name}_{n}", f"{name}_{n + 1}") for n in range(length)]


def _circle(load: Load, length: int) -> list[Sent]:
    """Return merges of accounts in a circle."""
    return [_merge(load, f"round_{n}", f"round_{(n + 1) % length}") for n in range(length)]


def _merge(load: Load, account: str, into: str) -> Sent:
    return Sent("http", load.event("account.merged", account, {"into": into}))


def _use(load: Load, account: str | None, **more: object) -> Sent:
    data: Event = {"metric": "api_calls", "quantity": 1, **more}
    return Sent(load.way(), load.event("usage.recorded", account, data))


def _by(load: Load, person: str) -> Sent:
    return _use(load, None, person=person)


def _joined(load: Load, person: str, account: str) -> Event:
    return load.event("person.joined", None, {"person": person, "account": account})


def _life(load: Load, accounts: Iterable[str], at: datetime) -> list[Sent]:
    """Return what names accounts, and a person, that are to be forgotten."""
    load.now = at
    found: list[Sent] = []
    for number, account in enumerate(accounts):
        member = f"member_{number}"
        champion: Event = {"person": "erased_who", "role": "champion", "status": "active"}
        events = [
            load.event("account.updated", account, {"name": f"Name of {account}", "owner": "ana"}),
            load.event("contact.updated", account, champion),
            load.event("contact.updated", account, champion | {"status": "left"}),
            load.event("payment.failed", account, {"payment": "in_1", "amount": 900}),
            load.event("payment.failed", account, {"payment": "in_1", "amount": 900}),
            _joined(load, member, account),
        ]
        found += [Sent(load.way(), one) for one in events]
        found += [_use(load, account, person="erased_who") for _ in range(5)]
        found += [_by(load, member), _by(load, "erased_who")]
    return found


def _anew(load: Load) -> list[Sent]:
    """Return what happens to an erased account of the load after it was erased."""
    load.now = datetime.now(UTC)
    return [_use(load, f"acct_{n}", person=f"p{n}") for n in range(load.accounts)]


async def _require_refused(world: World, expected: dict[str, int]) -> None:
    """Require how many events were refused for reasons, and that circles were found out."""
    found = await read(world.kafka, world.topic(topics.REJECTS), world.partitions, committed=True)
    counts = Counter(
        msgspec.json.decode(one.value, type=Reject).reason
        for log in found.values()
        for one in log
        if one.value
    )
    wrong = [
        f"{counts[reason]} events were refused as {reason}, not {count}"
        for reason, count in expected.items()
        if counts[reason] != count
    ]
    if not counts["merged_in_a_circle"]:
        wrong.append("no event was refused that goes round in a circle of merged accounts")
    if wrong:
        raise NotExact(wrong)


async def _require_forgotten(world: World, names: Iterable[str]) -> None:
    """Require that no record that is left of state and summaries names what was erased."""
    wrong = []
    for topic in (topics.STATE, topics.ACCOUNTS):
        async with tail(world.kafka, world.topic(topic), world.partitions, committed=True) as log:
            await log.catch_up()
            for number in range(world.partitions):
                for key, value in log.newest(number).items():
                    for name in names:
                        if name in key or name.encode() in value:
                            wrong.append(f"{topic.name} {number}: {key!r} still names {name}")
    if wrong:
        raise NotExact(wrong)


SCENARIOS = (
    Scenario(
        "attributed-late",
        ("persons attributed late, buffered, forwarded; merged accounts, chains and circles",),
        attributed_late,
    ),
    Scenario(
        "erased",
        ("erased account replay: not resurrected by late events", "erased persons"),
        erased,
    ),
)
