"""Records that nobody can read: each is refused with its place, and the rest goes on."""

from collections import Counter
from collections.abc import Iterable
from random import Random
from typing import Any, Final, NamedTuple

import msgspec

from schemas import topics
from schemas.rejects import Reject
from tests.faults.load import Event
from tests.faults.logs import read, tail
from tests.faults.scenario import NotExact, Scenario
from tests.faults.scenarios.damage import kit
from tests.faults.world import World
from tests.platform import eventually

NESTED: Final = 300
"""Levels of a document that is made to exhaust a stack."""

GOOD: Final[Event] = {
    "specversion": "1.0",
    "id": "poison",
    "source": "/poison",
    "type": "usage.recorded",
    "subject": "acct_1",
    "time": "2026-11-01T12:00:00Z",
    "data": {"metric": "api_calls", "quantity": 1},
}


class Place(NamedTuple):
    """Where poison stands."""

    stage: str
    partition: int
    offset: int


def _bytes(rng: Random) -> list[bytes | None]:
    """Return what is no document at all."""
    return [
        None,
        b"",
        b"{",
        b"\x00",
        b"\xff\xfe\x00",
        b'"text"',
        b"[" * NESTED + b"]" * NESTED,
        rng.randbytes(rng.randrange(1, 2_000)),
    ]


def events(rng: Random) -> list[bytes | None]:
    """Return what no input may make an event of."""
    whole = msgspec.json.encode(GOOD)
    changes: list[dict[str, Any]] = [
        {"type": "usage.dreamt"},
        {"type": 7},
        {"specversion": "9.0"},
        {"time": "tomorrow"},
        {"data": None},
        {"data": {"metric": "api_calls", "quantity": "many"}},
        {"data": {"metric": "api_calls", "quantity": 1e300}},
        {"data": []},
        {"subject": 5},
        {"source": ""},
        {"id": ""},
    ]
    cut = whole[: rng.randrange(1, len(whole))]
    return [*_bytes(rng), cut, *(msgspec.json.encode(GOOD | one) for one in changes)]


def envelopes(rng: Random, message: bytes) -> list[bytes | None]:
    """Return what the detector cannot read, made of a message that it can.

    Args:
        rng: Decides where what is cut is cut.
        message: A message of the log; what is left readable of it is a repetition.
    """
    version, entries = msgspec.msgpack.decode(message)
    pack = msgspec.msgpack.encode
    id, source, time, subjects, event, *rest = entries[0]
    return [
        *_bytes(rng),
        message[: rng.randrange(1, len(message) // 2)],
        pack((version + 8, entries)),
        pack((version, "entries")),
        pack((version, [None, 7, {}, [], *entries])),
        pack((version, [[id, source, "noon", subjects, event, *rest], *entries])),
        pack((version, [[id, source, time, subjects, {"type": "usage.dreamt"}, *rest], *entries])),
        pack((version, [[id, source, time, 5, event, *rest], *entries])),
        pack((version, [[*range(12)], *entries])),
    ]


def records_of_desk() -> list[tuple[bytes | None, bytes | None]]:
    """Return keys and values that the desk cannot fold, documents all of them."""
    comment = {"type": "case.commented", "id": "p1", "case": "acct_1", "by": "ana"}
    encode = msgspec.json.encode
    return [
        (b"acct_1", None),
        (b"acct_1", encode({"no": "type"})),
        (b"acct_1", encode({"type": 7})),
        (b"acct_1", encode({"type": "case.commented"})),
        (b"acct_1", encode({"type": "case.acknowledged", "id": 5, "case": []})),
        (b"acct_1", encode({"type": "notice.delivered", "id": {}})),
        (b"another", encode({**comment, "text": "no", "at": GOOD["time"]})),
        (None, encode({**comment, "text": "no", "at": GOOD["time"]})),
        (b"\xff\xfe", encode({**comment, "text": "no", "at": GOOD["time"]})),
    ]


async def poisoned(world: World, rng: Random) -> None:
    """Write poison between good records under load: inputs, the log, the alert log."""
    tools, alerts = kit(world), world.topic(topics.ALERTS)
    early = await _unreadable_alerts(world, rng)
    await _all_refused(world, early)
    # As retention would later: what comes after it is all that the end is compared with.
    last: Counter[int] = Counter()
    for place in early:
        last[place.partition] = max(last[place.partition], place.offset + 1)
    await tools.delete_before(alerts, last)
    places: list[Place] = []
    async with world.feeding(3_000) as feeding:
        await feeding.reached(0.2)
        for value in events(rng):
            number = rng.randrange(world.input_partitions)
            found = await tools.write(world.input_topic, number, [(b"acct_1", value)])
            places += [Place("ingest", number, offset) for offset in found]
        for number in range(world.partitions):
            (message,) = await _one_message(world, number)
            values = envelopes(rng, message)
            found = await tools.write(
                world.topic(topics.EVENTS), number, [(b"key", one) for one in values]
            )
            places += [Place("detector", number, offset) for offset in found]
        await feeding.reached(0.5)
        number = rng.randrange(world.partitions)
        found = await tools.write(alerts, number, records_of_desk())
        places += [Place("alerts", number, offset) for offset in found]
        await tools.write(alerts, number, [(b"acct_1", b'{"type":"case.dreamt"}')])
    await _all_refused(world, places)


async def _unreadable_alerts(world: World, rng: Random) -> list[Place]:
    """Write what is no document into the alert log before anything else stands there."""
    places = []
    for number in range(world.partitions):
        values = [*_bytes(rng), b'{"type":"alert.raised","alert_id":7}']
        found = await kit(world).write(
            world.topic(topics.ALERTS), number, [(b"acct_1", one) for one in values]
        )
        places += [Place("alerts", number, offset) for offset in found]
    return places


async def _one_message(world: World, number: int) -> list[bytes]:
    """Return a message of the log that has entries."""
    log = await read(world.kafka, world.topic(topics.EVENTS), world.partitions)
    return [one.value for one in log[number] if one.value][-1:]


async def _all_refused(world: World, places: Iterable[Place]) -> None:
    """Wait until each piece of poison was refused with its place and a reason."""
    wanted = set(places)
    async with tail(
        world.kafka, world.topic(topics.REJECTS), world.partitions, committed=True
    ) as log:

        async def refused() -> bool:
            await log.catch_up()
            return wanted <= _refused(log.log.values())

        try:
            await eventually(refused, within=40, what="all poison to be refused")
        except BaseException as error:
            left = sorted(wanted - _refused(log.log.values()))
            raise NotExact([f"never refused: {one}" for one in left] or [str(error)]) from error


def _refused(logs: Iterable[Iterable[Any]]) -> set[Place]:
    found = set()
    for log in logs:
        for one in log:
            reject = msgspec.json.decode(one.value, type=Reject)
            if reject.reason and reject.partition is not None and reject.offset is not None:
                found.add(Place(reject.stage, reject.partition, reject.offset))
    return found


SCENARIOS = (
    Scenario(
        "poison-records",
        ("poison message (bad JSON, wrong types, unknown schema, truncated, null value)",),
        poisoned,
    ),
)
