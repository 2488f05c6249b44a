"""`change`: something happened that a person should know of at once."""

from collections.abc import Callable, Sequence
from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import Field

from schemas.alerts import Severity
from schemas.envelope import Entry
from schemas.events import (
    AdminGranted,
    AdminRevoked,
    ContactUpdated,
    Fields,
    PaymentFailed,
    PaymentSucceeded,
)
from services.detector.calendars import instant, to_date, to_day
from services.detector.facts import Facts
from services.detector.facts.contacts import Contact
from services.detector.facts.people import active_days
from services.detector.primitives.day import Params
from services.detector.primitives.finding import Finding

What = Literal["payment_failed", "contact_left", "last_admin_removed"]
SHARE_DAYS = 28


class ChangeParams(Params):
    """Parameters of `change`.

    Attributes:
        what: Which change.
        count: Failures of one payment since its last success, for `payment_failed`; 1..20.
        renewal_days: Days before renewal within which it is urgent; 0..730.
    """

    what: What
    count: int = Field(2, ge=1, le=20)
    renewal_days: int = Field(180, ge=0, le=730)


class Change:
    """Fires when events have brought an account into a state that somebody should know of.

    It is a policy, not a statistic: it is wrong only where the events are. A state is judged as it
    stands after the event, so that the order in which events arrive does not matter.

    Source: signals.md A17 (contact left), C09 (payment failed twice), C13 (last admin removed).
    """

    name: ClassVar[str] = "change"
    Params: ClassVar[type[Params]] = ChangeParams

    @staticmethod
    def kind(params: ChangeParams) -> str:  # noqa: ARG004
        """Return the alert kind."""
        return Change.name

    @staticmethod
    def wakes(params: ChangeParams) -> tuple[type[Fields], ...]:
        """Return the event types that can begin or end the change."""
        return _WAKES[params.what]

    @staticmethod
    def judge(facts: Facts, entry: Entry, day: int, params: ChangeParams) -> Sequence[Finding]:
        """Judge what the entry's object is now."""
        return _JUDGES[params.what](facts, entry, day, params)


def _payment_failed(
    facts: Facts, entry: Entry, day: int, params: ChangeParams
) -> Sequence[Finding]:
    assert isinstance(entry.event, PaymentFailed | PaymentSucceeded)
    payment_id = entry.event.payment
    payment = facts.payments.payments.get(payment_id)
    if payment is None:
        return ()
    failures = len(payment.failures)
    because = {
        "payment": payment_id,
        "failures": failures,
        "failed_at": [instant(at).isoformat() for at, _ in payment.failures],
        "amount": payment.amount,
        "currency": payment.currency,
        "method": payment.method,
        "next_retry_on": _iso(payment.next_retry_on),
        "thresholds_in_force": {"count": params.count},
    }
    fires = failures >= params.count
    return (Finding(payment_id, fires, failures == 0, _urgency(facts, day, params), because),)


def _contact_left(facts: Facts, entry: Entry, day: int, params: ChangeParams) -> Sequence[Finding]:
    assert isinstance(entry.event, ContactUpdated)
    people = facts.contacts.people
    changed = people.get(entry.event.person)
    if changed is None:
        return ()
    if changed.status == "left":
        concerned = {entry.event.person: changed}
    else:
        concerned = {
            who: known
            for who, known in people.items()
            if known.status == "left" and known.role == changed.role and known.role is not None
        }
        concerned[entry.event.person] = changed
    return [_departure(facts, who, known, day, params) for who, known in sorted(concerned.items())]


def _departure(
    facts: Facts, person: str, contact: Contact, day: int, params: ChangeParams
) -> Finding:
    successor = _successor(facts, contact)
    left = contact.status == "left"
    because = {
        "person": person,
        "role": contact.role,
        "status": contact.status,
        "left_on": to_date(contact.changed_day).isoformat(),
        "successor": successor,
        "usage_days_of_28": active_days(facts.people.get(person) or 0, day, SHARE_DAYS),
        "usage_share": _usage_share(facts, person, day),
        "touch_share": _touch_share(facts, person, day),
        "renewal_on": _iso(facts.profile.renewal_on),
        "thresholds_in_force": {"renewal_days": params.renewal_days},
    }
    over = not left or successor is not None
    return Finding(person, left and not over, over, _urgency(facts, day, params), because)


def _successor(facts: Facts, left: Contact) -> str | None:
    """Return who took the role over after the contact left, if anybody is known to have."""
    later = [
        who
        for who, known in facts.contacts.people.items()
        if known.role == left.role
        and known.role is not None
        and known.status == "active"
        and known.newest > left.status_stamp
    ]
    return min(later, default=None)


def _usage_share(facts: Facts, person: str, day: int) -> float | None:
    everybody = sum(active_days(packed, day, SHARE_DAYS) for _, packed in facts.people)
    if not everybody:
        return None
    return round(active_days(facts.people.get(person) or 0, day, SHARE_DAYS) / everybody, 3)


def _touch_share(facts: Facts, person: str, day: int) -> float | None:
    people = facts.contacts.people
    days = {who: active_days(one.touches or 0, day, SHARE_DAYS) for who, one in people.items()}
    total = sum(days.values())
    return round(days.get(person, 0) / total, 3) if total else None


def _last_admin_removed(
    facts: Facts, entry: Entry, day: int, params: ChangeParams
) -> Sequence[Finding]:
    admins = facts.contacts.admins()
    had_one = any(known.admin_stamp[0] >= 0 for known in facts.contacts.people.values())
    because = {
        "admins": admins,
        "removed": getattr(entry.event, "person", None),
        "changed_at": instant(entry.time).isoformat(),
        "renewal_on": _iso(facts.profile.renewal_on),
        "thresholds_in_force": {"renewal_days": params.renewal_days},
    }
    severity = _urgency(facts, day, params)
    return (Finding("admins", had_one and not admins, bool(admins), severity, because),)


def _urgency(facts: Facts, day: int, params: ChangeParams) -> Severity:
    renewal = facts.profile.renewal_on
    soon = renewal is not None and 0 <= to_day(renewal) - day <= params.renewal_days
    return "high" if soon else "medium"


def _iso(on: date | None) -> str | None:
    return on.isoformat() if on is not None else None


_WAKES: dict[What, tuple[type[Fields], ...]] = {
    "payment_failed": (PaymentFailed, PaymentSucceeded),
    "contact_left": (ContactUpdated,),
    "last_admin_removed": (AdminRevoked, AdminGranted, ContactUpdated),
}
_JUDGES: dict[What, Callable[[Facts, Entry, int, Any], Sequence[Finding]]] = {
    "payment_failed": _payment_failed,
    "contact_left": _contact_left,
    "last_admin_removed": _last_admin_removed,
}
