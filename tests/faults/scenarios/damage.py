"""Snapshots that are not what was written: nothing may run on them, and nothing may be lost."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from random import Random
from typing import Final

import msgspec

from schemas import topics
from tests.faults.logs import tail
from tests.faults.refusing import refused
from tests.faults.scenario import NotExact, Scenario
from tests.faults.settling import settle
from tests.faults.tampering import Topics
from tests.faults.world import World

RESTORE: Final = "restore the topic"
UNKNOWN_VERSION: Final = 9


@dataclass(frozen=True)
class Snapshot:
    """A snapshot topic, and the service that must not run on what is not whole.

    Attributes:
        topic: The topic.
        reader: The service, such as `detector-0`.
        ledger: Key of its ledger.
        encoding: `msgpack` or `json`.
        kinds: What a key must hold, by kind of record; a plain name for the key itself.
    """

    topic: topics.Topic
    reader: str
    ledger: str
    kinds: Mapping[str, str]
    binary: bool

    def kind(self, key: str) -> str:
        """Return of what kind a record is."""
        if key == self.ledger:
            return "ledger"
        return next(
            (kind for kind, mark in self.kinds.items() if mark in key),
            "own",
        )

    def of_version(self, raw: bytes, v: int) -> bytes | None:
        """Return a record as another version would have written it, if it bears one."""
        try:
            held = msgspec.msgpack.decode(raw) if self.binary else msgspec.json.decode(raw)
        except msgspec.MsgspecError:
            return None
        if not isinstance(held, dict) or "v" not in held:
            return None
        told = held | {"v": v}
        return msgspec.msgpack.encode(told) if self.binary else msgspec.json.encode(told)


STATE: Final = Snapshot(
    topics.STATE,
    "detector-0",
    "~ledger",
    {
        "ids": "~ledger/ids/",
        "seen": "~ledger/seen/",
        "rules": "~ledger/rules/",
        "cold": "\x1fcold\x1f",
        "people": "\x1fpeople\x1f",
        "waiting": "\x1fwaiting\x1f",
        "person": "person:",
        "colleague": "colleague:",
        "company": "company",
    },
    binary=True,
)
CASES: Final = Snapshot(
    topics.CASES,
    "alerts-0",
    "\x1fledger",
    {"alert": "\x1falert\x1f", "notice": "\x1fnotice\x1f", "answer": "\x1fanswer\x1f"}
    | {"line": "\x1f0"},
    binary=False,
)


@dataclass(frozen=True)
class Found:
    """One record of a snapshot."""

    partition: int
    key: str
    raw: bytes


async def records(world: World, snapshot: Snapshot) -> dict[str, list[Found]]:
    """Return the newest records of a snapshot, by kind, each in the order of its key."""
    found: dict[str, list[Found]] = {}
    topic = world.topic(snapshot.topic)
    async with tail(world.kafka, topic, world.partitions, committed=True) as state:
        await state.catch_up()
        for number in range(world.partitions):
            for key, raw in sorted(state.newest(number).items()):
                found.setdefault(snapshot.kind(key), []).append(Found(number, key, raw))
    return found


def whole(found: Mapping[str, list[Found]]) -> dict[int, dict[str, bytes | None]]:
    """Return all records of a snapshot by partition, its ledger last, to be written again."""
    kept: dict[int, dict[str, bytes | None]] = {}
    for kind in sorted(found, key=lambda kind: kind == "ledger"):
        for one in found[kind]:
            kept.setdefault(one.partition, {})[one.key] = one.raw
    return kept


def kit(world: World) -> Topics:
    """Return what a world's topics are damaged with."""
    return Topics(world.kafka, world.prefix, world.partitions)


async def loaded(world: World, events: int = 2_000) -> None:
    """Feed a load and let it come to rest: every service has ended, and has written all it had."""
    async with world.feeding(events):
        pass
    await settle(world, 60)


async def going_on(world: World, events: int = 600) -> None:
    """Start everything anew, and feed a load more."""
    for name in world.needs.starts:
        world.begin(name)
    await world.ready(*world.needs.starts)
    async with world.feeding(events):
        pass


async def garbled(world: World, rng: Random, snapshot: Snapshot, often: int) -> None:
    """Change bytes of one record after the other; each is put back once it was refused."""
    await loaded(world)
    found, topic = await records(world, snapshot), world.topic(snapshot.topic)
    others = sorted(found.keys() - {"ledger", "own"})
    kinds = ["ledger", "own", *rng.sample(others, min(often, len(others)))]
    for one, changed, what in _garblings(found, kinds, rng, snapshot):
        await kit(world).put(topic, one.partition, {one.key: changed})
        where = f"{snapshot.topic.name} partition {one.partition} cannot be used"
        try:
            await refused(world, snapshot.reader, where, RESTORE)
        except NotExact as wrong:
            told = f"{one.key!r}, {what}: {one.raw!r} became {changed!r}"
            raise NotExact([*wrong.differences, told]) from None
        await kit(world).put(topic, one.partition, {one.key: one.raw})
    await going_on(world)


def _garblings(
    found: Mapping[str, list[Found]], kinds: list[str], rng: Random, snapshot: Snapshot
) -> Iterator[tuple[Found, bytes, str]]:
    """Yield records, what becomes of each, and how."""
    for kind in kinds:
        one = rng.choice(found[kind])
        yield one, *_garbling(one, rng, snapshot)
    one = rng.choice([*found["ledger"], *found["own"]])
    changed = snapshot.of_version(one.raw, UNKNOWN_VERSION)
    assert changed is not None, f"{one.key!r} bears no version"
    yield one, changed, f"of version {UNKNOWN_VERSION}"


def _garbling(one: Found, rng: Random, snapshot: Snapshot) -> tuple[bytes, str]:
    raw = one.raw
    if not raw or rng.random() < 0.3:
        place = rng.randrange(len(raw)) if raw else 0
        return raw[:place] or b"\x00", f"cut at {place}"
    # What bears a broken seal is refused; what bears none is taken for one of before there were.
    first = raw.find(b"seal") + 4 if one.key == snapshot.ledger else 0
    place = rng.randrange(first, len(raw))
    changed = raw[:place] + bytes([raw[place] ^ rng.randrange(1, 256)]) + raw[place + 1 :]
    return changed, f"changed at {place}"


async def state_in_part(world: World, rng: Random) -> None:
    """Take records of the detector's snapshot away: single ones, the older half, a partition."""
    await loaded(world)
    found, topic, tools = await records(world, STATE), world.topic(topics.STATE), kit(world)
    for kind in ["own", *rng.sample(sorted(found.keys() - {"own", "ledger"}), 2)]:
        await _one_missing(world, STATE, rng.choice(found[kind]))
    await _ledger_missing(world, STATE, rng.choice(found["ledger"]))
    kept = whole(found)
    number = rng.randrange(world.partitions)
    await _truncated(world, STATE, number, kept[number])
    await tools.recreate(topic, world.partitions - 1, topics.STATE.config)
    await refused(world, STATE.reader, "state.v1", f"{world.partitions - 1}")
    await tools.renew(topic)
    for number, held in kept.items():
        await tools.put(topic, number, held)
    await going_on(world)


async def _one_missing(world: World, snapshot: Snapshot, one: Found, *words: str) -> None:
    """Take one record away, and put it back once that was refused."""
    topic = world.topic(snapshot.topic)
    await kit(world).put(topic, one.partition, {one.key: None})
    where = f"{snapshot.topic.name} partition {one.partition} cannot be used"
    try:
        await refused(world, snapshot.reader, where, RESTORE, *words)
    except NotExact as wrong:
        raise NotExact([*wrong.differences, f"record {one.key!r} was missing"]) from None
    await kit(world).put(topic, one.partition, {one.key: one.raw})


async def _ledger_missing(world: World, snapshot: Snapshot, one: Found) -> None:
    await _one_missing(world, snapshot, one, "ledger")


async def _truncated(
    world: World, snapshot: Snapshot, number: int, kept: Mapping[str, bytes | None]
) -> None:
    """Delete the older half of a partition, then all of it; then write all of it again."""
    topic, tools = world.topic(snapshot.topic), kit(world)
    async with tail(world.kafka, topic, world.partitions) as state:
        end = (await state.catch_up())[number]
    where = f"{snapshot.topic.name} partition {number} cannot be used"
    await tools.truncate(snapshot.topic, {number: end // 2})
    await refused(world, snapshot.reader, where, RESTORE)
    await tools.truncate(snapshot.topic, {number: -1})
    await refused(world, snapshot.reader, where, "what was in it was deleted", RESTORE)
    await tools.put(topic, number, kept)


async def cases_in_part(world: World, rng: Random) -> None:
    """Take records of the desk's snapshot away, each refused by its name; then fold all anew."""
    await loaded(world)
    found, topic = await records(world, CASES), world.topic(topics.CASES)
    for kind in sorted(found.keys() - {"own", "ledger"}):
        one = rng.choice(found[kind])
        # Of alerts and notices it is known how many there are, and not which.
        name = one.key if kind in {"line", "answer"} else one.key.rpartition("\x1f")[0]
        await _one_missing(world, CASES, one, f"{name!r}"[1:-1])
    await _one_missing(world, CASES, rng.choice(found["own"]), "but not the case")
    await _ledger_missing(world, CASES, rng.choice(found["ledger"]))
    number = rng.choice(found["own"]).partition
    await _truncated(world, CASES, number, whole(found)[number])
    await kit(world).put(topic, number, {CASES.ledger: None})
    await refused(world, CASES.reader, "ledger", "delete it and run `ebbwatch topics apply`")
    await kit(world).renew(topic)
    await going_on(world)


SCENARIOS = (
    Scenario(
        "state-garbled",
        ("state topic: a record's bytes changed, or of a version that nobody knows",),
        partial(garbled, snapshot=STATE, often=5),
    ),
    Scenario(
        "state-in-part",
        ("state topic: truncated, a record missing, a partition missing",),
        state_in_part,
    ),
    Scenario(
        "cases-garbled",
        ("snapshot of cases: a record's bytes changed, or of a version that nobody knows",),
        partial(garbled, snapshot=CASES, often=4),
    ),
    Scenario(
        "cases-in-part",
        ("snapshot of cases: truncated, a record missing; folded anew from the log",),
        cases_in_part,
    ),
)
