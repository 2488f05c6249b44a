"""Bugs in what folds and judges: one account stands aside, or one rule; everything else goes on."""

import asyncio
from datetime import UTC, datetime, timedelta
from random import Random

from schemas import topics
from tests.faults.bugs import CURSED, FOLD_RAISES, RULE_NEVER_ENDS, RULE_RAISES, mend, plant
from tests.faults.load import Event, Load, Sent
from tests.faults.logs import tail
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


async def _counts(world: World, name: str, wanted: float, **labels: str) -> None:
    """Wait until the samples of a metric of the detectors add up to a number."""

    async def there() -> bool:
        found = [
            one.value
            for one in await scrape(world, "detector")
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


SCENARIOS = (
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
