"""What people do and what channels answer, as records of the alert log `alerts.v1` (formats.md)."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from .alerts import Alert
from .config import PRINTABLE, Id
from .events.fields import Count, Text
from .events.fields import Id as NamedId

Instant = Annotated[datetime, Meta(tz=True)]
# An account's id has at most 200 characters; `colleague:` may stand before one.
CaseId = Annotated[str, Meta(min_length=1, max_length=210, pattern=PRINTABLE)]
Attempt = Annotated[int, Meta(ge=1, le=1_000)]
Outcome = Literal["saved", "churned", "false_alarm", "expected"]
Verdict = Literal["useful", "false_alarm", "known", "too_late"]
Step = Literal["opened", "added", "worsened", "reopened", "cleared"]

COMMENT_LIMIT = 4_000
"""Characters of one comment."""


class Act(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every record of something done to a case carries.

    Attributes:
        id: Given by whoever acts (`Idempotency-Key`) or made; a known one is ignored.
        case: The case's key, which is its account's id.
        by: Id of the person, or `ebbwatch` for a timer.
        at: When it was received; the log's order decides, not this.
        seen: The version of the case that was seen; None for whichever.
    """

    id: Id
    case: CaseId
    by: Id
    at: Instant
    seen: Count | None = None
    v: int = 1


class CaseAcknowledged(Act, frozen=True, tag="case.acknowledged"):
    """Somebody is on it."""


class CaseSnoozed(Act, frozen=True, tag="case.snoozed"):
    """Nothing is to be heard of it until a moment, unless it gets worse."""

    until: Instant


class CaseResolved(Act, frozen=True, tag="case.resolved"):
    """Somebody says how it ended."""

    outcome: Outcome
    note: Annotated[str, Meta(max_length=COMMENT_LIMIT)] = ""


class CaseAssigned(Act, frozen=True, tag="case.assigned"):
    """Somebody is to work on it; None gives it back to the account's owner."""

    to: Id | None = None


class CaseCommented(Act, frozen=True, tag="case.commented"):
    """Somebody wrote something."""

    text: Annotated[str, Meta(min_length=1, max_length=COMMENT_LIMIT)]


class CaseReopened(Act, frozen=True, tag="case.reopened"):
    """A person takes it up again, or a snooze has ended."""

    reason: Literal["person", "snooze_ended"] = "person"


class FeedbackRecord(Act, frozen=True, tag="feedback.given"):
    """Somebody says what an alert was worth."""

    alert_id: Id
    verdict: Verdict


Action = (
    CaseAcknowledged
    | CaseSnoozed
    | CaseResolved
    | CaseAssigned
    | CaseCommented
    | CaseReopened
    | FeedbackRecord
)


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """To whom a notice goes, by what, and why to them.

    Attributes:
        channel: Name of the channel.
        person: Id of the person it is addressed to, as events name an owner; None if there is
            nobody.
        why: `owner`, `assignee`, `signal_manager`, or `nobody`.
    """

    channel: Id
    person: NamedId | None
    why: Literal["owner", "assignee", "signal_manager", "nobody"]


class Note(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What every record of a delivery carries.

    Attributes:
        id: The notice: UUIDv5 of the case, the change that caused it and the step.
        case: The case's key.
        at: When it was written.
    """

    id: Id
    case: CaseId
    at: Instant
    v: int = 1


class NoticeIntended(Note, frozen=True, tag="notice.intended"):
    """The targets are known; from here on it is sent, and again after a crash.

    With no target the notice is closed: there is no channel.
    """

    targets: list[Target]


class NoticeDelivered(Note, frozen=True, tag="notice.delivered"):
    """A channel's endpoint took it.

    Attributes:
        channel: Name of the channel.
        attempt: From 1 on.
        answer: What the endpoint said, such as `204`.
        took_ms: Milliseconds until it answered.
    """

    channel: Id
    attempt: Attempt
    answer: Text
    took_ms: Count


class NoticeFailed(Note, frozen=True, tag="notice.failed"):
    """An attempt failed; with no `retry_at` it was the last one.

    Attributes:
        channel: Name of the channel.
        attempt: From 1 on.
        reason: Coarse, for people, such as `timeout`; the log of the process has the full one.
        retry_at: When the next attempt is due.
    """

    channel: Id
    attempt: Attempt
    reason: Text
    retry_at: Instant | None = None


Notice = NoticeIntended | NoticeDelivered | NoticeFailed
LogRecord = Alert | Action | Notice

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(LogRecord)


def encode(record: LogRecord) -> bytes:
    """Return the JSON of a record of the alert log."""
    return _encoder.encode(record)


def decode(raw: bytes) -> LogRecord:
    """Read any record of the alert log back.

    Raises:
        msgspec.ValidationError: If it is none that this version knows.
        msgspec.DecodeError: If it is no JSON.
    """
    record: LogRecord = _decoder.decode(raw)
    return record
