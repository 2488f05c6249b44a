"""Bugs in what folds and judges: an account, a rule or an alert stands aside; the rest goes on."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec

from schemas import topics
from tests.faults.bugs import (
    CASE_RAISES,
    CURSED,
    FOLD_RAISES,
    RULE_NEVER_ENDS,
    RULE_RAISES,
    mend,
    plant,
)
from tests.faults.load import Event, Load, Sent
from tests.faults.logs import tail
from tests.faults.people import ask, try_to_comment
from tests.faults.refusing import last_line
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.settling import scrape, stamps_now
from tests.faults.world import World
from tests.platform import eventually

STUCK_SECONDS = "4"
"""After which a watchdog ends its service: a minute of a deployment's."""


async def fold_raises(world: World, rng: Random) -> None:
    """Let a fold raise at one account; it stands aside, and nothing of it is lost."""
    plant(world, "detector-0", FOLD_RAISES)
    world.kill("detector-0")
    await world.died("detector-0")
    async with world.feeding(3_000) as feeding:
        await feeding.reached(rng.uniform(0.05, 0.2))
        await _fed(world, _uses(world, 6, "api_calls"))
        await _fed(world, _uses(world, 1, "cursed"))
        await _counts(world, "ebbwatch_quarantined_subjects", 1)
        await _fed(world, _uses(world, 8, "api_calls"))
        await feeding.further(rng.uniform(0.05, 0.2))
        await _written(world)
        mend(world, "detector-0")
        world.kill("detector-0")
        await world.died("detector-0", 2)
        await world.ready("detector-0")
        # What a mended fold would take is still held: nothing may overtake what waits.
        await _fed(world, _uses(world, 3, "api_calls"))
        await _counts(world, "ebbwatch_quarantined_subjects", 1)
        repairing = asyncio.create_task(_repaired(world))
        await _fed(world, _uses(world, 4, "exports"))
        if rng.random() < 0.5:
            world.kill("detector-0")
        await repairing
        await _counts(world, "ebbwatch_quarantined_subjects", 0)
    await _require_repaired(world)


def _uses(world: World, count: int, metric: str) -> list[Sent]:
    """Return usage of the cursed account, over both ways."""
    load = _load(world)
    data: Event = {"metric": metric, "quantity": 1.5, "person": "someone"}
    return [Sent(load.way(), load.event("usage.recorded", CURSED, data)) for _ in range(count)]


def _load(world: World) -> Load:
    load = world.load()
    load.now = datetime.now(UTC) - timedelta(seconds=5)
    return load


async def _fed(world: World, sent: list[Sent]) -> None:
    async with world.feeding(sent):
        pass


async def _counts(
    world: World, name: str, wanted: float, service: str = "detector", **labels: str
) -> None:
    """Wait until the samples of a metric of a service add up to a number."""

    async def there() -> bool:
        found = [
            one.value
            for one in await scrape(world, service)
            if one.name == name and labels.items() <= one.labels.items()
        ]
        return bool(found or not wanted) and sum(found) == wanted

    await eventually(there, within=60, what=f"{name} to be {wanted:g}")


async def _written(world: World) -> None:
    """Wait until what was folded so far is in the snapshot: a crash before takes it back."""
    ends = await _newest(world)

    async def there() -> bool:
        stamps = await stamps_now(world)
        return all(stamps[number] >= end for number, end in ends.items())

    await eventually(there, within=40, what="a snapshot of all that came so far")


async def _newest(world: World) -> dict[int, int]:
    """Return the newest offset of every partition of the log."""
    async with tail(world.kafka, world.topic(topics.EVENTS), world.partitions) as log:
        return {number: end - 1 for number, end in (await log.catch_up()).items()}


async def _repaired(world: World) -> None:
    await asyncio.to_thread(world.deployment.ebbwatch, "accounts", "repair", CURSED)


async def _require_repaired(world: World) -> None:
    """Let it be told that nothing is left to repair, once all that was sent again is written."""

    def nothing_left() -> bool:
        try:
            told = world.deployment.ebbwatch("accounts", "repair", CURSED, code=1)
        except AssertionError:
            return False
        return "is not quarantined" in told

    async def there() -> bool:
        return await asyncio.to_thread(nothing_left)

    await eventually(there, within=40, what="nothing to be left to repair")


def _failed_payment(world: World) -> list[Sent]:
    """Return one failure of one payment; of the second an alert comes."""
    load = _load(world)
    data: Event = {"payment": "in_1", "amount": 900}
    return [Sent(load.way(), load.event("payment.failed", CURSED, data))]


async def rule_raises(world: World, rng: Random) -> None:
    """Let a rule raise at one account: off there, on again with the next rule set."""
    plant(world, "detector-0", RULE_RAISES)
    world.kill("detector-0")
    await world.died("detector-0")
    async with world.feeding(2_500) as feeding:
        await feeding.reached(rng.uniform(0.05, 0.3))
        await _fed(world, _failed_payment(world))
        await _counts(world, "ebbwatch_rules_off", 1, rule="payment-failed")
        await _written(world)
        mend(world, "detector-0")
        world.kill("detector-0")
        await world.died("detector-0", 2)
        await world.ready("detector-0")
        await _counts(world, "ebbwatch_rules_off", 1, rule="payment-failed")
        await _next_rules(world)
        world.due.append(CURSED)
        await _fed(world, _failed_payment(world))
        await _counts(world, "ebbwatch_rules_off", 0)


async def _next_rules(world: World) -> None:
    """Put a rule set in force that differs in one title."""
    rules = world.folder / "company" / "rules.toml"
    rules.write_text(rules.read_text().replace("A payment failed twice", "Twice not paid"))
    await asyncio.to_thread(world.deployment.ebbwatch, "config", "apply")
    await _counts(world, "ebbwatch_rules_info", world.partitions, n="2")


async def rule_never_ends(world: World, rng: Random) -> None:
    """Let a rule never come to an end: the watchdog ends its worker until the bug is mended."""
    plant(world, "detector-0", RULE_NEVER_ENDS)
    world.kill("detector-0")
    await world.died("detector-0")
    world.due.append(CURSED)
    async with world.feeding(2_000) as feeding:
        await feeding.reached(rng.uniform(0.05, 0.3))
        await _fed(world, [*_failed_payment(world), *_failed_payment(world)])
        ended = await world.died("detector-0", 2)
        said = last_line(world, "detector-0")
        mend(world, "detector-0")
        if ended.code != 75 or "sitecustomize" not in said:
            raise NotExact([f"an endless rule ended its worker with {ended.code}: {said}"])


WRITTEN_LATE = ("outbox.intended", "outbox.sent", "outbox.noted", "snapshot.in_transaction")


async def case_raises(world: World, rng: Random) -> None:
    """Let the desk's fold raise at one alert; it is held, and stands in its case in the end."""
    plant(world, "alerts-0", CASE_RAISES)
    world.kill("alerts-0")
    await world.died("alerts-0")
    async with world.feeding(2_500) as feeding:
        await feeding.reached(rng.uniform(0.05, 0.2))
        await _fed(world, _left(world, "champion"))
        await _told(world, 1)
        world.due.append(CURSED)
        await _fed(world, [*_failed_payment(world), *_failed_payment(world)])
        await _fails(world)
        # Everything else of the same customer goes on.
        await _fed(world, _left(world, "user"))
        await _told(world, 2)
        await _commented(world)
        await _refused_once(world)
        again = rng.random() < 0.5
        if again:
            world.kill("alerts-0")
            await world.died("alerts-0", 2)
            await _fails(world)
            await _refused_once(world)
        crashes = rng.random() < 0.5
        mend(world, "alerts-0")
        if crashes:
            world.arm("alerts-0", f"{rng.choice(WRITTEN_LATE)}=kill")
        world.kill("alerts-0")
        await world.died("alerts-0", 3 if again else 2)
        await world.struck("alerts-0")
        await _told(world, 3)
        await _counts(world, "ebbwatch_fold_failures_total", 0, "alerts")
    await _refused_once(world)
    await _stands_in_its_case(world)
    late = [id for id, rule in _arrived(world) if rule == "payment-failed"]
    if len(set(late)) != 1 or (len(late) > 1 and not crashes):
        raise NotExact([f"the notice of what was held came as {late}"])


def _left(world: World, role: str) -> list[Sent]:
    """Return somebody who comes and leaves, whom nobody of that role succeeds."""
    load = _load(world)
    told = [{"person": role, "role": role, "status": one} for one in ("active", "left")]
    return [Sent("http", load.event("contact.updated", CURSED, data)) for data in told]


async def _fails(world: World) -> None:
    await _counts(world, "ebbwatch_fold_failures_total", 1, "alerts", type="alert.raised")


async def _told(world: World, count: int) -> None:
    """Wait until so many notices of the cursed account were taken."""
    await eventually(
        lambda: len({id for id, _ in _arrived(world)}) == count,
        within=60,
        what=f"{count} notices of {CURSED}",
    )


def _arrived(world: World) -> list[tuple[str, str]]:
    """Return id and rule of every webhook about the cursed account."""
    came = [(one.id, msgspec.json.decode(one.body)["data"]) for one in world.receiver.arrivals]
    return [(id, data["alert"]["rule"]) for id, data in came if data["case"]["account"] == CURSED]


async def _commented(world: World) -> None:
    answer = await try_to_comment(world, CURSED)
    if answer.status not in (200, 202):
        raise NotExact([f"beside a held alert a comment got {answer.status}: {answer.body}"])


async def _refused_once(world: World) -> None:
    """Require that the command shows the record, once, with what its fold raised."""
    words = ("rejects", "list", "--stage", "alerts", "--reason", "fold_raised", "--json")

    async def shown() -> list[str]:
        return (await asyncio.to_thread(world.deployment.ebbwatch, *words)).splitlines()

    async def there() -> bool:
        return bool(await shown())

    await eventually(there, within=40, what="the record to be refused")
    told = [(one["source"], one["detail"]) for one in map(msgspec.json.decode, await shown())]
    if told != [(CURSED, "ArithmeticError: a planted bug")]:
        raise NotExact([f"rejects list shows {told}"])


async def _stands_in_its_case(world: World) -> None:
    """Require that the page of the case shows all three alerts, each open."""

    async def there() -> bool:
        answer = await ask(world, f"/api/v1/cases/{CURSED}")
        if answer.status != 200:
            return False
        return sorted(one["rule"] for one in answer.body["alerts"]) == RULES_OF_THE_CASE

    await eventually(there, within=40, what=f"all alerts in the case of {CURSED}")


RULES_OF_THE_CASE = ["champion-left", "champion-left", "payment-failed"]

SCENARIOS = (
    Scenario(
        "case-raises",
        ("poison fold of the desk: held, and folded once it is mended",),
        case_raises,
    ),
    Scenario(
        "fold-raises",
        ("poison fold: quarantine, and repair under load",),
        fold_raises,
    ),
    Scenario("rule-raises", ("poison rule: raises",), rule_raises, random=False),
    Scenario(
        "rule-never-ends",
        ("poison rule: infinite loop",),
        rule_never_ends,
        random=False,
        needs=Needs(settings={"EBBWATCH_DETECTOR_STUCK_SECONDS": STUCK_SECONDS}),
    ),
)
