"""Waits until nothing is under way any more: by conditions on the log, never by time alone."""

import asyncio
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, NamedTuple

import aiohttp
import msgspec

from schemas import topics
from schemas.envelope import Entry
from tests.faults import oracle
from tests.faults.logs import Group, Tail, tail
from tests.faults.scenario import NotExact
from tests.platform import eventually

if TYPE_CHECKING:
    from tests.faults.world import World

_SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Sample(NamedTuple):
    """One sample of `/metrics`."""

    name: str
    labels: dict[str, str]
    value: float


async def scrape(world: "World", service: str) -> list[Sample]:
    """Return the metrics of all replicas of a service that answer, or of one replica."""
    found: list[Sample] = []
    timeout = aiohttp.ClientTimeout(total=2.0)
    async with aiohttp.ClientSession(timeout=timeout) as client:
        for name in world.replicas(service) or [service]:
            try:
                async with client.get(f"{world.url(name)}/metrics") as answer:
                    text = await answer.text()
            except (aiohttp.ClientError, TimeoutError):
                continue
            found += [
                Sample(sample, dict(_LABEL.findall(labels)), float(value))
                for sample, labels, value in _SAMPLE.findall(text)
            ]
    return found


async def settle(world: "World", within: float) -> None:
    """Let everything drain, from the front to the back, and stop each service when it is idle.

    Args:
        world: What was fed.
        within: Seconds for each of the three.

    Raises:
        NotExact: A service took too long to stop, or ended with another code than 0.
    """
    await rest(world, within)
    await _end(world, "detector")
    await _end(world, "alerts")


async def rest(world: "World", within: float = 60.0) -> None:
    """Take nothing in any more, and wait until all is folded, delivered and shown.

    Args:
        world: What was fed; its ingest is stopped, the others go on.
        within: Seconds for each of the three.
    """
    if world.replicas("ingest"):
        await _drain_input(world, within)
        await _end(world, "ingest")
    await _fold(world, within)
    samples = await scrape(world, "detector")
    world.caught_up = sum(
        round(one.value) for one in samples if one.name == "ebbwatch_caught_up_messages_total"
    )
    alerts = world.topic(topics.ALERTS)
    if world.replicas("alerts"):
        async with tail(world.kafka, alerts, world.partitions, committed=True) as log:
            await eventually(
                lambda: _all_delivered(world, log), within=within, what="every notice answered for"
            )
            await _followed(world, within)
            told = oracle.recount_desk(log.log, named=not world.votes_from).votes
            votes = {
                number: [
                    one for one in mine if one.origin and one.origin.offset >= world.votes_from
                ]
                for number, mine in told.items()
            }
        if any(votes.values()):
            await _hand_on(world, votes, within)
            await _fold(world, within)


async def _fold(world: "World", within: float) -> None:
    async with (
        tail(world.kafka, world.topic(topics.EVENTS), world.partitions) as events,
        tail(world.kafka, world.topic(topics.STATE), world.partitions, committed=True) as state,
    ):
        await eventually(
            lambda: _all_folded(world, events, state),
            within=within,
            what="a snapshot of the log up to its end",
        )


async def _hand_on(world: "World", votes: Mapping[int, Sequence[Entry]], within: float) -> None:
    """Wait until people's feedback has come from the desk to the detector's log."""
    async with tail(world.kafka, world.topic(topics.EVENTS), world.partitions) as events:

        async def handed_on() -> bool:
            await events.catch_up()
            return not list(oracle.votes(votes, events.log))

        await eventually(handed_on, within=within, what="people's feedback in the log")


async def _drain_input(world: "World", within: float) -> None:
    async with (
        tail(world.kafka, world.input_topic, world.input_partitions) as records,
        Group(world.kafka, f"{world.prefix}ingest") as group,
    ):
        ends = await records.catch_up()

        async def drained() -> bool:
            for name in world.replicas("ingest"):
                world.require_alive(name)
            done = await group.committed()
            return all(
                done.get((world.input_topic, number), 0) >= end for number, end in ends.items()
            )

        await eventually(drained, within=within, what="the input topic to be forwarded")


async def _all_folded(world: "World", events: Tail, state: Tail) -> bool:
    for name in world.replicas("detector"):
        world.require_alive(name)
    # The stamps first: whoever has folded up to one has appended its forwards before.
    await state.catch_up()
    ends = await events.catch_up()
    return all(stamp(state, number) == end - 1 for number, end in ends.items())


def stamp(state: Tail, number: int) -> int:
    """Return the offset up to which a partition's snapshot holds the log; -1 for none."""
    raw = state.newest(number).get("~ledger")
    return -1 if raw is None else int(msgspec.msgpack.decode(raw).get("stamp", -1))


async def stamps_now(world: "World") -> dict[int, int]:
    """Return up to where the snapshot holds each partition of the log."""
    async with tail(
        world.kafka, world.topic(topics.STATE), world.partitions, committed=True
    ) as state:
        await state.catch_up()
        return {number: stamp(state, number) for number in range(world.partitions)}


async def _all_delivered(world: "World", log: Tail) -> bool:
    for name in world.replicas("alerts"):
        world.require_alive(name)
    await log.catch_up()
    newest = {number: records[-1].offset for number, records in log.log.items() if records}
    samples = await scrape(world, "alerts")
    stamps = {
        int(one.labels["partition"]): one.value for one in samples if one.name == "ebbwatch_stamp"
    }
    waiting = [
        one.value
        for one in samples
        if one.name == "ebbwatch_oldest_undelivered_alert_timestamp_seconds"
    ]
    before = dict(newest)
    await log.catch_up()
    newest = {number: records[-1].offset for number, records in log.log.items() if records}
    return (
        newest == before
        and len(stamps) == world.partitions
        and bool(waiting)
        and not any(waiting)
        and all(stamps[number] >= offset for number, offset in newest.items())
    )


async def _followed(world: "World", within: float) -> None:
    """Wait until pages show all that is folded by now."""
    since: datetime | None = None

    async def shown() -> bool:
        nonlocal since
        since = since or await _clock(world)
        return since is not None and await _shown(world, since)

    await eventually(shown, within=within, what="the view to be whole")


async def _clock(world: "World") -> datetime | None:
    """Return what the desk's clock shows, which may be days off; None while it is down."""
    url = f"{world.url(world.replicas('alerts')[0])}/livez"
    async with aiohttp.ClientSession() as client:
        try:
            async with client.get(url) as answer:
                # Its seconds are cut off.
                return parsedate_to_datetime(answer.headers["Date"]) + timedelta(seconds=1)
        except aiohttp.ClientError:
            return None


async def _shown(world: "World", since: datetime) -> bool:
    """Tell whether pages show all that was folded by then."""
    if world.redis is None:
        return True
    name = world.replicas("alerts")[0]
    async with aiohttp.ClientSession() as client:
        try:
            async with client.get(f"{world.url(name)}/api/v1/status") as answer:
                told = await answer.json() if answer.status == 200 else {}
        except aiohttp.ClientError:
            return False
    if not told or not told["freshness"]["complete"]:
        return False
    # Whole it may be and still be written a moment after the log.
    as_of = told["freshness"]["as_of"]
    if as_of is None or datetime.fromisoformat(as_of) <= since:
        return False
    world.cases = await _cases(world)
    return True


async def _cases(world: "World") -> list[dict[str, object]]:
    """Return every case that is not resolved, as the API shows them; none unless that is whole."""
    name = world.replicas("alerts")[0]
    found: list[dict[str, object]] = []
    cursor = ""
    async with aiohttp.ClientSession() as client:
        while True:
            path = f"/api/v1/cases?limit=200&sort=age{cursor}"
            try:
                async with client.get(world.url(name) + path) as answer:
                    page = await answer.json() if answer.status == 200 else {}
            except aiohttp.ClientError:
                return []
            if not page or not page["freshness"]["complete"]:
                return []
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = f"&cursor={page['next']}"


async def _end(world: "World", service: str) -> None:
    names = world.replicas(service)
    # One that starts just now does not listen to signals yet.
    await world.ready(*names)
    try:
        codes = await asyncio.gather(*(world.end(name) for name in names))
    except AssertionError as late:
        raise NotExact([str(late)]) from None
    wrong = [
        f"{name} ended with {code} when it was asked to end"
        for name, code in zip(names, codes, strict=True)
        if code not in (0, None)
    ]
    if wrong:
        raise NotExact(wrong)
