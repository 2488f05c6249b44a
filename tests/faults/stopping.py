"""A service that is asked to end: with 0, in time, and with all written that it had folded."""

from typing import TYPE_CHECKING, Final

import msgspec

from schemas import topics
from services.alerts.cases.ledger import KEY
from tests.faults.logs import Tail, tail
from tests.faults.scenario import NotExact
from tests.faults.settling import scrape, stamp
from tests.platform import eventually

if TYPE_CHECKING:
    from tests.faults.world import World

GIVEN_UP: Final = (b"stopped too early", b"forwards were not acknowledged")
"""What a service says that ends with 0 and leaves something behind; it is folded once more."""

_SNAPSHOTS: Final = {"detector": topics.STATE, "alerts": topics.CASES}


async def stopped(world: "World", name: str) -> None:
    """Stop a service at a moment at which not all that it has folded is durable.

    Args:
        world: Under load, or there is no such moment.
        name: Such as `detector-0`. Ingest folds nothing: it is stopped at any moment, and what it
            has acknowledged is compared in the end.

    Raises:
        NotExact: It ended otherwise than with 0, left something behind, or said so.
    """
    log = world.folder / f"{name}.log"
    said = log.stat().st_size
    service, _, _ = name.partition("-")
    wrong = await (_written(world, name) if service in _SNAPSHOTS else _ended(world, name))
    with log.open("rb") as lines:
        lines.seek(said)
        words = lines.read()
    wrong += [f"{name} says {one.decode()!r} when asked to end" for one in GIVEN_UP if one in words]
    if wrong:
        raise NotExact(wrong)


async def _ended(world: "World", name: str) -> list[str]:
    code = await world.end(name)
    return [] if code == 0 else [f"{name} ended with {code} when it was asked to end"]


async def _written(world: "World", name: str) -> list[str]:
    """Stop a service that has a snapshot; return what it had folded and did not write."""
    topic = world.topic(_SNAPSHOTS[name.partition("-")[0]])
    async with tail(world.kafka, topic, world.partitions, committed=True) as snapshot:
        folded = await _ahead(world, name, snapshot)
        wrong = await _ended(world, name)
        await snapshot.catch_up()
    return wrong + [
        f"{name} had folded partition {number} up to {offset} and ended with {durable}"
        for number, offset in folded.items()
        if (durable := _durable(name, snapshot, number)) < offset
    ]


async def _ahead(world: "World", name: str, snapshot: Tail) -> dict[int, int]:
    """Wait until a service has folded more than is durable; return how far, by partition."""
    folded: dict[int, int] = {}

    async def ahead() -> bool:
        samples = [one for one in await scrape(world, name) if one.name == "ebbwatch_stamp"]
        folded.update({int(one.labels["partition"]): round(one.value) for one in samples})
        await snapshot.catch_up()
        return any(_durable(name, snapshot, number) < at for number, at in folded.items())

    await eventually(ahead, within=60, what=f"{name} to have folded what is not durable yet")
    return folded


def _durable(name: str, snapshot: Tail, number: int) -> int:
    """Return the offset up to which a snapshot holds a partition; -1 for none."""
    if name.startswith("detector"):
        return stamp(snapshot, number)
    raw = snapshot.newest(number).get(KEY)
    return -1 if raw is None else int(msgspec.json.decode(raw).get("stamp", -1))
