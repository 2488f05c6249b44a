"""The alert log recounted: what stands of each account's case, and who had to be told of what.

Told anew from design.md §6 and from the tables in the documentation of cases: records of alerts
open, worsen and resolve a case, people's actions move it, and every step that somebody must hear of
is one notice, which ends with an outcome for each of its targets.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID, uuid5

import msgspec

from schemas import cases
from schemas.alerts import (
    SEVERITIES,
    AccountNow,
    Alert,
    AlertCleared,
    AlertRecord,
    AlertWorsened,
    Severity,
)
from schemas.cases import Act, FeedbackRecord, LogRecord
from schemas.envelope import Entry, Origin
from schemas.events import FeedbackGiven

from .acting import Book, act
from .homes import ACCOUNT
from .notices import Told
from .reading import Keyed

FEEDBACK = "alerts.v1"
"""What an entry names that tells the detector of feedback: where its record stands."""

NAMESPACE = UUID("8a7bb5d0-2f4e-5c1b-9c57-0d3e6a1f4b92")


class Standing(NamedTuple):
    """One alert: how bad it is, whether its condition holds, whether anybody is to know."""

    severity: Severity
    open: bool
    shadow: bool
    historic: bool
    seen: frozenset[bytes]
    newest: Alert

    @property
    def counts(self) -> bool:
        return self.open and not self.shadow


@dataclass
class Case(Book):
    """One account's case, its alerts by id, and whether anybody was told since it was opened.

    Attributes:
        verdicts: By alert and person, what it was worth.
        known: What its alerts say of the account, the newest by stamp, each from which offset on.
        assigned: Who works on it, each from which offset on.
    """

    known: list[tuple[int, AccountNow]] = field(default_factory=list)
    assigned: list[tuple[int, str | None]] = field(default_factory=list)
    alerts: dict[str, Standing] = field(default_factory=dict)
    verdicts: dict[tuple[str, str], str] = field(default_factory=dict)
    told: bool = False

    @property
    def open_alerts(self) -> list[str]:
        """Ids of the alerts that count."""
        return sorted(id for id, one in self.alerts.items() if one.counts)


@dataclass
class Desk:
    """Cases by account and notices by id, as the log leaves them.

    Attributes:
        votes: By partition, in order, what the detector must hear of people's feedback.
    """

    cases: dict[str, Case] = field(default_factory=dict)
    notices: dict[str, Told] = field(default_factory=dict)
    votes: dict[int, list[Entry]] = field(default_factory=dict)
    strangers: set[tuple[str, str]] = field(default_factory=set)


def recount_desk(log: Mapping[int, Sequence[Keyed]], named: bool = True) -> Desk:
    """Recount `alerts.v1`, read back committed from its beginning.

    Args:
        log: Every partition.
        named: Whether votes name the log by its first record: not where an earlier version of the
            desk has folded that.
    """
    desk = Desk()
    for number, records in sorted(log.items()):
        mine = desk.votes.setdefault(number, [])
        for one in records:
            record = _read(one)
            if isinstance(record, AlertRecord):
                _alert(desk, record, one)
            elif isinstance(record, Act):
                life = f"~{records[0].appended}" if named else ""
                mine += _action(desk, record, one, number, life)
            elif record is not None and record.id in desk.notices:
                desk.notices[record.id].take(record, one.offset, one.appended)
    return desk


def _read(one: Keyed) -> LogRecord | None:
    """Return a record, None for one that nobody could read: it is refused."""
    try:
        record = cases.decode(one.value or b"")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    case = record.account if isinstance(record, AlertRecord) else record.case
    return record if one.key == case.encode() else None


def _alert(desk: Desk, record: Alert, at: Keyed) -> None:
    case = desk.cases.setdefault(record.account, Case())
    known = case.alerts.get(record.alert_id)
    raw = cases.encode(record)
    if known is not None and raw in known.seen:
        return
    ended = isinstance(record, AlertCleared)
    if known is not None and ended and not known.open:
        return
    now = _standing(known, record, raw)
    case.alerts[record.alert_id] = now
    if not case.known or record.account_now.stamp >= case.known[-1][1].stamp:
        case.known.append((at.offset, record.account_now))
    step = _step(case, known, now, record)
    case.severity = max(
        (one.severity for one in case.alerts.values() if one.counts),
        key=SEVERITIES.index,
        default=case.severity,
    )
    if step is not None and not record.historic and (step != "cleared" or case.told):
        _tell(desk, case, step, record.account, record.alert_id, at)


def _standing(known: Standing | None, record: Alert, raw: bytes) -> Standing:
    seen = frozenset({raw}) | (known.seen if known is not None else frozenset())
    ended = isinstance(record, AlertCleared)
    newest = known.newest if known is not None and ended else record
    return Standing(newest.severity, not ended, newest.shadow, newest.historic, seen, newest)


def _step(case: Case, known: Standing | None, now: Standing, record: Alert) -> str | None:
    """Change the case as the table says; return what somebody must hear of."""
    counted = known is not None and known.counts
    if now.counts and not counted:
        return _added(case, now)
    if known is None or not counted:
        return None
    if not now.counts:
        return _ended(case)
    worse = SEVERITIES.index(now.severity) > SEVERITIES.index(known.severity)
    return _worsened(case, now) if worse or isinstance(record, AlertWorsened) else None


def _added(case: Case, now: Standing) -> str | None:
    if case.state == "snoozed":
        return _woken(case, now)
    if case.state != "resolved":
        return "added"
    first = case.generation == 0
    _open_anew(case)
    return "opened" if first else "reopened"


def _worsened(case: Case, now: Standing) -> str | None:
    if case.state == "snoozed":
        return _woken(case, now)
    if case.state == "open":
        return "worsened"
    if not case.is_worse(now.severity):
        return "worsened" if case.state == "acknowledged" else None
    if case.state == "acknowledged":
        case.wake()
        return "worsened"
    _open_anew(case)
    return "reopened"


def _woken(case: Case, now: Standing) -> str | None:
    if not case.is_worse(now.severity):
        return None
    case.wake()
    return "reopened"


def _ended(case: Case) -> str | None:
    if case.state == "resolved" or case.open_alerts:
        return None
    case.state, case.until = "resolved", None
    return "cleared"


def _open_anew(case: Case) -> None:
    case.open_anew()
    case.told = False


def _action(desk: Desk, record: Act, at: Keyed, number: int, life: str) -> list[Entry]:
    """Take an action over; return what the detector must hear of it."""
    case = desk.cases.get(record.case)
    name = (record.case, record.id)
    if name in desk.strangers or case is None:
        desk.strangers.add(name)
        return []
    if record.id in case.answered:
        return []
    case.answered.add(record.id)
    before = case.generation
    waking = act(case, record, set(case.alerts))
    if not case.assigned or case.assigned[-1][1] != case.assignee:
        case.assigned.append((at.offset, case.assignee))
    if case.generation != before:
        case.told = False
    telling = [(id, one) for id, one in case.alerts.items() if one.counts and not one.historic]
    if waking and telling:
        # Of equals the one that began last.
        worst = max(telling, key=lambda one: SEVERITIES.index(one[1].severity))
        of_equals = [one for one in telling if one[1].severity == worst[1].severity]
        _tell(desk, case, "reopened", record.case, of_equals[-1][0], at)
    return _vote(case, record, at, number, life) if isinstance(record, FeedbackRecord) else []


def _vote(case: Case, said: FeedbackRecord, at: Keyed, number: int, life: str) -> list[Entry]:
    alert, about = case.alerts.get(said.alert_id), (said.alert_id, said.by)
    if alert is None or case.verdicts.get(about) == said.verdict:
        return []
    case.verdicts[about] = said.verdict
    event = FeedbackGiven(
        alert=said.alert_id, verdict=said.verdict, author=said.by, rule=alert.newest.rule
    )
    id, subjects = f"feedback{life}-{number}-{at.offset}", (ACCOUNT + said.case,)
    origin = Origin(FEEDBACK + life, number, at.offset, 0)
    return [Entry(id, "ebbwatch", at.appended, subjects, event, origin)]


def _tell(desk: Desk, case: Case, step: str, account: str, alert: str, at: Keyed) -> None:
    name = f"{account}\x1f{at.offset}\x1f{at.appended}\x1f{step}"
    id = str(uuid5(NAMESPACE, name))
    desk.notices[id] = Told(id, account, step, alert, at.offset)
    case.told = True
