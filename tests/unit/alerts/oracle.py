"""A recount of the alert log in plain Python: what every case must be, from the records alone.

It shares no code with the fold: only the records' types are the same. What it follows is written
in the documents: the tables of `services/alerts/README.md` and of the modules under `cases/`.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from schemas import alerts, cases
from schemas.alerts import Alert, AlertCleared, AlertRecord, AlertWorsened
from schemas.cases import (
    Act,
    CaseAcknowledged,
    CaseAssigned,
    CaseCommented,
    CaseReopened,
    CaseResolved,
    CaseSnoozed,
    FeedbackRecord,
    NoticeDelivered,
    NoticeFailed,
    NoticeIntended,
)
from tests.unit.alerts.dossier import Dossier, Picture, Told

RANKS: Final = {"info": 0, "low": 1, "medium": 2, "high": 3, "critical": 4}


@dataclass
class Recount:
    """Everything that the log said so far.

    Attributes:
        dossiers: By account.
        turned_away: Actions on accounts of which no alert was ever known, by account and id.
    """

    dossiers: dict[str, Dossier] = field(default_factory=dict)
    turned_away: set[tuple[str, str]] = field(default_factory=set)

    def message(self, offset: int, appended: int, key: str, value: bytes | None) -> None:
        """Count one record of the log, read once and in order; what is none is passed over."""
        try:
            record = cases.decode(value or b"")
        except ValueError:
            return
        if isinstance(record, AlertRecord):
            dossier = self.dossiers.setdefault(key, Dossier(key))
            # What happened in history happened then, whenever it was imported.
            at = _micros(record.fired_at) if record.historic else appended
            _alarm(dossier, record, offset, at)
        elif isinstance(record, Act):
            self._act(record, offset, appended)
        elif key in self.dossiers:
            _outcome(self.dossiers[key], record, appended)

    def pictures(self) -> Mapping[str, Picture]:
        """Return what is kept of every case."""
        return {key: one.picture() for key, one in self.dossiers.items()}

    def _act(self, record: cases.Action, offset: int, appended: int) -> None:
        name = (record.case, record.id)
        if record.case not in self.dossiers:
            self.turned_away.add(name)
        if name in self.turned_away:
            return
        dossier = self.dossiers[record.case]
        if record.id not in dossier.answers:
            former = dossier.state
            status = _do(dossier, record, offset, appended)
            if status == "applied":
                dossier.changed_at = appended
                _write_down(dossier, record, appended, former, **_said(record))
            dossier.answers[record.id] = (status, dossier.version, dossier.state)


def recount(messages: Iterable[tuple[int, int, str, bytes | None]]) -> Recount:
    """Count a whole log.

    Args:
        messages: Offset, append time in microseconds, key and value of each record, in order.
    """
    found = Recount()
    for message in messages:
        found.message(*message)
    return found


def _alarm(case: Dossier, record: Alert, n: int, at: int) -> None:
    """An alert's record: nothing if it is known, or ends what is over."""
    known, raw = case.alerts.get(record.alert_id), alerts.encode(record)
    ending = record if isinstance(record, AlertCleared) else None
    if known is None:
        counted, was = False, None
        known = Told(record, record, at, at, n, {raw}, ending, at if ending else None)
        case.alerts[record.alert_id] = known
    elif raw in known.seen or (ending and not known.open):
        return
    else:
        counted, was = known.counts, known.newest
        known.seen.add(raw)
        known.newest = known.newest if ending else record
        known.changed, known.ended, known.ended_at = at, ending, at if ending else None
    former, case.changed_at = case.state, at
    if case.account_now is None or record.account_now.stamp >= case.account_now.stamp:
        case.account_now = record.account_now
    step = _step(case, known, record, counted, was, at)
    if case.pending():
        case.severity = max((one.newest.severity for one in case.pending()), key=RANKS.__getitem__)
    if step and not record.historic and (step != "cleared" or case.told):
        case.tell(step, record, n, at)
    words = {"alert": record.alert_id, "severity": record.severity}
    _write_down(case, record, at, former, **words, reason=ending.reason if ending else None)


def _step(
    case: Dossier, one: Told, record: Alert, counted: bool, was: Alert | None, at: int
) -> str | None:
    """Move the case as the table of `cases/alarms.py` says; return what there is to tell."""
    beyond = case.handled is None or RANKS[record.severity] > RANKS[case.handled]
    if counted and not one.counts:
        if case.state == "resolved" or case.pending():
            return None
        case.state, case.by, case.until = "resolved", None, None
        return "cleared"
    if not one.counts:
        return None
    if counted:
        assert was is not None
        worse = isinstance(record, AlertWorsened) or RANKS[record.severity] > RANKS[was.severity]
        return _grown(case, beyond, at) if worse else None
    if case.state == "resolved":
        case.open_anew(at)
        return "opened" if case.generation == 1 else "reopened"
    return "added" if case.state in ("open", "acknowledged") else _roused(case, beyond)


def _grown(case: Dossier, beyond: bool, at: int) -> str | None:
    """An open alert is worse than it was."""
    if case.state == "snoozed":
        return _roused(case, beyond)
    if case.state == "resolved":
        if not beyond:
            return None
        case.open_anew(at)
        return "reopened"
    if case.state == "acknowledged" and beyond:
        case.wake()
    return "worsened"


def _roused(case: Dossier, beyond: bool) -> str | None:
    if not beyond:
        return None
    case.wake()
    return "reopened"


def _do(case: Dossier, act: cases.Action, n: int, at: int) -> str:
    """Return what became of an action that comes for the first time, and do it."""
    if case.generation == 0 and not isinstance(act, CaseCommented | FeedbackRecord):
        return "unknown_case"
    if isinstance(act, FeedbackRecord):
        if act.alert_id not in case.alerts:
            return "unknown_alert"
        verdicts = case.alerts[act.alert_id].verdicts
        if verdicts.get(act.by) == act.verdict:
            return "unchanged"
        verdicts[act.by] = act.verdict
        return "applied"
    if isinstance(act, CaseCommented):
        return "applied"
    if isinstance(act, CaseAcknowledged):
        return _handled(case, act, "acknowledged") if case.state == "open" else "unchanged"
    if act.seen is not None and act.seen != case.version:
        return "conflict"
    if isinstance(act, CaseReopened):
        return _reopen(case, act, n, at)
    if isinstance(act, CaseAssigned):
        if case.assignee == act.to:
            return "unchanged"
        case.assignee, case.version = act.to, case.version + 1
        return "applied"
    return _set_aside(case, act)


def _set_aside(case: Dossier, act: CaseSnoozed | CaseResolved) -> str:
    if isinstance(act, CaseSnoozed):
        if case.state == "resolved" or act.until <= act.at or case.until == act.until:
            return "unchanged"
        case.until = act.until
        return _handled(case, act, "snoozed")
    if case.state == "resolved" and case.outcome == act.outcome:
        # Nothing is new but what the person wrote.
        return "applied" if act.note else "unchanged"
    case.outcome, case.until = act.outcome, None
    return _handled(case, act, "resolved")


def _handled(case: Dossier, act: cases.Action, state: str) -> str:
    case.state, case.by, case.handled = state, act.by, case.severity
    case.version += 1
    return "applied"


def _reopen(case: Dossier, act: CaseReopened, n: int, at: int) -> str:
    timer = act.reason == "snooze_ended"
    if case.state == "open" or (timer and case.state != "snoozed"):
        return "unchanged"
    if case.state == "resolved":
        case.open_anew(at)
    else:
        case.wake()
    lively = [one for one in case.pending() if not one.newest.historic]
    if timer and lively:
        worst = max(lively, key=lambda one: (RANKS[one.newest.severity], one.n))
        case.tell("reopened", worst.newest, n, at)
    return "applied"


def _outcome(case: Dossier, record: cases.Notice, at: int) -> None:
    """A delivery's record; of what is closed, unknown or not intended there is nothing to say."""
    one = case.news.get(record.id)
    if one is None:
        return
    line: Mapping[str, Any] = {}
    if isinstance(record, NoticeIntended):
        if one.targets is not None:
            return
        one.targets = {}
        for to in record.targets:
            one.targets.setdefault(to.channel, [to.person, to.why, 0, None, None])
        changed = True
    else:
        target = (one.targets or {}).get(record.channel)
        changed = target is not None and _attempted(target, record)
        line = {"channel": record.channel, "attempt": record.attempt}
    if not changed:
        return
    if one.ended:
        case.closed[record.id] = case.news.pop(record.id)
    if not isinstance(record, NoticeIntended) or not one.targets:
        _write_down(case, record, at, None, **line)


def _attempted(target: list[Any], record: NoticeDelivered | NoticeFailed) -> bool:
    """Note an attempt; that it arrived stands for ever, and of two of one number the first."""
    _, _, attempts, _, end = target
    if end == "delivered":
        return False
    if isinstance(record, NoticeDelivered):
        target[2:] = [max(attempts, record.attempt), None, "delivered"]
    elif end == "failed":
        return False
    elif record.retry_at is None:
        target[2:] = [max(attempts, record.attempt), None, "failed"]
    elif record.attempt > attempts:
        target[2:4] = [record.attempt, record.retry_at]
    else:
        return False
    return True


def _write_down(
    case: Dossier, record: cases.LogRecord, at: int, former: str | None, **words: Any
) -> None:
    """Write a line of the timeline: its number, when, what, the state it led to, and its words."""
    tag = record.__struct_config__.tag
    state = case.state if former not in (None, case.state) else None
    said = tuple(sorted((name, word) for name, word in words.items() if word is not None))
    case.lines.append((len(case.lines), at, tag, state, said))


def _said(act: cases.Action) -> dict[str, Any]:
    """Return what a person said, and who."""
    words: dict[str, Any] = {"by": act.by}
    match act:
        case CaseSnoozed():
            words["until"] = act.until
        case CaseResolved():
            words |= {"outcome": act.outcome, "text": act.note or None}
        case CaseAssigned():
            words["person"] = act.to
        case CaseCommented():
            words["text"] = act.text
        case CaseReopened():
            words["reason"] = act.reason
        case FeedbackRecord():
            words |= {"alert": act.alert_id, "verdict": act.verdict}
    return words


def _micros(at: datetime) -> int:
    return round((at - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000)
