"""Days that end: silences, rules that change, inputs that are late, a crash while days are judged.

Past days are written straight into the log in mode live, so that weeks pass in seconds.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from random import Random
from zoneinfo import ZoneInfo

import msgspec

from schemas import alerts as alert_records
from schemas import topics
from schemas.alerts import AlertRaised
from tests.faults import company
from tests.faults.lapse import days_ago, in_order
from tests.faults.load import ZONES, Load, Sent
from tests.faults.logs import read
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.settling import rest
from tests.faults.world import World

DAY = timedelta(days=1)
LIMIT = 2 * DAY
"""Silence for which the suite's rules ask; see `company.RULES`."""

ACCOUNTS = 4_000
"""In two partitions: judging all of them takes longer than the time between two messages."""

HASTY = {"EBBWATCH_DETECTOR_FLUSH_SECONDS": "0.05"}
"""Shorter than judging them all takes, so that some snapshot is cut within a closing."""

FEED = "crm"
"""An input whose topic nobody reads: here the scenario says how far it is."""

QUIET_WEEK = company.RULES.replace("days = 2 }", "days = 4 }")
CHANGES = (
    QUIET_WEEK,
    company.RULES
    + '\n[[override]]\nrule = "silence"\nsegment = "small"\nparams = { days = 1 }\n'
    + '\n[[override]]\nrule = "champion-left"\noff = true\n',
    company.RULES[: company.RULES.index('[[rule]]\nid = "silence"')],
    company.RULES.replace('severity = "medium"', 'severity = "high"\nshadow = true'),
)
"""Rule sets beside the suite's own: a longer silence, other segments, no silence at all, shadow."""

Placed = tuple[datetime, Sent]
Raised = Mapping[str, list[date]]


async def silent_in_downtime(world: World, rng: Random) -> None:
    """Accounts fall silent in all zones while no detector runs, and while it is killed.

    Each alert comes of the very day on which the silence is long enough, and only one.
    """
    await world.end("detector-0")
    begin, end = _midnight(14), datetime.now(UTC)
    load = world.load(accounts=12)
    # By HTTP, all of it: a source that the late input has ever carried is masked with it.
    placed = [(at, Sent("http", one.event)) for at, one in in_order(load.events(300, begin, end))]
    expected: dict[str, list[date]] = {}
    for number in range(20):
        zone, last = rng.choice(ZONES), rng.randrange(4, 9)
        account = f"quiet_{number}"
        expected[account] = [(begin + (last + 2) * DAY).date()]
        placed += _profile(load, account, zone, begin)
        active = [*range(1, last + 1), *range(last + rng.randrange(3, 5), 13)]
        placed += _used(load, account, zone, begin, active)
    world.due += load.due
    lapse = world.lapse()
    async with lapse.writing(_ordered(placed), begin, end):
        await lapse.reached(rng.uniform(0.3, 0.7))
        world.begin("detector-0")
        for _ in range(2):
            await lapse.reached(min(0.95, lapse.share + 0.1 * rng.random()))
            await world.ready("detector-0")
            world.kill("detector-0")
    await rest(world)
    _require(expected, await _silences(world))


async def rules_changed(world: World, rng: Random) -> None:
    """Rule sets change while days pass and while events come in, under kill -9.

    Each holds from its place in the log on: a day is judged by the rules of the tick that ended it.
    """
    begin, end = days_ago(20), datetime.now(UTC)
    load = world.load()
    span = (end - begin) / 5
    for number, rules in enumerate((company.RULES, *rng.sample(CHANGES, 3), company.RULES)):
        await world.configure(rules)
        first = begin + number * span
        sent = load.events(160, first, first + span)
        lapse = world.lapse()
        async with lapse.writing(sent, first, first + span):
            await lapse.reached(rng.random())
            world.kill(rng.choice(("detector-0", "detector-0", "alerts-0")))
    world.due += load.due
    world.begin("ingest-0")
    await world.ready("ingest-0", "detector-0")
    async with world.feeding(2_000) as feeding:
        for share in sorted(rng.uniform(0.1, 0.9) for _ in range(3)):
            await feeding.reached(share)
            await world.configure(rng.choice(CHANGES))
            world.kill(rng.choice(("detector-0", "ingest-0")))


async def input_late(world: World, rng: Random) -> None:
    """An input is late by hours, then by days: a day waits for it, and after six hours masks it.

    Whom only the late input tells of is never called silent. Who is silent by all that others tell
    is, of the right day, though some hours late.
    """
    await world.configure(**{FEED: f"{world.prefix}{FEED}"})
    begin, end = _midnight(15), datetime.now(UTC)
    short = (begin + 4 * DAY + timedelta(hours=22), timedelta(hours=rng.randrange(5, 8)))
    long = (begin + 7 * DAY + timedelta(hours=rng.randrange(3, 20)), timedelta(hours=100))
    holes = [(first, first + late) for first, late in (short, long)]
    load = world.load(accounts=12)
    # By HTTP, all of it: a source that the late input has ever carried is masked with it.
    placed = [(at, Sent("http", one.event)) for at, one in in_order(load.events(300, begin, end))]
    expected: dict[str, list[date]] = {}
    for number in range(8):
        placed += _held(_carried(load, f"fed_{number}", begin, range(15)), holes)
        last = rng.choice((3, 6, 7))
        expected[f"quiet_{number}"] = [(begin + (last + 2) * DAY).date()]
        placed += _used(load, f"quiet_{number}", "UTC", begin, range(1, last + 1))
    # Its source is seen all the time, so that only what ticks say of the input tells of its hole.
    placed += _from(f"/{FEED}-0", _used(load, "stray", "UTC", begin, range(15), hours=range(24)))
    lapse = world.lapse()
    lapse.inputs.append(f"{FEED}/0")
    lapse.input = FEED
    lapse.until = lambda one, at: _until(at, holes) if one.startswith(FEED) else at
    world.due += load.due
    async with lapse.writing(_ordered(placed), begin, end):
        for share in sorted(rng.uniform(0.2, 0.9) for _ in range(3)):
            await lapse.reached(share)
            await world.ready("detector-0")
            world.kill("detector-0")
    await rest(world)
    found = await _silences(world)
    _require(expected | {f"fed_{number}": [] for number in range(8)}, found)


async def closings_open(world: World, rng: Random) -> None:
    """Snapshots are cut, and workers die, while thousands of accounts are judged one by one."""
    begin, end = days_ago(4), datetime.now(UTC)
    load = world.load(accounts=ACCOUNTS)
    load.now = begin
    placed: list[Placed] = []
    for number in range(ACCOUNTS):
        account = f"acct_{number}"
        if number % 3 == 0:
            placed += _profile(load, account, rng.choice(ZONES), begin)
        # Every other day, so that few are silent; most of those who are do not come back.
        active = (0, 2) if rng.random() < 0.95 else (0,)
        placed += _used(load, account, "UTC", begin, active, hours=(1,))
    placed += in_order(load.events(600, begin, end))
    world.due += load.due
    specs = [
        f"snapshot.cut=kill@{rng.randrange(2, 7)}",
        f"detector.fold=kill@{rng.randrange(5, 20)}",
    ]
    world.arm("detector-0", *rng.sample(specs, 2))
    world.kill("detector-0")
    world.begin("detector-1")
    lapse = world.lapse(step=timedelta(hours=1))
    async with lapse.writing(_ordered(placed), begin, end):
        await lapse.reached(rng.uniform(0.4, 0.9))
        world.kill("detector-1")
    # A death that has not come yet comes while ticks of today do.
    world.begin("ingest-0")
    await world.struck("detector-0")
    await rest(world)
    cut = await _cut_in_closings(world)
    world.figures["snapshots with a closing open"] = cut
    if not cut:
        raise NotExact(["no snapshot was cut within a closing: nothing was shown"])


def _midnight(days: int) -> datetime:
    """Return the beginning of a day in the past, UTC."""
    return days_ago(days).replace(hour=0, minute=0, second=0, microsecond=0)


def _used(
    load: Load,
    account: str,
    zone: str,
    begin: datetime,
    days: Iterable[int],
    hours: Iterable[int] = (12,),
) -> list[Placed]:
    """Return usage of an account on days after the first, at hours of its own zone."""
    found = []
    for day in days:
        for hour in hours:
            on = (begin + day * DAY).replace(hour=hour, tzinfo=ZoneInfo(zone))
            load.now = on.astimezone(UTC)
            data = {"metric": "api_calls", "quantity": 1}
            found.append((load.now, Sent("http", load.event("usage.recorded", account, data))))
    return found


def _carried(load: Load, account: str, begin: datetime, days: Iterable[int]) -> list[Placed]:
    """Return usage that the late input carries, of sources that it alone feeds or not."""
    found = _from(f"/{FEED}-0", _used(load, account, "UTC", begin, days, hours=(23,)))
    return [(at, Sent("input", one.event)) for at, one in found]


def _from(source: str, placed: Iterable[Placed]) -> list[Placed]:
    return [(at, Sent(one.way, one.event | {"source": source})) for at, one in placed]


def _held(placed: Iterable[Placed], holes: Sequence[tuple[datetime, datetime]]) -> list[Placed]:
    """Return events that come once their input goes on."""
    return [
        (next((until for since, until in holes if since <= at < until), at), one)
        for at, one in placed
    ]


def _until(at: int, holes: Sequence[tuple[datetime, datetime]]) -> int:
    """Return up to when an input is complete at an instant, microseconds."""
    for since, until in holes:
        if since.timestamp() * 1e6 <= at < until.timestamp() * 1e6:
            return round(since.timestamp() * 1e6)
    return at


def _profile(load: Load, account: str, zone: str, at: datetime) -> list[Placed]:
    load.now = at
    return [(at, Sent("http", load.event("account.updated", account, {"timezone": zone})))]


def _ordered(placed: Iterable[Placed]) -> list[Sent]:
    return [one for _, one in sorted(placed, key=lambda each: each[0])]


async def _silences(world: World) -> Raised:
    """Return of which days which account was said to be silent."""
    found: defaultdict[str, list[date]] = defaultdict(list)
    log = await read(world.kafka, world.topic(topics.ALERTS), world.partitions, committed=True)
    for one in (one for records in log.values() for one in records):
        if one.value and msgspec.json.decode(one.value)["type"] == "alert.raised":
            alert = alert_records.decode(one.value)
            if isinstance(alert, AlertRaised) and alert.rule == "silence":
                found[alert.account].append(alert.day)
    return found


def _require(expected: Raised, found: Raised) -> None:
    wrong = [
        f"{account} must be called silent of {list(map(str, days))}, not of "
        f"{list(map(str, found.get(account, [])))}"
        for account, days in sorted(expected.items())
        if found.get(account, []) != days
    ]
    if wrong:
        raise NotExact(wrong)


async def _cut_in_closings(world: World) -> int:
    """Return how many snapshots in the log hold a closing that is not judged to its end."""
    log = await read(world.kafka, world.topic(topics.STATE), world.partitions, committed=True)
    ledgers = [
        msgspec.msgpack.decode(one.value)
        for records in log.values()
        for one in records
        if one.key == b"~ledger" and one.value
    ]
    return sum(bool(ledger.get("closings")) for ledger in ledgers)


PAST = ("detector-0", "alerts-0")

SCENARIOS = (
    Scenario(
        "silent-in-downtime",
        ("silence rules fire exactly at the tick, also after downtime, once per episode",),
        silent_in_downtime,
        needs=Needs(starts=PAST),
    ),
    Scenario(
        "rules-changed",
        ("rule-set change mid-stream",),
        rules_changed,
        needs=Needs(starts=PAST),
    ),
    Scenario(
        "input-late",
        ("completeness: an input late by hours delays the day, after 6 h it is masked",),
        input_late,
        needs=Needs(starts=PAST),
    ),
    Scenario(
        "killed-within-closings",
        ("kill -9 while days are judged, closings open",),
        closings_open,
        needs=Needs(starts=PAST, partitions=2, settings=HASTY),
    ),
)
