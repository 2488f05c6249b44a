"""Episodes: the life of one condition of one object, told anew from detection.md §0."""

from dataclasses import dataclass, fields
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from .rules import Policy

NAMESPACE = UUID("3f0e6b1a-6a35-5a0c-9d0b-6c1f5d9a7e42")
EASE = 7
"""Milder evaluations running after which an open alert eases."""

REMEMBERED = 4
"""Days after raising for which an episode is remembered at least."""

LIMIT = 100
"""Episodes of one account and one rule that events wake."""


class Found(NamedTuple):
    """One evaluation: whether the condition holds, whether it is over, and how bad it is."""

    fires: bool
    clears: bool
    severity: int


class Told(NamedTuple):
    """What people are to be told: the kind of record, and why an alert ended."""

    kind: str
    reason: str = ""


@dataclass
class Episode:
    """What is remembered; the fields are those that `ebbwatch accounts show` prints."""

    rule: str
    object: str
    since: int
    state: str = "pending"
    alert_id: str = ""
    raised_on: int = -1
    ordinal: int = 0
    severity: int = 0
    count: int = 0
    lower: int = 0
    quiet: int = 0
    free: bool = False

    @property
    def open(self) -> bool:
        """Whether an alert of it is open."""
        return self.state in ("firing", "clearing")

    def plain(self) -> dict[str, Any]:
        """Return it as plain JSON, every field told."""
        return {one.name: getattr(self, one.name) for one in fields(self)}

    def evaluate(self, subject: str, found: Found, day: int, policy: Policy) -> Told | None:
        """Take one evaluation into account; a pending episode only one that fires."""
        self.quiet = self.quiet + 1 if not found.fires else 0
        if self.open:
            return self._open(found, day, policy)
        if self.state == "pending":
            self.count += 1
            return self._raise(subject, found, day) if self.count >= policy.dwell else None
        if self.quiet >= policy.rearm_days:
            self.count = 1
        if found.fires and self.count == 1 and self.is_cool(day, policy):
            return self._raise(subject, found, day)
        return None

    def is_cool(self, day: int, policy: Policy) -> bool:
        """Tell whether another alert may be raised again."""
        return self.free or day >= self.raised_on + policy.cooldown_days

    def is_over(self, day: int, policy: Policy) -> bool:
        """Tell whether nothing of it matters any more."""
        if self.state != "cooling" or not self.count:
            return False
        return self.is_cool(day, policy) and day >= self.raised_on + REMEMBERED

    def is_old(self, day: int, policy: Policy) -> bool:
        """Tell whether an alert has been open for as long as any may be."""
        if not self.open or policy.expire_days is None:
            return False
        return day >= self.raised_on + policy.expire_days

    @property
    def waits_for_its_end(self) -> bool:
        """Whether an alert is open, or none may be raised before what it was about has ended."""
        return self.open or (self.state == "cooling" and self.count == 0)

    def close(self, reason: str, policy: Policy) -> Told:
        """End the open alert."""
        self.state, self.lower = "cooling", 0
        self.free = reason == "withdrawn"
        self.count = 1 if self.free or self.quiet >= policy.rearm_days else 0
        return Told("cleared", reason)

    def _open(self, found: Found, day: int, policy: Policy) -> Told | None:
        if found.clears:
            self.state, self.count = "clearing", self.count + 1
            return self.close("recovered", policy) if self.count >= policy.clear_days else None
        self.state, self.count = "firing", 0
        if self.is_old(day, policy):
            return self.close("new_normal", policy)
        if not found.fires or found.severity == self.severity:
            self.lower = 0
            return None
        if found.severity < self.severity:
            self.lower += 1
            if self.lower < EASE:
                return None
        told = Told("worsened" if found.severity > self.severity else "eased")
        self.severity, self.lower = found.severity, 0
        return told

    def _raise(self, subject: str, found: Found, day: int) -> Told:
        self.ordinal = self.ordinal + 1 if self.raised_on == day else 0
        self.state, self.raised_on, self.severity = "firing", day, found.severity
        self.count = self.lower = 0
        self.free = False
        parts = (subject, self.rule, self.object, str(day), str(self.ordinal))
        self.alert_id = str(uuid5(NAMESPACE, "\x00".join(parts)))
        return Told("raised")
