"""Clocks that are wrong: of whoever sends, of a replica of ingest, of whoever folds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import aiohttp
import msgspec

from schemas import topics
from schemas.envelope import Entry
from schemas.events import ClockTicked
from schemas.rejects import Reject
from tests.faults.dripping import dripping
from tests.faults.lapse import days_ago
from tests.faults.load import Event, Load, Sent, without
from tests.faults.logs import read, tail
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.scenarios.kills import TWO_DOORS
from tests.faults.skewing import delta, faketime, require_skewed
from tests.faults.world import World
from tests.platform import eventually

AHEAD = timedelta(minutes=10)
"""As far ahead an event may be (design.md §4)."""

HORIZON = 200
"""Ids that the detector remembers in the scenario that has it forget: 40 to a generation."""

SLOWLY = 400.0
"""Events a second: so that the load outlasts every death that is armed."""

OFFSETS = ("+3d", "-3d", "+200", "-200")
"""By which a replica's clock is wrong, as libfaketime takes it: seconds, or days."""

_CLOCK = "this machine's clock differs from Kafka's by"


async def of_a_producer(world: World, rng: Random) -> None:
    """Producers' clocks are wrong by minutes, days, or centuries; some give no time at all.

    What cannot be is refused with its reason and kept in the rejects, by both ways; what can be is
    counted; nothing of it moves the clock by which days end.
    """
    world.refused = {"future", "invalid"}
    load, now = world.load(), datetime.now(UTC)
    sent = load.events(2_500, now - timedelta(seconds=30), now)
    world.due += load.due
    wrong: dict[str, str] = {}
    for number in range(120):
        load.now = now
        event, reason = _of_wrong_clock(load, number)
        if reason is not None:
            wrong[event["id"]] = reason
        sent.insert(rng.randrange(len(sent)), Sent(load.way(), event))
    async with world.feeding(sent) as feeding:
        await feeding.reached(rng.uniform(0.2, 0.7))
        world.kill("detector-0")
    await _require_refused(world, wrong)
    await _require_clock_of_today(world)


def _of_wrong_clock(load: Load, number: int) -> tuple[Event, str | None]:
    """Return an event of a clock that is wrong, and why it must be refused, if so."""
    account = f"{load.name}_wrong_{load.rng.randrange(8)}"
    data = {"metric": "api_calls", "quantity": 1, "person": load.person}
    event = load.event("usage.recorded", account, data)
    told: tuple[str | None, str | None] = (
        (_moved(load, AHEAD - timedelta(seconds=10)), None),
        (_moved(load, AHEAD + timedelta(minutes=4)), "future"),
        (_moved(load, timedelta(days=3)), "future"),
        ("2199-12-31T23:59:59Z", "future"),
        ("9999-12-31T23:59:59Z", "invalid"),
        ("1969-12-31T23:59:59Z", "invalid"),
        ("0001-01-01T00:00:00Z", "invalid"),
        ("1970-01-01T00:00:00Z", "invalid"),
        ("NaN", "invalid"),
        (None, None),
        (_moved(load, -timedelta(days=3)), None),
        (_moved(load, -timedelta(days=400)), None),
    )[number % 12]
    if told[0] is None:
        del event["time"]
    else:
        event["time"] = told[0]
    return event, told[1]


def _moved(load: Load, by: timedelta) -> str:
    return (load.now + by).isoformat()


async def _require_refused(world: World, wrong: dict[str, str]) -> None:
    """Wait until every event that cannot be is in the rejects; no other of the load may be."""
    topic = world.topic(topics.REJECTS)

    async with tail(world.kafka, topic, world.partitions, committed=True) as rejects:

        async def found() -> dict[str, str]:
            await rejects.catch_up()
            return dict(_refused_ids(msg.value for log in rejects.log.values() for msg in log))

        async def all_there() -> bool:
            return (await found()).keys() >= wrong.keys()

        await eventually(all_there, within=30, what="every event that cannot be in the rejects")
        told = await found()
    if told != wrong:
        apart = {
            id: told.get(id) for id in told.keys() | wrong.keys() if told.get(id) != wrong.get(id)
        }
        raise NotExact([f"refused {apart}, but { ({id: wrong.get(id) for id in apart}) } is right"])


def _refused_ids(values: Iterator[bytes | None]) -> Iterator[tuple[str, str]]:
    for value in values:
        one = msgspec.json.decode(value or b"", type=Reject)
        if one.stage == "ingest":
            yield msgspec.json.decode(one.raw)["id"], one.reason


async def _require_clock_of_today(world: World) -> None:
    """Wait until every partition's clock is that of the newest tick: what is late is not wrong."""

    async def right() -> bool:
        clocks = await _clocks(world)
        now = datetime.now(UTC).timestamp()
        return all(-5 <= now - clock <= 60 for clock in clocks)

    await eventually(right, within=30, what="every partition's clock to be right")


async def _clocks(world: World) -> list[float]:
    """Return the clock of each partition as its snapshot holds it, seconds."""
    async with tail(
        world.kafka, world.topic(topics.STATE), world.partitions, committed=True
    ) as log:
        await log.catch_up()
        ledgers = [log.newest(number).get("~ledger") for number in range(world.partitions)]
    return [
        msgspec.msgpack.decode(raw).get("clock", 0) / 1e6 if raw is not None else 0.0
        for raw in ledgers
    ]


async def of_a_replica(world: World, rng: Random) -> None:
    """One replica's clock jumps, by days or minutes, either way: it is closed, the other one holds.

    Its ticks of the future are refused, those of the past change nothing. Once its clock is right
    again, it opens by itself.
    """
    wall = _Wall(world, "ingest-1")
    world.begin("ingest-1")
    await world.ready("ingest-0", "ingest-1")
    for offset in rng.sample(OFFSETS, len(OFFSETS)):
        closed = world.noted.closed
        # Nothing is sent meanwhile: until it has compared its clock with Kafka's it goes by it.
        wall.set(offset)
        await _is_closed(world, "ingest-1")
        await require_skewed(world, "ingest-1", delta(offset))
        async with dripping(world, rate=400):
            await _go_on(world, closed, rng.randrange(100, 400))
            await _require_clock_of_today(world)
        wall.set("+0")
        await world.ready("ingest-1")
    await _require_refused_ticks(world)


async def _go_on(world: World, closed: int, events: int) -> None:
    """Wait until some producer was sent away, and so many events more were taken all the same."""
    goal = world.noted.count + events
    await eventually(
        lambda: world.noted.closed > closed and world.noted.count >= goal,
        within=30,
        what="a producer to be sent away by the one replica, and more to be taken by the other",
    )


class _Wall:
    """The wall clock of one service, which can be set while it runs."""

    def __init__(self, world: World, name: str) -> None:
        self._file = Path(world.folder) / f"{name}.clock"
        self.set("+0")
        world.always(
            name,
            **faketime(FAKETIME_TIMESTAMP_FILE=str(self._file), FAKETIME_CACHE_DURATION="1"),
        )

    def set(self, offset: str) -> None:
        """Move it by so much from the right time, as libfaketime takes it."""
        self._file.write_text(f"{offset}\n")


async def _is_closed(world: World, name: str) -> None:
    """Wait until a replica says that its clock is wrong: not ready, and 503 with Retry-After."""
    async with aiohttp.ClientSession() as client:

        async def said() -> bool:
            async with client.get(f"{world.url(name)}/readyz") as answer:
                return answer.status == 503 and _CLOCK in await answer.text()

        await eventually(said, within=30, what=f"{name} to find its clock wrong")
        async with client.get(f"{world.url(name)}/livez") as answer:
            if answer.status != 200:
                raise NotExact([f"{name} is not alive because its clock is wrong: {answer.status}"])
        headers = {"Authorization": f"Bearer {world.key}"}
        url = f"{world.url(name)}/v1/events"
        async with client.post(url, json={}, headers=headers) as answer:
            told = (answer.status, "Retry-After" in answer.headers, await answer.text())
    if told[:2] != (503, True) or _CLOCK not in told[2]:
        raise NotExact([f"{name}, whose clock is wrong, answered {told}"])


async def _require_refused_ticks(world: World) -> None:
    """Wait until ticks of every clock that was ahead are refused; no other tick may be."""
    wanted = {one for one in OFFSETS if one.startswith("+")}

    async def refused() -> bool:
        return await _offsets_refused(world) >= wanted

    await eventually(refused, within=30, what=f"ticks to be refused of clocks moved by {wanted}")
    if wrong := await _offsets_refused(world) - wanted:
        raise NotExact([f"ticks were refused as ahead of clocks moved by {wrong}"])


async def _offsets_refused(world: World) -> set[str]:
    """Return by how much the clocks were wrong whose ticks were refused, to the nearest known."""
    found = await read(world.kafka, world.topic(topics.REJECTS), world.partitions, committed=True)
    told: set[str] = set()
    for one in (message for log in found.values() for message in log):
        reject = msgspec.json.decode(one.value or b"", type=Reject)
        if reject.reason == "tick_ahead":
            tick = msgspec.json.decode(reject.raw, type=Entry).event
            assert isinstance(tick, ClockTicked), tick
            ahead = timedelta(microseconds=tick.at - one.appended)
            told.add(_nearest(ahead))
    return told


def _nearest(by: timedelta) -> str:
    return min(OFFSETS, key=lambda offset: abs(delta(offset) - by))


async def of_the_workers(world: World, rng: Random) -> None:
    """The clocks of detector and desk are days off: what they say of the log is the same."""
    # Of three seeds in a row each clock is ahead in one and behind in another.
    skews = {
        "detector-0": ("+3d", "-3d")[world.seed % 2],
        "alerts-0": ("+3d", "-3d")[world.seed // 2 % 2],
    }
    for name, offset in skews.items():
        world.skew(name, offset)
        world.begin(name)
    await world.ready(*skews)
    await _require_all_skewed(world, skews)
    begin, end = days_ago(12), datetime.now(UTC)
    load = world.load()
    sent = load.events(650, begin, end)
    world.due += load.due
    lapse = world.lapse()
    async with lapse.writing(sent, begin, end):
        await lapse.reached(rng.uniform(0.2, 0.8))
        world.kill("detector-0")
    world.begin("ingest-0")
    await world.ready("ingest-0")
    async with world.feeding(600):
        pass
    await world.ready(*skews)
    await _require_all_skewed(world, skews)


async def _require_all_skewed(world: World, skews: dict[str, str]) -> None:
    for name, offset in skews.items():
        await require_skewed(world, name, delta(offset))


async def ids_forgotten(world: World, rng: Random) -> None:
    """Much comes late, out of order and again, with a horizon of ids so short that some are new.

    Generations of ids close while the detector dies at every step of a flush: what is forgotten is
    what the log says, by count, and not what a crash has left.
    """
    world.horizon = HORIZON
    load, now = world.load(), datetime.now(UTC)
    weights = without("merged") | {"repeated": 30.0, "late": 12.0}
    sent = load.events(4_000, now - timedelta(hours=3), now, weights)
    world.due += load.due
    sent = _out_of_order(sent, rng)
    places = ("snapshot.cut", "snapshot.in_transaction", "snapshot.committed")
    world.arm("detector-0", *(f"{one}=kill@{rng.randrange(1, 5)}" for one in places))
    world.kill("detector-0")
    async with world.feeding(sent, rate=SLOWLY) as feeding:
        await world.struck("detector-0")
        await feeding.further(rng.uniform(0.05, 0.3))
        world.kill("detector-0")


def _out_of_order(sent: list[Sent], rng: Random) -> list[Sent]:
    """Return events moved by up to a few hundred places."""
    order = sorted(range(len(sent)), key=lambda place: place + rng.uniform(0, 300))
    return [sent[place] for place in order]


SCENARIOS = (
    Scenario(
        "clock-of-a-producer",
        ("clock skew of producer", "future-dated: +10 min, year 2199, negative, 0, missing, NaN"),
        of_a_producer,
    ),
    Scenario(
        "clock-of-a-replica",
        ("clock skew of a replica of ingest, not ready and 503, ticks refused",),
        of_a_replica,
        needs=Needs(starts=("ingest-0", "detector-0", "alerts-0")),
    ),
    Scenario(
        "clock-of-workers",
        ("clock skew of worker: results identical",),
        of_the_workers,
        needs=Needs(starts=()),
    ),
    Scenario(
        "ids-forgotten",
        ("late, out-of-order, duplicate", "id horizon small, generations close under kills"),
        ids_forgotten,
        needs=Needs(starts=TWO_DOORS, settings={"EBBWATCH_DETECTOR_ID_HORIZON": str(HORIZON)}),
    ),
)
