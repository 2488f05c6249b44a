"""What an account is now: one file per family of facts, each a fold over its events.

A family is a class with `HANDLES` (the event types it folds) and `fold(entry, at)`, which
validates and computes first and assigns last, and answers None or the reason of a refusal.
"""

from dataclasses import dataclass, field

from schemas.envelope import Entry
from schemas.events import Fields
from services.detector.facts.buckets import Buckets
from services.detector.facts.contacts import Contacts
from services.detector.facts.moment import Moment
from services.detector.facts.payments import Payments
from services.detector.facts.people import People
from services.detector.facts.profile import Profile
from services.detector.facts.usage import Usage


@dataclass(slots=True)
class Facts:
    """Everything known of one account."""

    profile: Profile = field(default_factory=Profile)
    usage: Usage = field(default_factory=Usage)
    people: People = field(default_factory=People)
    contacts: Contacts = field(default_factory=Contacts)
    payments: Payments = field(default_factory=Payments)
    buckets: Buckets = field(default_factory=Buckets)


FAMILIES: dict[str, type[Profile | Usage | People | Contacts | Payments]] = {
    "profile": Profile,
    "usage": Usage,
    "people": People,
    "contacts": Contacts,
    "payments": Payments,
}
"""By the attribute of `Facts` that holds the family; folded in this order."""

ROUTES: dict[type[Fields], tuple[str, ...]] = {
    event_type: tuple(name for name, family in FAMILIES.items() if event_type in family.HANDLES)
    for event_type in {handled for family in FAMILIES.values() for handled in family.HANDLES}
}
"""Per event type, the families that fold it; a type without one changes no facts yet."""


def fold(facts: Facts, entry: Entry, at: Moment) -> str | None:
    """Fold one entry into the families that handle its type.

    Returns:
        None, or why the entry was refused; then no family has changed.
    """
    for name in ROUTES.get(type(entry.event), ()):
        refused: str | None = getattr(facts, name).fold(entry, at)
        if refused is not None:
            return refused
    return None


__all__ = ["FAMILIES", "ROUTES", "Facts", "Moment", "fold"]
