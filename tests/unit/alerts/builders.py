"""One line per record of the alert log, and a log that gives each its place.

Everything is of the case `acme` unless another is named; the log appends a record a second.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, NamedTuple, TypedDict, Unpack

from schemas import cases
from schemas.alerts import (
    AccountNow,
    AlertCleared,
    AlertEased,
    AlertRaised,
    AlertRecord,
    AlertWorsened,
    ClearReason,
    Severity,
)
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
    Step,
    Target,
    Verdict,
)
from services.alerts.cases.case import Case, Place
from services.alerts.cases.fold import fold
from services.alerts.cases.notices import notice_id
from services.alerts.cases.partition import Partition

SECOND_US = 1_000_000
START = datetime(2026, 5, 4, 8, tzinfo=UTC)
START_US = int(START.timestamp()) * SECOND_US
SEVERITY: Severity = "medium"


class About(TypedDict, total=False):
    """Whose alert it is, and what else differs from an ordinary one."""

    account: str
    day: int
    stamp: int
    owner: str | None
    historic: bool
    shadow: bool
    rule: str
    because: dict[str, Any]


class Done(TypedDict, total=False):
    """Who acts on which case, having seen which version."""

    id: str
    case: str
    by: str
    seen: int | None


_ids = iter(range(1, 1 << 60))


def at(seconds: float = 0) -> datetime:
    """A moment, counted from the beginning of the log."""
    return START + timedelta(seconds=seconds)


def us(seconds: float = 0) -> int:
    """A moment, in microseconds since 1970-01-01 UTC."""
    return START_US + round(seconds * SECOND_US)


def raised(id: str = "a", severity: Severity = SEVERITY, **about: Unpack[About]) -> AlertRaised:
    """An alert begins."""
    return AlertRaised(**_alert(id, severity, about))


def worsened(id: str = "a", severity: Severity = "high", **about: Unpack[About]) -> AlertWorsened:
    """An alert gets worse."""
    return AlertWorsened(**_alert(id, severity, about))


def eased(id: str = "a", severity: Severity = "low", **about: Unpack[About]) -> AlertEased:
    """An alert gets better."""
    return AlertEased(**_alert(id, severity, about))


def cleared(
    id: str = "a", reason: ClearReason = "recovered", **about: Unpack[About]
) -> AlertCleared:
    """An alert is over."""
    return AlertCleared(**_alert(id, SEVERITY, about), reason=reason)


def acknowledged(**done: Unpack[Done]) -> CaseAcknowledged:
    """Somebody is on it."""
    return CaseAcknowledged(**_act(done))


def snoozed(seconds: float = 3600, **done: Unpack[Done]) -> CaseSnoozed:
    """Nothing is to be heard of it for a while, counted from the beginning of the log."""
    return CaseSnoozed(**_act(done), until=at(seconds))


def resolved(outcome: Outcome = "saved", note: str = "", **done: Unpack[Done]) -> CaseResolved:
    """Somebody says how it ended."""
    return CaseResolved(**_act(done), outcome=outcome, note=note)


def assigned(to: str | None = "bob", **done: Unpack[Done]) -> CaseAssigned:
    """Somebody is to work on it."""
    return CaseAssigned(**_act(done), to=to)


def commented(text: str = "called them", **done: Unpack[Done]) -> CaseCommented:
    """Somebody wrote something."""
    return CaseCommented(**_act(done), text=text)


def reopened(**done: Unpack[Done]) -> CaseReopened:
    """A person takes it up again."""
    return CaseReopened(**_act(done))


def woken(**done: Unpack[Done]) -> CaseReopened:
    """A snooze has ended."""
    return CaseReopened(**_act({"by": "ebbwatch"} | done), reason="snooze_ended")


def feedback(alert: str = "a", verdict: Verdict = "useful", **done: Unpack[Done]) -> FeedbackRecord:
    """Somebody says what an alert was worth."""
    return FeedbackRecord(**_act(done), alert_id=alert, verdict=verdict)


def intended(notice: str, *channels: str, case: str = "acme") -> NoticeIntended:
    """A notice goes to the owner by some channels."""
    targets = [Target(channel=one, person="ana", why="owner") for one in channels]
    return NoticeIntended(id=notice, case=case, at=START, targets=targets)


def delivered(
    notice: str, channel: str = "crm", attempt: int = 1, case: str = "acme"
) -> NoticeDelivered:
    """An endpoint took it."""
    return NoticeDelivered(
        id=notice, case=case, at=START, channel=channel, attempt=attempt, answer="204", took_ms=9
    )


def failed(
    notice: str,
    channel: str = "crm",
    attempt: int = 1,
    again: float | None = 60,
    case: str = "acme",
) -> NoticeFailed:
    """An attempt failed; the next one is due so many seconds from the beginning of the log."""
    retry_at = None if again is None else at(again)
    return NoticeFailed(
        id=notice,
        case=case,
        at=START,
        channel=channel,
        attempt=attempt,
        reason="timeout",
        retry_at=retry_at,
    )


def notice(offset: int, step: Step, case: str = "acme") -> str:
    """Return the id of the notice that a record of a `Log` caused."""
    return notice_id(case, offset, us(2 * (offset // 3) + offset % 3), step)


class Message(NamedTuple):
    """One record where it stands."""

    offset: int
    appended: int
    key: str
    value: bytes | None


class Log:
    """A partition of the alert log; every third offset is a transaction's marker."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    def add(self, *records: LogRecord) -> None:
        """Append records."""
        for record in records:
            self.write(case_of(record), cases.encode(record))

    def write(self, key: str, value: bytes | None) -> None:
        """Append anything at all."""
        n = len(self.messages)
        self.messages.append(Message(n + n // 2, us(n), key, value))

    @property
    def end(self) -> int:
        """The offset of the next record."""
        n = len(self.messages)
        return n + n // 2


def folded(*records: LogRecord) -> Partition:
    """Return a partition that folded some records."""
    log = Log()
    log.add(*records)
    return apply(Partition.begin(0, 1), log.messages)


def apply(partition: Partition, messages: Iterable[Message]) -> Partition:
    """Fold messages."""
    for message in messages:
        partition.apply(*message)
    return partition


def case(*records: LogRecord) -> Case:
    """Return a case that folded some records, one a second."""
    made = Case(case_of(records[0]))
    for n, record in enumerate(records):
        fold(made, record, Place(n, us(n)))
    made.touched.clear()
    return made


def store(kept: Mapping[str, bytes], cut: Iterable[tuple[str, bytes | None]]) -> dict[str, bytes]:
    """Return what a compacted topic holds after a cut."""
    merged: dict[str, bytes | None] = {**kept, **dict(cut)}
    return {key: value for key, value in merged.items() if value is not None}


def case_of(record: LogRecord) -> str:
    """Return the key of a record."""
    return record.account if isinstance(record, AlertRecord) else record.case


def _alert(id: str, severity: Severity, about: About) -> dict[str, Any]:
    day = about.get("day", 1)
    return {
        "alert_id": id,
        "account": about.get("account", "acme"),
        "rule": about.get("rule", "usage-drop"),
        "rule_set": 1,
        "kind": "usage_drop",
        "object": "usage",
        "day": date(2026, 5, 3) + timedelta(days=day),
        "fired_at": START + timedelta(days=day - 1),
        "severity": severity,
        "category": "early_signals",
        "churn_kind": "voluntary",
        "historic": about.get("historic", False),
        "shadow": about.get("shadow", False),
        "account_now": AccountNow(stamp=about.get("stamp", day), owner=about.get("owner", "ana")),
        "because": about.get("because", {"headline": "Usage fell 31 %", "text": "It fell."}),
    }


def _act(done: Done) -> dict[str, Any]:
    return {
        "id": done.get("id") or f"action-{next(_ids)}",
        "case": done.get("case", "acme"),
        "by": done.get("by", "ana"),
        "at": START,
        "seen": done.get("seen"),
    }
