"""A notice: one thing that somebody must be told, from its cause to its last outcome. Pure.

The fold creates it; `notice.intended` says to whom it goes; each outcome is a record of the log.
It closes when every target has its outcome, and not before.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Literal
from uuid import UUID, uuid5

import msgspec
from msgspec.structs import replace

from schemas.alerts import Alert
from schemas.cases import NoticeDelivered, NoticeFailed, Step, Target

NAMESPACE = UUID("8a7bb5d0-2f4e-5c1b-9c57-0d3e6a1f4b92")

Why = Literal["owner", "assignee", "signal_manager", "nobody"]
End = Literal["delivered", "failed"]


class Delivery(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One target of a notice, and how far its delivery is.

    Attributes:
        channel: Name of the channel.
        person: Id of the person it is addressed to; None if there is nobody.
        why: Why to that person.
        attempts: How many ended, well or not.
        retry_at: When the next one is due; None for at once.
        done: How it ended; None while it is to be tried.
    """

    channel: str
    person: str | None
    why: Why
    attempts: int = 0
    retry_at: datetime | None = None
    done: End | None = None

    def take(self, outcome: NoticeDelivered | NoticeFailed) -> "Delivery":
        """Return the delivery after an attempt.

        That it arrived once is never taken back. A last failure ends it whatever its number, for
        it may stand for no attempt at all: the channel was switched off. Any other failure of an
        attempt that is known is a repetition.
        """
        if self.done == "delivered":
            return self
        attempts = max(self.attempts, outcome.attempt)
        if isinstance(outcome, NoticeDelivered):
            return replace(self, attempts=attempts, retry_at=None, done="delivered")
        if self.done == "failed":
            return self
        if outcome.retry_at is None:
            return replace(self, attempts=attempts, retry_at=None, done="failed")
        if outcome.attempt <= self.attempts:
            return self
        return replace(self, attempts=attempts, retry_at=outcome.retry_at)


class Notice(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that somebody must be told.

    Attributes:
        id: UUIDv5 of the case, the change that caused it and the step; the same for ever, so that
            whoever gets it twice can tell.
        case: The case's key.
        step: What happened to the case.
        alert: The alert's record to tell of.
        caused_at: When the record that caused it entered the log, microseconds since 1970-01-01.
        generation: The case's generation then; a case opened anew leaves it behind.
        n: Offset of the record that caused it; notices of a case are kept in this order.
        deliveries: By channel, who is told; None until that is intended.
    """

    id: str
    case: str
    step: Step
    alert: Alert
    caused_at: int
    generation: int
    n: int = 0
    deliveries: Mapping[str, Delivery] | None = None

    @property
    def closed(self) -> bool:
        """Whether every target has its outcome; with no target at all it is closed too."""
        return self.deliveries is not None and all(one.done for one in self.deliveries.values())

    @property
    def outcome(self) -> Literal["delivered", "failed", "no_target"]:
        """How a closed one ended: `failed` if any of its targets did not get it."""
        ends = {one.done for one in (self.deliveries or {}).values()}
        if not ends:
            return "no_target"
        return "delivered" if ends == {"delivered"} else "failed"

    def intend(self, targets: Iterable[Target]) -> "Notice":
        """Return the notice with its targets; the first intent stands, one target a channel."""
        if self.deliveries is not None:
            return self
        found: dict[str, Delivery] = {}
        for one in targets:
            begun = Delivery(channel=one.channel, person=one.person, why=one.why)
            found.setdefault(one.channel, begun)
        return replace(self, deliveries=found)

    def take(self, outcome: NoticeDelivered | NoticeFailed) -> "Notice":
        """Return the notice after an attempt; an outcome that nobody intended changes nothing."""
        known = (self.deliveries or {}).get(outcome.channel)
        after = None if known is None else known.take(outcome)
        if after is None or after is known:
            return self
        return replace(self, deliveries={**(self.deliveries or {}), outcome.channel: after})


def notice_id(case: str, offset: int, appended: int, step: Step) -> str:
    """Return a notice's id.

    Args:
        case: The case's key.
        offset: Of the record that caused it, in the alert log.
        appended: When that entered the log, microseconds since 1970-01-01: a topic that is made
            anew has the same offsets once more.
        step: What happened to the case.

    >>> notice_id("acme", 17, 5, "opened") == notice_id("acme", 17, 5, "opened")
    True
    """
    return str(uuid5(NAMESPACE, f"{case}\x1f{offset}\x1f{appended}\x1f{step}"))
