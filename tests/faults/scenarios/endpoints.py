"""Endpoints that refuse, hang, flood, ask to wait, or are gone: each notice has its outcome."""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import msgspec

from schemas.config import HEALTH_PREFIX, ChannelHealth
from tests.faults.company import HOOK
from tests.faults.deliveries import (
    CLOSED,
    WAITS,
    Delivery,
    deliveries,
    differences,
    latencies,
    unanswered,
)
from tests.faults.dripping import alerted
from tests.faults.manners import RUDE, SEND_SECONDS, Busy, Endpoint
from tests.faults.people import ask
from tests.faults.receiver import receiving, take
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.settling import rest, scrape
from tests.faults.world import World
from tests.platform import eventually, free_port
from tests.unit.alerts.channels.attempts import self_signed

SCALE = 4e-5
"""Ten attempts within eleven to fourteen seconds."""

SETTINGS = {"EBBWATCH_ALERTS_RETRY_SCALE": f"{SCALE}"}

BRIEF = {"EBBWATCH_ALERTS_SEND_SECONDS": f"{SEND_SECONDS}"}
PATIENT = BRIEF | {"EBBWATCH_ALERTS_RETRY_SCALE": "0.05"}
"""The first retries are not all made at once, and who hangs holds his slots for long."""

FLAT_BYTES = 96 << 20
"""By so much a replica may grow while gigabytes are sent to it, sixteen at a time."""

DAYS = (28, 56, 84, 112, 121)
"""Hours by which the desk's clock is ahead, one after the other: failing for five days, and seldom
enough for a day's pause between two failures."""

MANY = 60
"""Webhooks of which the slowest hundredth is compared."""

SLOWLY = 20.0
"""Events a second, each second of which is an alert: what is compared is not how much the processor
can do, but whether one delivery waits for another."""

LEEWAY_SECONDS = 2.5
"""Beside twice the time that it takes alone: two cores serve five endpoints. Whoever waits for one
attempt of who hangs waits three seconds; in a common queue, ten."""

WIDTH = 16
"""Attempts of one channel at once, as the settings have it."""


async def rude(world: World, rng: Random) -> None:
    """Let an endpoint behave in every wrong way at once; each webhook is taken in the end."""
    patience: dict[str, int] = {}

    def choose(id: str, attempt: int) -> str:
        last = patience.setdefault(id, rng.randrange(1, 6))
        return rng.choice(RUDE) if attempt < last else "takes"

    endpoint = await _endpoint(world, choose)
    base = _peak(world)
    for _ in range(3):
        before = len(endpoint.visits)
        await alerted(world, 50)
        await _visited(endpoint, before + rng.randrange(20, 100))
        _require_flat(world, base)
        world.kill("alerts-0")
    await rest(world)
    _require_flat(world, base)
    found = await deliveries(world)
    _require([*_all_delivered(found, 150), *differences(found, endpoint.visits, SCALE)])


async def _endpoint(world: World, choose: Callable[[str, int], str]) -> Endpoint:
    endpoint = Endpoint(choose)
    world.receiver.behave = endpoint.behave
    await world.ready("alerts-0")
    return endpoint


async def _visited(endpoint: Endpoint, count: int) -> None:
    await eventually(
        lambda: len(endpoint.visits) >= count, within=60, what=f"{count} attempts to arrive"
    )


def _require(found: Iterable[str]) -> None:
    if told := list(found):
        raise NotExact(told[:20])


def _all_delivered(found: dict[str, Delivery], count: int) -> list[str]:
    delivered = sum(1 for one in found.values() if one.delivered)
    return [] if delivered == count else [f"{delivered} of {count} notices were delivered"]


def _peak(world: World) -> int:
    """Return the most memory that the desk's process has had, bytes."""
    told = Path(f"/proc/{world.keepers['alerts-0'].pid}/status").read_text().splitlines()
    return next(int(one.split()[1]) << 10 for one in told if one.startswith("VmHWM"))


def _require_flat(world: World, base: int) -> None:
    grown = _peak(world) - base
    world.figures["MB grown"] = max(world.figures.get("MB grown", 0.0), grown >> 20)
    if grown > FLAT_BYTES:
        raise NotExact([f"the desk grew by {grown >> 20} MB while answers were a gigabyte long"])


async def asking_to_wait(world: World, rng: Random) -> None:
    """Let an endpoint ask for pauses, in seconds and by dates: nobody comes until they are over."""
    endpoint = Busy()
    world.receiver.behave = endpoint.behave
    for number, dated in enumerate(rng.sample((True, False), 2)):
        endpoint.be_busy(rng.uniform(2.0, 3.5), dated=dated)
        await alerted(world, 40)
        await _received(world, 40 * (number + 1))
        if len(endpoint.until) > WIDTH:
            told = f"{len(endpoint.until)} webhooks were sent to who had asked for a pause"
            raise NotExact([f"{told}; {WIDTH} at most can have been on their way"])
        _require(_waited(await deliveries(world), endpoint))
    endpoint.be_busy(3.0, dated=rng.random() < 0.5)
    await alerted(world, 40)
    await eventually(lambda: endpoint.asked, within=30, what="somebody to be asked for a pause")
    world.kill("alerts-0")
    await rest(world)
    found = await deliveries(world)
    waited = [*_waited(found, endpoint), *differences(found, endpoint.visits, SCALE)]
    _require([*_all_delivered(found, 120), *waited])


def _waited(found: dict[str, Delivery], endpoint: Busy) -> Iterator[str]:
    """Yield who was told to come again too soon, of those who were asked last."""
    for id, until in endpoint.until.items():
        # Of a desk that was killed the log does not tell every attempt.
        for failed in found[id].failed[-1:] if id in found else []:
            if failed.retry_at is None or failed.retry_at.timestamp() < until:
                yield f"{id} was asked to wait until {until:.0f}, it waits until {failed.retry_at}"


async def _received(world: World, count: int) -> None:
    await eventually(
        lambda: len(world.receiver.received) >= count, within=60, what=f"{count} webhooks"
    )


async def gone(world: World, rng: Random) -> None:
    """Let an endpoint answer 410: its channel is off until a person switches it on again."""
    manner = "takes"
    endpoint = await _endpoint(world, lambda _, __: manner)
    await alerted(world, 10)
    await _received(world, 10)
    manner = "410"
    await alerted(world, 30)
    await _channel(world, "disabled", "gone")
    visits = len(endpoint.visits)
    world.kill("alerts-0")
    await alerted(world, 10)
    await world.ready("alerts-0")
    await _waits(world, 40)
    if len(endpoint.visits) > visits:
        raise NotExact([f"{len(endpoint.visits) - visits} attempts by a channel that is off"])
    said = await _list(world)
    for words in (
        "switched off since",
        "its endpoint is gone: 410",
        "ebbwatch channels enable hook",
    ):
        _require([] if words in said else [f"`channels list` does not say {words!r}: {said}"])
    manner = "takes"
    await asyncio.to_thread(world.deployment.ebbwatch, "channels", "enable", HOOK)
    await rest(world)
    found = await deliveries(world)
    _require([*_all_delivered(found, 50), *differences(found, endpoint.visits, SCALE)])
    await _channel(world, "ok", "")


async def _channel(world: World, state: str, detail: str) -> None:
    """Wait until API and metrics say how the channel does."""

    async def says_so() -> bool:
        answer = await ask(world, "/api/v1/channels")
        if answer.status != 200:
            return False
        told = {one["name"]: (one["state"], one["detail"]) for one in answer.body["items"]}
        samples = await scrape(world, "alerts")
        up = [one.value for one in samples if one.name == "ebbwatch_channel_up"]
        return told[HOOK] == (state, detail) and up == [float(state == "ok")]

    await eventually(says_so, within=60, what=f"the channel to be {state} {detail}")


async def _list(world: World) -> str:
    return await asyncio.to_thread(world.deployment.ebbwatch, "channels", "list")


async def _waits(world: World, count: int) -> None:
    """Wait until so many notices are intended that nobody has taken."""

    async def waiting() -> bool:
        return await unanswered(world) == count

    await eventually(waiting, within=60, what=f"{count} notices to wait for their channel")


async def dead(world: World, _: Random) -> None:
    """Let an endpoint refuse for five days: each notice is given up, and the channel goes off."""
    manner = "500"
    endpoint = await _endpoint(world, lambda _, __: manner)
    await alerted(world, 20)
    await _given_up(world, 20)
    await _channel(world, "failing", "")
    found = await deliveries(world)
    _require([*_ten_attempts(found), *differences(found, endpoint.visits, SCALE)])
    for hours in DAYS:
        world.skew("alerts-0", f"+{hours}h")
        world.kill("alerts-0")
        await world.ready("alerts-0")
        await alerted(world, 3)
        if hours != DAYS[-1]:
            await _failed_at(world, hours)
    await _channel(world, "disabled", "failing")
    said = await _list(world)
    _require([] if "it failed for five days" in said else [f"`channels list` says {said}"])
    await _closed(world)
    await _again(world, endpoint)
    manner = "takes"
    await asyncio.to_thread(world.deployment.ebbwatch, "channels", "enable", HOOK)
    await alerted(world, 10)
    await _received(world, 10)
    await _channel(world, "ok", "")


def _ten_attempts(found: dict[str, Delivery]) -> list[str]:
    return [
        f"{id} was given up after {len(one.failed)} attempts"
        for id, one in found.items()
        if len(one.failed) != len(WAITS)
    ]


async def _given_up(world: World, count: int) -> None:
    async def all_are() -> bool:
        found = await deliveries(world)
        return sum(1 for one in found.values() if one.failed[-1].retry_at is None) == count

    await eventually(all_are, within=90, what=f"{count} notices to be given up")


async def _failed_at(world: World, hours: int) -> None:
    """Wait until it is written down that the channel still failed by that time."""

    async def noted() -> bool:
        raw = (await world.config.read()).get(f"{HEALTH_PREFIX}{HOOK}")
        health = None if raw is None else msgspec.json.decode(raw, type=ChannelHealth)
        newest = health.failed_at if health is not None else None
        return newest is not None and newest > datetime.now(UTC) + timedelta(hours=hours - 1)

    await eventually(noted, within=60, what=f"a failure {hours} h ahead to be noted")


async def _closed(world: World) -> None:
    """Require that what comes for a channel that is off for long is closed, and says why."""

    async def all_are() -> bool:
        return await unanswered(world) == 0

    await eventually(all_are, within=60, what="every notice to be closed")
    before = (await deliveries(world)).keys()
    await alerted(world, 5)

    async def new_ones() -> bool:
        found = await deliveries(world)
        told = [one.failed for id, one in found.items() if id not in before]
        return [[one.reason for one in some] for some in told] == [[CLOSED]] * 5

    await eventually(new_ones, within=60, what=f"five notices to end with {CLOSED} and no attempt")


async def _again(world: World, endpoint: Endpoint) -> None:
    """Let the desk live in our own time again: nothing comes of that."""
    visits = len(endpoint.visits)
    world.always("alerts-0")
    world.kill("alerts-0")
    await world.ready("alerts-0")
    _require([] if len(endpoint.visits) == visits else ["a channel that is off was tried"])


async def neighbours(world: World, _: Random) -> None:
    """Let four endpoints of five be bad in ways of their own: the fifth one does not notice."""
    async with contextlib.AsyncExitStack() as stack:
        hanging = await stack.enter_async_context(receiving())
        flooding = await stack.enter_async_context(receiving())
        sealed = await stack.enter_async_context(receiving(self_signed(world.folder)))
        world.hooks = {"hangs": hanging.url, "floods": flooding.url}
        await world.configure()
        good = await _endpoint(world, lambda _, __: "takes")
        await alerted(world, MANY, SLOWLY)
        await _received(world, MANY)
        before = await latencies(world, good.visits)
        closed = f"http://127.0.0.1:{free_port()}/hook"
        world.hooks |= {"refuses": closed, "tls": sealed.url}
        await world.configure()
        hung, flooded = Endpoint(lambda _, __: "silent"), Endpoint(_flood)
        hanging.behave, flooding.behave = hung.behave, flooded.behave
        await world.ready("alerts-0")
        await alerted(world, MANY, SLOWLY)
        await _received(world, 2 * MANY)
        world.always("alerts-0", EBBWATCH_ALERTS_RETRY_SCALE=f"{SCALE}")
        world.kill("alerts-0")
        after = (await latencies(world, good.visits))[MANY:]
        _require_alike(world, _p99(before), _p99(after))
        await _seen(world, {"hangs": "timeout", "refuses": "connection", "tls": "tls"})
        hanging.behave = flooding.behave = take
        await rest(world, within=120)
    for name in ("refuses", "tls"):
        found = await deliveries(world, name)
        _require(_ten_attempts(found))


def _flood(_: str, attempt: int) -> str:
    return "endless head" if attempt % 2 else "503, with a gigabyte"


def _p99(seconds: Sequence[float]) -> float:
    return sorted(seconds)[round(0.99 * (len(seconds) - 1))]


def _require_alike(world: World, alone: float, beside: float) -> None:
    world.figures |= {"ms p99 alone": 1000 * alone, "ms p99 beside bad ones": 1000 * beside}
    if beside > 2 * alone + LEEWAY_SECONDS:
        told = f"{alone:.2f} s alone, {beside:.2f} s beside bad endpoints"
        raise NotExact([f"one in a hundred webhooks of a good endpoint comes after {told}"])


async def _seen(world: World, reasons: dict[str, str]) -> None:
    """Wait until each channel has failed for its reason, and for no other."""

    async def all_have() -> bool:
        return {name: await _reasons(world, name) for name in reasons} == {
            name: {reason} for name, reason in reasons.items()
        }

    await eventually(all_have, within=60, what=f"failures for {reasons}")


async def _reasons(world: World, channel: str) -> set[str]:
    found = await deliveries(world, channel)
    return {one.reason for delivery in found.values() for one in delivery.failed}


NEEDS = Needs(settings=SETTINGS, within=300.0)

SCENARIOS = (
    Scenario(
        "endpoint-rude",
        ("webhook 5xx", "timeout", "slowloris body", "body of 1 GB", "3xx", "connection broken"),
        rude,
        needs=Needs(settings=SETTINGS | BRIEF, within=300.0),
    ),
    Scenario("endpoint-asks-to-wait", ("429 with Retry-After",), asking_to_wait, needs=NEEDS),
    Scenario("endpoint-gone", ("webhook 410",), gone, random=False, needs=NEEDS),
    Scenario("endpoint-dead", ("webhook dead for 5 days",), dead, random=False, needs=NEEDS),
    Scenario(
        "endpoints-bad-beside-a-good-one",
        ("one bad endpoint does not delay others", "TLS error", "connection refused"),
        neighbours,
        random=False,
        needs=Needs(settings=SETTINGS | PATIENT, within=300.0),
    ),
)
