"""Whom each notice goes to: who works on the case, else who owns the account, else the stand-in.

Told anew from design.md §6 (Routing). The desk decides at some moment between the record that
caused a notice and the one that names its targets, and by a summary of the account that may lag
behind. So what was so at any moment of that span is right; what was so at none of them is wrong.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

from .desk import Case, Desk
from .notices import Told


class Owned(NamedTuple):
    """From where in the log on somebody owns an account; of a message what it says last counts.

    Attributes:
        offset: The message of `events.v1` that says so.
        appended: When that was appended, microseconds.
        owner: Who; None for nobody, as of an account that was erased.
    """

    offset: int
    appended: int
    owner: str | None


Owners = Mapping[str, Sequence[Owned]]
"""By account, in the order of the log, each who ever owned it."""

T = TypeVar("T")
Addressed = tuple[str | None, str]
"""A person, and why that one."""


class Routing(NamedTuple):
    """What the company says of its people.

    Attributes:
        people: Ids of those that there are.
        signal_manager: Who gets what has no other owner.
    """

    people: Container[str]
    signal_manager: str | None


def addressees(desk: Desk, owners: Owners, routing: Routing) -> Iterator[str]:
    """Yield notices that were meant for somebody to whom they never had to go."""
    for told in desk.notices.values():
        right = _right(desk.cases[told.case], told, owners.get(told.case, ()), routing)
        for channel, target in sorted((told.targets or {}).items()):
            said = (target.person, target.why)
            if said not in right:
                wanted = " or ".join(map(str, sorted(right, key=str)))
                yield f"notice {told.id} of {told.case} by {channel} is for {said}, not {wanted}"


def _right(case: Case, told: Told, owned: Sequence[Owned], routing: Routing) -> set[Addressed]:
    if told.intended is None:
        return set()
    at, appended = told.intended
    workers = _during(case.assigned, told.caused, at)
    owners = {
        owner
        for now in _during(case.known, told.caused, at)
        if now is not None
        for owner in (now.owner, *_since(owned, now.stamp, appended))
    }
    return {_route(worker, owner, routing) for worker in workers for owner in owners or {None}}


def _during(history: Sequence[tuple[int, T]], begin: int, end: int) -> list[T | None]:
    """Return what held when a span of offsets began, and what came within it."""
    before = [value for offset, value in history if offset <= begin]
    return [before[-1] if before else None] + [
        value for offset, value in history if begin < offset < end
    ]


def _since(owned: Sequence[Owned], stamp: int, until: int) -> list[str | None]:
    """Return who has owned an account from the end of a message on, up to a time."""
    return [one.owner for one in owned if one.offset >= stamp and one.appended <= until]


def _route(worker: str | None, owner: str | None, routing: Routing) -> Addressed:
    wanted = ((worker, "assignee"), (owner, "owner"), (routing.signal_manager, "signal_manager"))
    for person, why in wanted:
        if person is not None and person in routing.people:
            return person, why
    return None, "nobody"
