"""What people are shown and told beside what the logs say: summaries, cases, addressees.

Of each account the newest record of `accounts.v1`, of which routing and the console live; every
case as it is stored, those that are resolved too; and to whom each notice was addressed.
"""

import tomllib
from typing import TYPE_CHECKING, Any

from schemas import topics
from services.alerts.cases.case import Case
from services.alerts.cases.partition import Partition as Cases
from tests.faults import company, oracle
from tests.faults.logs import read, tail
from tests.faults.oracle import Routing
from tests.faults.scenario import NotExact

if TYPE_CHECKING:
    from tests.faults.world import World

ROUTING = Routing(
    people=frozenset(tomllib.loads(company.DIRECTORY)["person"]),
    signal_manager=tomllib.loads(company.ROUTING)["signal_manager"],
)


async def verify(world: "World") -> None:
    """Find every difference between what people are shown of a world and its logs.

    Raises:
        NotExact: With the differences.
    """
    kafka, count = world.kafka, world.partitions
    events = await read(kafka, world.topic(topics.EVENTS), count)
    shown = await read(kafka, world.topic(topics.ACCOUNTS), count, committed=True)
    expected = oracle.recount(events, horizon=world.horizon)
    found = oracle.glance_differences(expected.glances, expected.stamps, shown)
    if any(name.startswith("alerts-") for name in world.keepers):
        alerts = await read(kafka, world.topic(topics.ALERTS), count, committed=True)
        desk = oracle.recount_desk(alerts)
        found += oracle.addressees(desk, expected.owners, ROUTING)
        found += oracle.kept_differences(desk, await kept(world))
    if found:
        raise NotExact(found)


async def kept(world: "World") -> dict[str, dict[str, Any]]:
    """Return every case that the desk has stored, by account, as the oracle names what it holds.

    Raises:
        NotExact: A snapshot cannot be restored.
    """
    found: dict[str, dict[str, Any]] = {}
    topic = world.topic(topics.CASES)
    async with tail(world.kafka, topic, world.partitions, committed=True) as state:
        await state.catch_up()
        for number in range(world.partitions):
            try:
                partition = Cases.restore(number, world.partitions, state.newest(number))
            except ValueError as error:
                raise NotExact([f"cases of partition {number}: {error}"]) from None
            found |= {id: _plain(case) for id, case in partition.cases.items()}
    return found


def _plain(case: Case) -> dict[str, Any]:
    names = ("state", "version", "generation", "severity", "assignee", "outcome", "until")
    return {name: getattr(case, name) for name in names} | {
        "alerts": sorted(one.first.alert_id for one in case.counted())
    }
