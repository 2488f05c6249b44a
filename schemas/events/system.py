"""What the services themselves write into the log; never accepted from outside."""

from datetime import date
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .fields import Fields, Id, Text

Micros = Annotated[int, Meta(ge=0, description="Microseconds since 1970-01-01 UTC.")]
Hour = Annotated[int, Meta(description="Hours since 1970-01-01 UTC.")]
"""Any number: one that cannot be is passed over, and takes no tick with it."""

Subject = Annotated[
    str, Meta(min_length=1, max_length=220, description="Such as `account:` and the account's id.")
]


class ClockTicked(Fields, frozen=True, tag="clock.ticked"):
    """The clock of a partition: the newest tick holds.

    Attributes:
        at: The time of the tick.
        mode: `importing` while history plays, `live` afterwards.
        complete_until: Per "input/partition", the time up to which it was forwarded.
        seen: Per source, the hours in which it sent something, since the tick before.
        fed: Per input, the sources of which it has carried something, since the tick before.
    """

    at: Micros
    mode: Literal["importing", "live"]
    complete_until: dict[str, Micros] = msgspec.field(default_factory=dict)
    seen: dict[str, list[Hour]] = msgspec.field(default_factory=dict)
    fed: dict[str, list[str]] = msgspec.field(default_factory=dict)


class RulesApplied(Fields, frozen=True, tag="rules.applied"):
    """The rule set in force from here on; a smaller number than the one in force is ignored."""

    n: Annotated[int, Meta(ge=1)]
    content: str


class FeedbackGiven(Fields, frozen=True, tag="feedback.given"):
    """A person judged an alert.

    Attributes:
        alert: The alert's id.
        verdict: What it was worth; of one person's verdicts on an alert the newest holds.
        author: Who said so.
        rule: The rule that raised it: what it is counted under.
    """

    alert: Id
    verdict: Literal["useful", "false_alarm", "known", "too_late"]
    author: Id | None = None
    rule: Id | None = None


class LevelAccepted(Fields, frozen=True, tag="level.accepted"):
    """A person says that the level is the new normal."""

    alert: Id
    author: Id | None = None


class SubjectRepaired(Fields, frozen=True, tag="subject.repaired"):
    """A quarantined subject folds again; its held entries follow.

    With the origin of a held entry it comes in that one's place, which cannot follow any more.
    """

    subject: Subject


class AccountErased(Fields, frozen=True, tag="account.erased"):
    """Everything about an account is forgotten."""


class PersonErased(Fields, frozen=True, tag="person.erased"):
    """Everything about a person is forgotten."""

    person: Id


class PartClosed(Fields, frozen=True, tag="part.closed"):
    """One partition's share of a summary of a scope's day; newer revisions replace older ones."""

    scope: Text
    day: date
    partition: Annotated[int, Meta(ge=0)]
    values: dict[str, Any]
    revision: Annotated[int, Meta(ge=0)]


class IncidentJudged(Fields, frozen=True, tag="incident.judged"):
    """How a fall that many accounts share stood when a day had ended, for every partition.

    Attributes:
        day: The day, in UTC.
        alert: The id of its alert.
        raised_on: The day on which that was raised.
        since: The day since which many had fallen.
        depth: Median percent of what is usual that is left to the accounts that are low.
        ended: How it has ended; empty while it is open.
    """

    day: date
    alert: Id
    raised_on: date
    since: date
    depth: Annotated[int, Meta(ge=0, le=200)]
    ended: Literal["", "recovered", "new_normal"] = ""
