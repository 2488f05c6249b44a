"""What an account is now: one file per family of facts, each a fold over its events.

A family is a class with `HANDLES` (the event types it folds) and `fold(entry, at)`, which
validates and computes, changes nothing, and answers the reason of a refusal, or a step that
assigns what was computed, or None where nothing changes. A family that alone handles its types
may assign last instead, and answer None.
"""

from typing import Any

import msgspec

from schemas.envelope import Entry
from schemas.events import Fields
from services.detector.facts.buckets import Buckets
from services.detector.facts.contacts import Contacts
from services.detector.facts.feedback import Feedback
from services.detector.facts.moment import Moment, Step
from services.detector.facts.payments import Payments
from services.detector.facts.people import People
from services.detector.facts.profile import Profile
from services.detector.facts.seats import Seats
from services.detector.facts.tickets import Tickets
from services.detector.facts.usage import Usage


class Families(msgspec.Struct, kw_only=True):
    """The families that a snapshot keeps in the hot record, whole; folded in this order."""

    profile: Profile = msgspec.field(default_factory=Profile)
    usage: Usage = msgspec.field(default_factory=Usage)
    contacts: Contacts = msgspec.field(default_factory=Contacts)
    payments: Payments = msgspec.field(default_factory=Payments)
    feedback: Feedback = msgspec.field(default_factory=Feedback)
    tickets: Tickets = msgspec.field(default_factory=Tickets)
    seats: Seats = msgspec.field(default_factory=Seats)


KEPT: tuple[str, ...] = Families.__struct_fields__


class Facts(Families, kw_only=True):
    """Everything known of one account; what is added here has records of its own."""

    people: People = msgspec.field(default_factory=People)
    buckets: Buckets = msgspec.field(default_factory=Buckets)

    def kept(self) -> Families:
        """Return what the hot record keeps."""
        return Families(**{name: getattr(self, name) for name in KEPT})


FAMILIES: dict[str, Any] = {
    one.name: one.type for one in msgspec.structs.fields(Facts) if hasattr(one.type, "HANDLES")
}
"""By the attribute of `Facts` that holds the family; people come after usage, which may refuse."""

ROUTES: dict[type[Fields], tuple[str, ...]] = {
    event_type: tuple(name for name, family in FAMILIES.items() if event_type in family.HANDLES)
    for event_type in {handled for family in FAMILIES.values() for handled in family.HANDLES}
}
"""Per event type, the families that fold it; a type without one changes no facts yet."""


def fold(facts: Facts, entry: Entry, at: Moment) -> str | None:
    """Fold one entry into the families that handle its type: into all of them, or none.

    Returns:
        None, or why the entry was refused; then no family has changed.
    """
    steps: list[Step] = []
    for name in ROUTES.get(type(entry.event), ()):
        step = getattr(facts, name).fold(entry, at)
        if isinstance(step, str):
            return step
        if step is not None:
            steps.append(step)
    for step in steps:
        step()
    return None


def names(facts: Facts, person: str) -> bool:
    """Tell whether the facts of an account name a person."""
    return facts.people.names(person) or facts.contacts.names(person)


def forget(facts: Facts, person: str) -> None:
    """Take a person out of the facts of an account; sums of days remain."""
    facts.people.forget(person)
    facts.contacts.forget(person)


__all__ = [
    "FAMILIES",
    "KEPT",
    "ROUTES",
    "Facts",
    "Families",
    "Moment",
    "Step",
    "fold",
    "forget",
    "names",
]
