"""One line of a timeline in plain words. Pure.

People and channels stand by their ids, as they are written: whoever has the directory at hand puts
names in their place.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from schemas.cases import Outcome, Verdict
from services import wording
from services.alerts.cases.timeline import Entry
from services.alerts.shown import Moment

TEXT_LIMIT: Final = 4_000
"""Characters of a comment or of an alert's paragraph."""
TITLE_LIMIT: Final = 500

ENDINGS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "recovered": "it recovered",
        "new_normal": "it is the new normal",
        "accepted": "a person accepted it",
        "superseded": "another alert or rule set took its place",
        "withdrawn": "later data took its reason away",
    }
)
OUTCOMES: Final[Mapping[Outcome, str]] = MappingProxyType(
    {
        "saved": "saved",
        "churned": "churned",
        "false_alarm": "false alarm",
        "expected": "expected, nothing to do",
    }
)
VERDICTS: Final[Mapping[Verdict, str]] = MappingProxyType(
    {
        "useful": "useful",
        "false_alarm": "a false alarm",
        "known": "known already",
        "too_late": "too late",
    }
)
WHY: Final[Mapping[str, str]] = MappingProxyType(
    {"owner": "owner", "assignee": "assignee", "signal_manager": "signal manager"}
)
FAILURES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "timeout": "did not answer in time",
        "connection": "could not be reached",
        "redirect": "answered with a redirect, which is not followed",
        "gone": "said that it is gone",
        "channel_disabled": "is switched off",
        "channel_removed": "is not set up any more",
        "forbidden_address": "has an address that may not be reached",
        "bad_url": "has an address that cannot be used",
    }
)
"""What a reason of `notice.failed` says of a channel; of any other it is quoted."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def moment(entry: Entry) -> Moment:
    """Return an entry of a timeline as people read it.

    Args:
        entry: As the case keeps it.
    """
    tell = _TELLERS.get(entry.type, _other)
    return Moment(
        n=entry.n,
        at=at(entry.at),
        type=entry.type,
        by=entry.by,
        title=cut(tell(entry), TITLE_LIMIT),
        text=cut(entry.text or "", TEXT_LIMIT),
        alert_id=entry.alert_id,
        severity=entry.severity,
    )


def at(micros: int) -> datetime:
    """Return an instant from microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)


def cut(text: str, limit: int) -> str:
    """Return a text of at most so many characters; one that was longer ends with an ellipsis.

    >>> cut("Acme", 4), cut("Acme Ltd", 5)
    ('Acme', 'Acme…')
    """
    return text if len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def when(instant: datetime) -> str:
    """Return an instant in words.

    >>> when(datetime(2026, 5, 14, 9, 5, tzinfo=UTC))
    '14 May 2026, 09:05 UTC'
    """
    there = instant.astimezone(UTC)
    return f"{wording.day(there.date())}, {there:%H:%M} UTC"


def _other(entry: Entry) -> str:
    return entry.type


def _raised(entry: Entry) -> str:
    return f"{_alert(entry)}{_opened(entry)}"


def _worsened(entry: Entry) -> str:
    return f"Worse: {_alert(entry)}{_opened(entry)}"


def _eased(entry: Entry) -> str:
    return f"Better: {_alert(entry)}"


def _cleared(entry: Entry) -> str:
    reason = ENDINGS.get(entry.reason or "", entry.reason or "")
    ended = "; the case is resolved" if entry.state == "resolved" else ""
    return f"Over, {reason}: {wording.capital(entry.headline or entry.rule or '')}{ended}"


def _alert(entry: Entry) -> str:
    marks = [str(entry.severity)]
    marks += ["imported history"] if entry.historic else []
    marks += ["only measured"] if entry.shadow else []
    return f"{wording.capital(entry.headline or entry.rule or '')} ({', '.join(marks)})"


def _opened(entry: Entry) -> str:
    return "; the case is open" if entry.state == "open" and entry.n > 0 else ""


def _acknowledged(entry: Entry) -> str:
    return f"{entry.by} acknowledged it"


def _snoozed(entry: Entry) -> str:
    return f"{entry.by} snoozed it until {when(entry.until)}" if entry.until else _acted(entry)


def _resolved(entry: Entry) -> str:
    return f"{entry.by} resolved it: {OUTCOMES[entry.outcome]}" if entry.outcome else _acted(entry)


def _assigned(entry: Entry) -> str:
    if entry.person is None:
        return f"{entry.by} gave it back to the account's owner"
    return f"{entry.by} assigned it to {entry.person}"


def _commented(entry: Entry) -> str:
    return f"{entry.by} commented"


def _reopened(entry: Entry) -> str:
    return "The snooze has ended" if entry.reason == "snooze_ended" else f"{entry.by} reopened it"


def _judged(entry: Entry) -> str:
    return (
        f"{entry.by} called the alert {VERDICTS[entry.verdict]}" if entry.verdict else _acted(entry)
    )


def _acted(entry: Entry) -> str:
    return f"{entry.by}: {entry.type}"


def _intended(_: Entry) -> str:
    return "Nobody was told: no channel is set up"


def _delivered(entry: Entry) -> str:
    if entry.person is None:
        return f"Delivered by {entry.channel}; nobody owns the account"
    why = WHY.get(entry.why or "")
    return f"Delivered by {entry.channel} to {entry.person}{f' ({why})' if why else ''}"


def _failed(entry: Entry) -> str:
    reason = entry.reason or ""
    what = FAILURES.get(reason) or f"did not take it ({reason.replace('_', ' ')})"
    following = f"tried again at {when(entry.until)}" if entry.until else "not tried again"
    if reason == "gone" and entry.until:
        following = "it waits until the channel is switched on again"
    return f"{entry.channel} {what}; {following}"


_TELLERS: Final[Mapping[str, Callable[[Entry], str]]] = MappingProxyType(
    {
        "alert.raised": _raised,
        "alert.worsened": _worsened,
        "alert.eased": _eased,
        "alert.cleared": _cleared,
        "case.acknowledged": _acknowledged,
        "case.snoozed": _snoozed,
        "case.resolved": _resolved,
        "case.assigned": _assigned,
        "case.commented": _commented,
        "case.reopened": _reopened,
        "feedback.given": _judged,
        "notice.intended": _intended,
        "notice.delivered": _delivered,
        "notice.failed": _failed,
    }
)
