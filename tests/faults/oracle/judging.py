"""What the suite's rules say of an account: told anew from detection.md §3 and signals.md.

Every number of an alert's evidence is recounted here, its words are not.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from schemas.events import ContactUpdated, PaymentFailed, PaymentSucceeded

from . import days
from .accounts import Account
from .clocks import Closing
from .contacts import Contact
from .episodes import Found
from .masks import Activity
from .rules import Rule, change_param, silence_params

RHYTHM = 56
"""Days up to the last activity that tell the rhythm (detection.md §3)."""

LATELY, BACK = 14, 3
"""Active days among the last ones that end a silence, at most."""

SHARE_DAYS = 28
SWINGS = 42
"""Weeks of swing numbers; none before 112 days are known, beyond which nothing is compared."""


class Evaluated(NamedTuple):
    """What a rule says of one object: how it is, how bad, and why."""

    object: str
    fires: bool
    clears: bool
    severity: str
    because: dict[str, Any]

    def found(self, rule: Rule, days_left: int | None) -> Found:
        """Return the evaluation with the severity that the rule gives it."""
        return Found(self.fires, self.clears, rule.rate(self.severity, days_left))


def silence(rule: Rule, account: Account, closing: Closing, day: int) -> Evaluated | None:
    """Say whether an account has been silent for as many days as a policy allows.

    Args:
        rule: The policy.
        account: The account as it is when the day closes.
        closing: What masks days.
        day: The last day to look at: the closing's, or an earlier one that is judged again.

    Returns:
        None where nothing can be told.
    """
    selector = str(rule.params.get("metric", "@meaningful"))
    activity = Activity.of(account, closing, selector, day)
    limit = int(rule.params["days"])
    if activity is None or activity.is_masked(day):
        return None
    active = [lag for lag in range(limit + RHYTHM) if activity.counts(day - lag)]
    if not active:
        return None
    lag = active[0]
    rhythm = sum(lag <= one < lag + RHYTHM for one in active)
    lately = sum(one < LATELY for one in active)
    back = min(max(round(rhythm * LATELY / RHYTHM), 1), BACK)
    because = {
        "window": {"from": days.iso(day - lag + 1), "to": days.iso(day), "days_used": lag},
        "days_silent": lag,
        "calendar_days_silent": lag,
        "limit": limit,
        "last_active": days.iso(day - lag),
        "since_estimate": days.iso(day - lag + 1),
        "active_days_of_56": rhythm,
        "active_days_of_last_14": lately,
        "q": round(rhythm / RHYTHM, 6),
        "masked_days_count": True,
        "masked_days": activity.masked_among_last(lag),
        "thresholds_in_force": silence_params(rule),
        "metrics": activity.metrics,
        "computed_from": activity.computed_from() | {"swings": [None] * SWINGS},
    }
    clears = lag < limit and lately >= back
    object_ = "activity" if selector.startswith("@") else selector
    return Evaluated(object_, lag >= limit, clears, "high", because)


def is_open_day(rule: Rule, account: Account, closing: Closing) -> bool:
    """Say whether a day counts of which a policy tells nothing: no closure, no outage."""
    selector = str(rule.params.get("metric", "@meaningful"))
    activity = Activity.of(account, closing, selector, closing.day)
    return activity is not None and not activity.is_masked(closing.day)


def payment(rule: Rule, account: Account, event: object, day: int) -> Iterator[Evaluated]:
    """Say whether a payment has failed too often since it succeeded."""
    assert isinstance(event, PaymentFailed | PaymentSucceeded)
    known = account.payments.known[event.payment]
    said, limit = known.said, int(change_param(rule, "count"))
    because = {
        "payment": event.payment,
        "failures": len(known.failures),
        "failed_at": [days.instant(at).isoformat() for at, _ in known.failures],
        "amount": said.amount if said else None,
        "currency": said.currency if said else None,
        "method": said.method if said else None,
        "next_retry_on": _iso(said.next_retry_on) if said else None,
        "thresholds_in_force": {"count": limit},
    }
    failures = len(known.failures)
    urgency = _urgency(rule, account, day)
    yield Evaluated(event.payment, failures >= limit, failures == 0, urgency, because)


def contact_left(rule: Rule, account: Account, event: object, day: int) -> Iterator[Evaluated]:
    """Say who left without a successor, of those whom an event concerns."""
    assert isinstance(event, ContactUpdated)
    known = account.contacts.known
    changed = known[event.person]
    concerned = {event.person}
    if changed.status != "left" and changed.role is not None:
        concerned |= {
            who for who, one in known.items() if one.status == "left" and one.role == changed.role
        }
    for who in sorted(concerned):
        yield _departure(rule, account, who, day)


def _departure(rule: Rule, account: Account, person: str, day: int) -> Evaluated:
    contact = account.contacts.known[person]
    successor = _successor(account, contact)
    left = contact.status == "left"
    because = {
        "person": person,
        "role": contact.role,
        "status": contact.status,
        "left_on": days.iso(contact.changed_day),
        "successor": successor,
        "usage_days_of_28": account.active_days(person, day, SHARE_DAYS),
        "usage_share": _share(
            account.active_days(person, day, SHARE_DAYS),
            sum(account.active_days(who, day, SHARE_DAYS) for who in account.people),
        ),
        "touch_share": _share(
            contact.met_days(day, SHARE_DAYS),
            sum(one.met_days(day, SHARE_DAYS) for one in account.contacts.known.values()),
        ),
        "renewal_on": _iso(account.renewal),
        "thresholds_in_force": {"renewal_days": int(change_param(rule, "renewal_days"))},
    }
    gone = left and successor is None
    return Evaluated(person, gone, not gone, _urgency(rule, account, day), because)


def _successor(account: Account, left: Contact) -> str | None:
    """Return who took over a role that somebody had, after they left."""
    if left.role is None:
        return None
    since = left.wrote.get("status", (-1, ""))
    others = account.contacts.known.items()
    return min(
        (
            who
            for who, one in others
            if one.status == "active" and one.role == left.role and one.newest > since
        ),
        default=None,
    )


def _share(part: int, whole: int) -> float | None:
    return round(part / whole, 3) if whole else None


def _urgency(rule: Rule, account: Account, day: int) -> str:
    renewal = account.renewal
    if renewal is None:
        return "medium"
    left = days.number(renewal) - day
    return "high" if 0 <= left <= int(change_param(rule, "renewal_days")) else "medium"


def _iso(on: date | None) -> str | None:
    return None if on is None else on.isoformat()


WAKES = {
    "payment_failed": (PaymentFailed, PaymentSucceeded),
    "contact_left": (ContactUpdated,),
}
EVALUATES = {"payment_failed": payment, "contact_left": contact_left}
