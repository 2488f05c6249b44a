"""The shipped rules under kill -9: half a year in seconds, compared with a fold that nothing broke.

The oracle recounts three rules only. That the others are right is for their own tests to say; here
it is shown that they say the same whoever dies: all that they say hangs on months of state, and
the fall that all customers share on what partitions say to each other.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from random import Random
from typing import Final

from schemas import envelope, topics
from schemas.events import PartClosed
from services.detector.partition import Partition
from tests.faults import company, oracle, standing, undisturbed
from tests.faults.halfyear import DAY, DAYS, FALL, HAPPENINGS, TURN, HalfYear, customers
from tests.faults.lapse import Lapse, days_ago
from tests.faults.logs import Log, Tail, read, tail
from tests.faults.oracle.homes import ACCOUNT, COMPANY, home
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.undisturbed import Undisturbed
from tests.faults.world import World
from tests.platform import eventually

PARTITIONS: Final = 2
HASTY: Final = {"EBBWATCH_DETECTOR_FLUSH_SECONDS": "0.05"}
"""A snapshot of almost every day."""

PACED: Final = TURN - 35
"""From this day on no day begins before all partitions have told how the one before went: in the
present a day takes a day, and here what is told of it must not come after weeks have passed."""
DUE: Final = timedelta(hours=14)
"""Of the day after: by then a day has ended in all zones."""
RULES: Final = (*(rule for one in HAPPENINGS for rule in one.rules), "common-fall")
PLACES: Final = (
    *("snapshot.cut", "snapshot.in_transaction", "snapshot.committed"),
    *("detector.fold", "detector.forwarded"),
)
"""Before, within and after the transaction of alerts and state; before, and between what is sent
to other partitions and the stamp that says so."""


async def shipped_rules_killed(world: World, rng: Random) -> None:
    """Workers die, join and leave while customers fall, stop and complain, alone and together.

    A comparison of sameness, not of truth: the very log that came of it is folded once more by the
    same code, in one piece.
    """
    await world.configure(company.SHIPPED)
    begin = days_ago(DAYS).replace(hour=0, minute=0, second=0, microsecond=0)
    sent = HalfYear(world.load(), begin).tell()
    lapse, events = world.lapse(step=DAY), world.topic(topics.EVENTS)
    async with tail(world.kafka, events, world.partitions) as log:
        lapse.pace = Pace(log, world.partitions, (begin + PACED * DAY).date()).wait
        async with lapse.writing(sent, begin + DUE, begin + DUE + (DAYS - 1) * DAY):
            await _break(world, rng, lapse)
    await world.settle()
    await _compare(world)


async def _break(world: World, rng: Random, lapse: Lapse) -> None:
    await lapse.reached(rng.uniform(0.1, 0.6))
    world.kill("detector-0")
    # There are alerts from here on.
    await lapse.reached((TURN + 2) / DAYS, within=120)
    await _die(world, "detector-0", rng, rng.sample(PLACES, 3))
    world.begin("detector-1")
    await world.ready("detector-0", "detector-1")
    await lapse.reached((FALL - 1) / DAYS)
    await _die(world, rng.choice(("detector-0", "detector-1")), rng, rng.sample(PLACES, 2))
    await lapse.reached((FALL + rng.uniform(5, 12)) / DAYS)
    await world.ready("detector-0", "detector-1")
    await world.end("detector-1")
    await lapse.reached((FALL + rng.uniform(13, 18)) / DAYS)
    await world.ready("detector-0")
    world.kill("detector-0")


async def _die(world: World, name: str, rng: Random, places: Sequence[str]) -> None:
    """Let a service die by our hand, and at one place after the other in as many starts."""
    await world.ready(name)
    world.arm(name, *(f"{place}=kill@{rng.randrange(1, 4)}" for place in places))
    world.kill(name)
    await world.struck(name)


class Pace:
    """Holds the days back until all partitions have told of the one before.

    Args:
        log: `events.v1`.
        partitions: How many there are.
        since: The first day that waits.
    """

    def __init__(self, log: Tail, partitions: int, since: date) -> None:
        self._log = log
        self._since = since
        self._home = home(COMPANY, partitions)
        self._read = 0
        self._told: dict[tuple[date, int], int] = {}
        self._wanted = dict.fromkeys(range(partitions), 0)
        for _, account in customers():
            self._wanted[home(ACCOUNT + account, partitions)] += 1

    async def wait(self, at: datetime) -> None:
        """Wait for all that is to be known before a tick, by which the day before it closes."""
        day = (at - 2 * DAY).date()
        if day >= self._since:
            what = f"all partitions to tell of {day}"
            await eventually(lambda: self._whole(day), within=90, what=what)

    async def _whole(self, day: date) -> bool:
        await self._log.catch_up()
        messages = self._log.log[self._home]
        for message in messages[self._read :]:
            for _, entry in envelope.decode(message.value)[0]:
                if isinstance(entry.event, PartClosed) and entry.event.scope == COMPANY:
                    known = (entry.event.day, entry.event.partition)
                    count = int(entry.event.values["accounts"])
                    self._told[known] = max(count, self._told.get(known, 0))
        self._read = len(messages)
        return all(
            self._told.get((day, number), 0) >= count for number, count in self._wanted.items()
        )


async def _compare(world: World) -> None:
    """Require what an undisturbed fold of the log comes to, and something of every kind in it."""
    kafka, count = world.kafka, world.partitions
    events = await read(kafka, world.topic(topics.EVENTS), count)
    alerts = await read(kafka, world.topic(topics.ALERTS), count, committed=True)
    folded = {
        number: await asyncio.to_thread(undisturbed.fold, number, count, log)
        for number, log in events.items()
    }
    async with tail(kafka, world.topic(topics.STATE), count, committed=True) as state:
        await state.catch_up()
        restored = {
            number: Partition.restore(number, count, state.newest(number)) for number in folded
        }
    found = [*_missing(folded), *_said(folded, events)]
    for number, one in folded.items():
        found += undisturbed.alert_differences(one.alerts, undisturbed.written(alerts[number]))
        shown = undisturbed.shown_of(restored[number])
        found += undisturbed.apart(f"partition {number}", shown, one.shown)
    found += await _desk(world, alerts)
    told = [len(each) for one in folded.values() for each in one.alerts.values()]
    world.figures["alerts"] = sum(told)
    if found:
        raise NotExact(oracle.cut(found))


def _missing(folded: Mapping[int, Undisturbed]) -> Iterator[str]:
    """Yield the rules of which nothing came: without alerts there is nothing to compare."""
    raised = {
        alert["rule"]
        for one in folded.values()
        for alerts in one.alerts.values()
        for alert in alerts
        if alert["type"] == "alert.raised"
    }
    return (f"no alert of {rule} came of half a year" for rule in RULES if rule not in raised)


def _said(folded: Mapping[int, Undisturbed], events: Log) -> Iterator[str]:
    """Yield where partitions heard otherwise than all had to say."""
    wanted = {raw for one in folded.values() for raw in one.said}
    for number, log in events.items():
        heard = undisturbed.heard(log)
        for raw in sorted(wanted - heard):
            yield f"partition {number} never heard {raw!r}"
        for raw in sorted(heard - wanted):
            yield f"partition {number} heard {raw!r}, which nobody had to say"


async def _desk(world: World, alerts: Log) -> list[str]:
    """Return where cases, notices and webhooks are other than the alert log says, by any rules."""
    arrived = [
        oracle.Arrived(one.id, one.body, 200 <= one.status < 300) for one in world.receiver.arrivals
    ]
    desk = oracle.recount_desk(alerts)
    hooks = frozenset({company.HOOK})
    return [
        *oracle.desk_differences(desk, world.cases, arrived, hooks),
        # Who owns an account is said on its first day, before any alert.
        *oracle.addressees(desk, {}, standing.ROUTING),
        *oracle.kept_differences(desk, await standing.kept(world)),
    ]


SCENARIOS = (
    Scenario(
        "shipped-rules-killed",
        ("kill -9 detector under the shipped rules: alerts as of an undisturbed fold",),
        shipped_rules_killed,
        recounted=False,
        needs=Needs(
            starts=("detector-0", "alerts-0"),
            partitions=PARTITIONS,
            settings=HASTY,
            within=300.0,
        ),
    ),
)
