"""Logs told in a few words, for cases that are worked out by hand.

Days are numbered from the Monday 2026-03-02, which is day 1; hours are those of UTC.
"""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from typing import Any, NamedTuple

from schemas.envelope import Entry, Origin, encode
from schemas.events import ClockTicked, Event, PaymentFailed, RulesApplied, UsageRecorded
from tests.faults.oracle import Bucket, Recounted, recount

MONDAY = date(2026, 3, 2)
MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
FIRST = (MONDAY - date(1970, 1, 1)).days - 1


class Message(NamedTuple):
    """One record of a topic."""

    offset: int
    appended: int
    value: bytes
    key: bytes | None = None


def at(day: float, hour: float = 12) -> int:
    """Return an hour of a day in microseconds since 1970-01-01."""
    return round((FIRST + day) * DAY + hour * HOUR)


def on(day: int) -> str:
    """Return the date of a day."""
    return (MONDAY + timedelta(days=day - 1)).isoformat()


SILENCE = {
    "id": "silence",
    "title": "Silent for two days",
    "primitive": "silence",
    "params": {"metric": "@meaningful", "days": 2},
    "category": "early_signals",
    "severity": "medium",
    "play": "call",
    "clear_days": 1,
}
PAYMENT = {
    "id": "payment-failed",
    "title": "A payment failed twice",
    "primitive": "change",
    "params": {"what": "payment_failed", "count": 2},
    "category": "early_signals",
    "churn_kind": "involuntary",
    "severity": "high",
    "play": "fix-payment",
}
LEFT = {
    "id": "champion-left",
    "title": "A champion left",
    "primitive": "change",
    "params": {"what": "contact_left"},
    "category": "relationship",
    "severity": "by_depth",
    "play": "find-champion",
}


class Log:
    """One partition of the log; messages that are not told otherwise hold one entry."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def say(self, *entries: Entry, now: int) -> "Log":
        """Append a message."""
        self.messages.append(Message(len(self.messages), now, encode(entries)))
        return self

    def rules(self, *declared: Mapping[str, Any], n: int = 1, **content: Any) -> "Log":
        """Put a rule set in force."""
        text = json.dumps({"rules": declared, **content})
        return self.say(system(RulesApplied(n=n, content=text)), now=at(1))

    def tick(
        self,
        day: float,
        hour: float = 2,
        complete: Mapping[str, int] | None = None,
        seen: Mapping[str, list[int]] | None = None,
    ) -> "Log":
        """Let the clock tick; `seen` tells hours by source, yesterday's noon of `app`."""
        tick = ClockTicked(
            at=at(day, hour),
            mode="live",
            complete_until=dict(complete or {}),
            seen={"app": [at(day - 1) // HOUR]} if seen is None else dict(seen),
        )
        return self.say(system(tick), now=at(day, hour))


def system(event: Event, *subjects: str, time: int = 0) -> Entry:
    """Return one of our own entries."""
    return Entry("", "ebbwatch", time, subjects, event)


def entry(
    event: Event,
    *subjects: str,
    time: int,
    id: str = "",
    source: str = "app",
    origin: Origin | None = None,
) -> Entry:
    """Return an entry of `account:acme`, or of others; its id is its time unless told."""
    return Entry(id or f"e{time}", source, time, subjects or ("account:acme",), event, origin)


def usage(
    day: float, hour: float = 12, quantity: float = 1, person: str | None = None, **where: Any
) -> Entry:
    """Return some API calls."""
    event = UsageRecorded(metric="api_calls", quantity=quantity, person=person)
    return entry(event, *where.pop("subjects", ()), time=at(day, hour), **where)


def failed(day: float, hour: float = 12, payment: str = "in_1", **where: Any) -> Entry:
    """Return a charge that failed."""
    event = PaymentFailed(payment=payment, amount=900, currency="EUR")
    return entry(event, time=at(day, hour), **where)


def alone(log: Log, horizon: int | None = None) -> Recounted:
    """Recount a log of one partition."""
    return recount({0: log.messages}, horizon=horizon)


def days(found: Recounted, metric: str = "api_calls", account: str = "acme") -> dict[str, float]:
    return dict(found.buckets.get(account, {}).get(metric, Bucket("", {})).days)


def told(found: Recounted, account: str = "acme") -> list[tuple[str, str, str, str]]:
    """Return alerts as (what, rule, object, day)."""
    return [
        (
            getattr(one, "reason", type(one).__name__.removeprefix("Alert").lower()),
            one.rule,
            one.object,
            one.day.isoformat(),
        )
        for one in found.alerts.get(account, [])
    ]


def silent() -> Log:
    """Usage on Monday, and nothing until Thursday."""
    log = Log().rules(SILENCE).tick(1, 10).say(usage(1, 10), now=at(1, 10))
    # they close Monday, 0 days silent; Tuesday, 1; Wednesday, 2; Thursday, 3
    return log.tick(2).tick(3).tick(4).tick(5)
