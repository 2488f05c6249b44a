"""How a story ends: all is well again, and what had to become of everything has become of it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.alerts import AlertRecord
from schemas.cases import Act, CaseCommented, CaseResolved, LogRecord
from services import failpoints
from services.alerts.cases.partition import Partition
from services.alerts.outbox import GONE_SECONDS, PATIENCE_SECONDS
from tests.unit.alerts.oracle import Recount
from tests.unit.alerts.simulation.replica import Replica
from tests.unit.alerts.simulation.world import World

QUIET_SECONDS: Final = 8.0
HOUR: Final = 3600.0
WAITS: Final = (60.0, 300.0, HOUR / 2, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24)))
"""Longer than any wait between two attempts, one after the other."""


def settle(world: World) -> Partition:
    """Let all be well again but what is broken outside, until nothing is left to be done.

    Args:
        world: It is a week later afterwards, if anything had to be tried so long.

    Returns:
        The partition as its owner has it, written to its end.
    """
    _mend(world)
    for wait in (0.0, 0.0, *WAITS, *WAITS[-3:], *WAITS):
        world.jump(wait)
        world.passes(QUIET_SECONDS)
        assert world.faults == []
        owner = world.owning
        if owner is not None and (found := _quiet(world, owner)) is not None:
            return found
    raise AssertionError(f"it never ends: {_left(world)}")


def _mend(world: World) -> None:
    failpoints.arm("")
    world.log.settle("committed")
    world.fates.clear()
    world.endings.clear()
    world.away_until, world.lag, world.company.away = 0.0, 0.1, False
    for one in world.replicas:
        one.frozen = False


def _quiet(world: World, owner: Replica) -> Partition | None:
    """Return what is owned, once nothing is open, and all of it is written."""
    owned = owner.ownership.find(0)
    if owned is None or owned.partition.position != world.log.stable:
        return None
    partition = owned.partition
    if any(partition.open_notices()) or partition.due(world.clock.micros):
        return None
    owner.flush()
    world.passes(1.0)
    # It may have learnt only now that somebody else had fenced it.
    written = not (partition.dirty or partition.ahead or owned.lock.locked())
    return partition if written and world.owning is owner else None


def _left(world: World) -> list[str]:
    """Say what is still to be done, by whom."""
    found = [f"{world.owner} owns the partition, which ends at {world.log.stable}"]
    for one in world.replicas:
        owned = one.ownership.find(0)
        if owned is not None:
            found.append(f"{one.place} is at {owned.partition.position}")
            found += [str(notice) for _, notice in owned.partition.open_notices()]
    return found


def require_told(world: World, counted: Recount) -> None:
    """Nothing is open; what was delivered was taken; what was given up unsent, rightly so."""
    assert [case.news for case in counted.dossiers.values() if case.news] == []
    closed = {id: one for case in counted.dossiers.values() for id, one in case.closed.items()}
    for id, news in closed.items():
        for channel, target in (news.targets or {}).items():
            assert target[-1] == "failed" or world.endpoints.took(channel, id)
    for one in world.unsent:
        waited = one.at.timestamp() - closed[one.id].caused / 1e6
        off = one.channel in world.company.off and waited >= PATIENCE_SECONDS
        gone_at = world.company.gone.get(one.channel, one.at)
        assert off or (one.at - gone_at).total_seconds() >= GONE_SECONDS
    for bodies in world.endpoints.received.values():
        assert len({_of_the_notice(body) for body, _ in bodies}) == 1


def require_said(log: Sequence[LogRecord], partition: Partition) -> None:
    """Whatever was said with a new id on a known case stands in its timeline, once."""
    known: set[tuple[str, str]] = set()
    cases: set[str] = set()
    wanted: list[str] = []
    for one in log:
        if isinstance(one, AlertRecord):
            cases.add(one.account)
        elif isinstance(one, Act) and (one.case, one.id) not in known:
            known.add((one.case, one.id))
            if isinstance(one, CaseCommented) and one.case in cases:
                wanted.append(f"{one.case}: {one.text}")
            elif isinstance(one, CaseResolved) and one.case in cases:
                answer = partition.cases[one.case].answers[one.id]
                wanted += [f"{one.case}: {one.note}"] if answer.status == "applied" else []
    said = [
        f"{case.id}: {line.text}"
        for case in partition.cases.values()
        for line in case.entries
        if line.type in ("case.commented", "case.resolved")
    ]
    assert sorted(said) == sorted(wanted)


def _of_the_notice(body: bytes) -> bytes:
    """Return a body without how the directory names the addressee, which may change meanwhile."""
    told = msgspec.json.decode(body)
    if told["data"]["recipient"] is not None:
        told["data"]["recipient"] |= {"name": None, "email": None}
    return msgspec.json.encode(told)
