"""One line of a case's timeline, as the snapshot keeps it, and how a record becomes one. Pure."""

from datetime import datetime
from typing import Any

import msgspec

from schemas.alerts import Alert, AlertCleared, Severity
from schemas.cases import (
    CaseAcknowledged,
    CaseAssigned,
    CaseCommented,
    CaseReopened,
    CaseResolved,
    CaseSnoozed,
    FeedbackRecord,
    LogRecord,
    NoticeDelivered,
    NoticeFailed,
    NoticeIntended,
    Outcome,
    Verdict,
)
from services.alerts.cases.notices import Delivery
from services.alerts.shown import CaseState

HEADLINE_LIMIT = 300
TEXT_LIMIT = 4_000
"""Characters of an alert's paragraph in a timeline; people's own texts are bounded alike."""


class Entry(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that happened to a case: what a record of the log said, and no more.

    Attributes:
        n: Its number in the case, from 0 on, never given twice.
        at: When the record entered the log, microseconds since 1970-01-01 UTC; of imported history,
            when its alert fired.
        type: The record's type, such as `alert.raised`.
        by: The person who did it, or `ebbwatch`; None for what rules and channels do.
        alert_id: The alert that it is about.
        rule: The alert's rule.
        severity: The alert's severity then.
        headline: The alert in one line, cut at 300 characters.
        text: The alert's paragraph, or what somebody wrote; cut at 4,000 characters.
        reason: Why an alert ended, why a case was reopened, or why a delivery failed.
        outcome: What a person said of a resolved case.
        verdict: What a person said of an alert.
        channel: The channel that a delivery used.
        person: To whom something was delivered, or to whom the case was assigned.
        why: Why it went to that person, as in `schemas.cases.Target`.
        answer: What the channel's endpoint said.
        attempt: Which attempt of the delivery it was, from 1 on.
        until: When a snooze ends, or when the next attempt of a delivery is due.
        state: The case's state after it, where that changed.
        shadow: The alert's rule is only measured.
        historic: The alert is of imported history.
    """

    n: int
    at: int
    type: str
    by: str | None = None
    alert_id: str | None = None
    rule: str | None = None
    severity: Severity | None = None
    headline: str | None = None
    text: str | None = None
    reason: str | None = None
    outcome: Outcome | None = None
    verdict: Verdict | None = None
    channel: str | None = None
    person: str | None = None
    why: str | None = None
    answer: str | None = None
    attempt: int | None = None
    until: datetime | None = None
    state: CaseState | None = None
    shadow: bool = False
    historic: bool = False


def entry(
    record: LogRecord,
    n: int,
    at: int,
    state: CaseState | None = None,
    delivery: Delivery | None = None,
) -> Entry:
    """Return what a timeline keeps of a record.

    Args:
        record: Any record of the alert log.
        n: The entry's number.
        at: When the record entered the log, microseconds.
        state: The case's state after it, if that changed.
        delivery: Of the record of a delivery: to whom it went.
    """
    told = _told(record)
    if delivery is not None:
        told |= {"person": delivery.person, "why": delivery.why}
    return Entry(n=n, at=at, type=str(record.__struct_config__.tag), state=state, **told)


def _told(record: LogRecord) -> dict[str, Any]:
    """Say what of a record people want to read."""
    match record:
        case CaseSnoozed():
            return {"by": record.by, "until": record.until}
        case CaseResolved():
            return {"by": record.by, "outcome": record.outcome, "text": record.note or None}
        case CaseAssigned():
            return {"by": record.by, "person": record.to}
        case CaseCommented():
            return {"by": record.by, "text": record.text}
        case CaseReopened():
            return {"by": record.by, "reason": record.reason}
        case FeedbackRecord():
            return {"by": record.by, "alert_id": record.alert_id, "verdict": record.verdict}
        case CaseAcknowledged():
            return {"by": record.by}
        case NoticeDelivered() | NoticeFailed():
            return _attempt(record)
        case NoticeIntended():
            return {}
    return _alert(record)


def _attempt(record: NoticeDelivered | NoticeFailed) -> dict[str, Any]:
    told = {"channel": record.channel, "attempt": record.attempt}
    if isinstance(record, NoticeDelivered):
        return told | {"answer": record.answer}
    return told | {"reason": record.reason, "until": record.retry_at}


def _alert(record: Alert) -> dict[str, Any]:
    because = record.because
    headline = because.get("headline") or because.get("title") or record.rule
    return {
        "alert_id": record.alert_id,
        "rule": record.rule,
        "severity": record.severity,
        "headline": str(headline)[:HEADLINE_LIMIT],
        "text": str(because.get("text") or "")[:TEXT_LIMIT] or None,
        "reason": record.reason if isinstance(record, AlertCleared) else None,
        "shadow": record.shadow,
        "historic": record.historic,
    }
