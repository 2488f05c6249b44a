"""People act on cases while the desk dies again and again, and while Kafka is away."""

from random import Random

from tests.faults.dripping import dripping
from tests.faults.people import People, ask, try_to_comment, working
from tests.faults.receiver import after
from tests.faults.scenario import Needs, NotExact, Scenario
from tests.faults.settling import rest
from tests.faults.world import World
from tests.platform import eventually

PLACES = (
    *("outbox.intended", "outbox.sent", "outbox.noted"),
    *("alerts.returned", "snapshot.in_transaction"),
)


SELDOM = {"alerts.returned": 2}
"""Of places that are passed seldom, as when somebody has voted: the time before which one dies."""


def _places(seed: int) -> tuple[str, str]:
    """Return the two places of a seed; three in a row have all five."""
    return PLACES[2 * seed % len(PLACES)], PLACES[(2 * seed + 1) % len(PLACES)]


async def killed_while_people_work(world: World, rng: Random) -> None:
    """Kill the desk at any moment, and where it hurts: no action is lost, or done twice."""
    world.receiver.behave = after(0.05)
    async with dripping(world), working(world, rng) as people:
        for place in rng.sample((*_places(world.seed), None, None), 4):
            await _acted(people, rng.randrange(3, 15))
            if place is not None:
                world.arm("alerts-0", f"{place}=kill@{rng.randrange(1, SELDOM.get(place, 5))}")
            world.kill("alerts-0")
            await world.struck("alerts-0")
            await world.ready("alerts-0")
        await _acted(people, 5)
    await rest(world)
    await people.prove()


async def without_kafka(world: World, rng: Random) -> None:
    """Stop Kafka and start it: meanwhile cases are read, said to be stale, and nobody can act."""
    async with dripping(world), working(world, rng) as people:
        await _acted(people, rng.randrange(5, 15))
        await world.broker.end()
        await eventually(lambda: _is_stale(world), within=60, what="lists to be marked stale")
        answer = await try_to_comment(world, world.due[0])
        if answer.status != 503 or "retry-after" not in answer.headers:
            raise NotExact([f"without Kafka a comment was answered {answer.status}: {answer.body}"])
        if rng.random() < 0.3:
            world.kill("alerts-0")
        await world.broker.start()
        await world.ready("alerts-0")
        await _acted(people, rng.randrange(5, 15))
    await rest(world)
    await people.prove()


async def _is_stale(world: World) -> bool:
    answer = await ask(world, "/api/v1/cases")
    if answer.status != 200:
        raise NotExact([f"without Kafka cases were answered {answer.status}: {answer.body}"])
    return bool(answer.body["freshness"]["stale"] and answer.body["freshness"]["reason"])


async def _acted(people: People, count: int) -> None:
    goal = len(people.taken) + count
    await eventually(
        lambda: len(people.taken) >= goal, within=60, what=f"{count} more actions to be taken"
    )


SETTINGS = {"EBBWATCH_ALERTS_ANSWER_SECONDS": "1", "EBBWATCH_ALERTS_STALE_SECONDS": "3"}

SCENARIOS = (
    Scenario(
        "kill-while-people-work",
        ("kill -9 of the desk while people act",),
        killed_while_people_work,
        needs=Needs(settings=SETTINGS, within=300.0),
    ),
    Scenario(
        "people-work-without-kafka",
        ("broker restart while people act",),
        without_kafka,
        needs=Needs(broker="own", settings=SETTINGS, within=300.0),
    ),
)
