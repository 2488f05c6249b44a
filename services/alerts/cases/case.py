"""What stands of one account's alerts, of what people did about them, and who was told. Pure.

One case per account for ever. `alarms` says what an alert's record does to it, `actions` what a
person's action does, `outcomes` what the record of a delivery does; here is what all of them share.

Its *version* counts changes of state by people and reopenings, 1 being the first opening: who acts
on an older one may be refused. Its *generation* counts how often it was opened from nothing or from
resolved: what an older generation had to tell is out of date. Both are 0 while every alert of the
account was in shadow; such a case is not listed.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Literal, NamedTuple

import msgspec

from schemas.alerts import SEVERITIES, AccountNow, Alert, Severity
from schemas.cases import LogRecord, Outcome, Step
from services.alerts.cases import timeline
from services.alerts.cases.notices import Delivery, Notice, notice_id
from services.alerts.cases.standing import Standing
from services.alerts.cases.timeline import Entry
from services.alerts.shown import CaseState

__all__ = ["Answer", "Case", "Place", "Standing", "Status", "worse"]

ANSWER_LIMIT = 256
"""Actions whose ids are remembered; an older one that is repeated counts as new."""

ENDED_LIMIT = 200
"""Alerts that are over and still shown; of more, those that ended first go."""

ENTRY_LIMIT = 1_000
"""Lines of a timeline; of more, the oldest go."""

Status = Literal["applied", "unchanged", "conflict", "unknown_case", "unknown_alert"]


class Place(NamedTuple):
    """Where a record stands in the alert log.

    Attributes:
        offset: Its offset.
        appended: When it entered the log, microseconds since 1970-01-01 UTC; of imported history,
            when its alert fired.
        late: Whether what came after it may be folded already: its own fold had raised.
    """

    offset: int
    appended: int
    late: bool = False


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What became of an action; the first answer stands for ever.

    Attributes:
        id: The action's.
        case: Its case.
        status: As in `shown.ActionAnswer`, which adds `pending`.
        version: The case's version after it; None without a case.
        state: The case's state after it; None without a case.
        detail: For a person: why it was not applied.
    """

    id: str
    case: str
    status: Status
    version: int | None = None
    state: CaseState | None = None
    detail: str = ""


@dataclass(slots=True)
class Case:
    """One case.

    Attributes:
        id: Its key: the account's id.
        state: Where it is between open and resolved.
        version: For `If-Match`.
        generation: How often it was opened.
        severity: The worst of its open alerts that are not in shadow; as it was last without any.
        opened_at: When it was opened last, microseconds since 1970-01-01 UTC.
        changed_at: When an alert or an action changed anything last, microseconds.
        by: Who acknowledged, snoozed or resolved it; None if nobody did since it was opened.
        until: When its snooze ends.
        outcome: What a person said when resolving it.
        assignee: Who works on it in the owner's place; outlives its generation.
        handled: Its severity when a person acknowledged, snoozed or resolved it: only something
            worse takes that back.
        told: Whether anybody was to be told of this generation.
        account_now: The account in the newest of its alerts' records, by stamp.
        standings: Its alerts by id, in the order in which they began.
        notices: Those not closed yet, by id, the oldest first.
        answers: What became of the newest 256 actions, by action id, the oldest first.
        answered: How many actions have been answered.
        entries: The newest 1,000 lines of its timeline, the oldest first.
        touched: Parts that differ from the last encoding; see `case_records`.
    """

    id: str
    state: CaseState = "resolved"
    version: int = 0
    generation: int = 0
    severity: Severity = "info"
    opened_at: int = 0
    changed_at: int = 0
    by: str | None = None
    until: datetime | None = None
    outcome: Outcome | None = None
    assignee: str | None = None
    handled: Severity | None = None
    told: bool = False
    account_now: AccountNow | None = None
    standings: dict[str, Standing] = field(default_factory=dict)
    notices: dict[str, Notice] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    answered: int = 0
    entries: list[Entry] = field(default_factory=list)
    touched: dict[tuple[str, str], None] = field(default_factory=dict)

    @property
    def listed(self) -> bool:
        """Whether it stands in lists: an alert that is not in shadow was raised once."""
        return self.generation > 0

    @property
    def historic(self) -> bool:
        """Whether all that is open is of imported history."""
        counted = list(self.counted())
        return bool(counted) and all(one.latest.historic for one in counted)

    @property
    def next_entry(self) -> int:
        """The number of the next line of its timeline."""
        return self.entries[-1].n + 1 if self.entries else 0

    def counted(self) -> Iterator[Standing]:
        """Yield its open alerts that are not in shadow."""
        return (one for one in self.standings.values() if one.counts)

    def copy(self) -> "Case":
        """Return a case that stays as this one is now; what it holds is never changed in place."""
        copied = Case(self.id)
        copied.become(self)
        return copied

    def become(self, other: "Case") -> None:
        """Take over what another object holds of the same case."""
        for each in fields(Case):
            value = getattr(other, each.name)
            held = value.copy() if isinstance(value, dict | list) else value
            setattr(self, each.name, held)

    def sort(self) -> None:
        """Put alerts and notices into the order of the log."""
        self.standings = dict(sorted(self.standings.items(), key=lambda one: one[1].n))
        self.notices = dict(sorted(self.notices.items(), key=lambda one: one[1].n))

    def put(self, standing: Standing) -> None:
        """Keep an alert's standing; of too many that are over, the one that ended first goes."""
        self.standings[standing.first.alert_id] = standing
        self.touched["alert", standing.first.alert_id] = None
        over = [one for one in self.standings.values() if not one.open]
        if len(over) > ENDED_LIMIT:
            gone = min(over, key=lambda one: one.cleared_at or 0).first.alert_id
            del self.standings[gone]
            self.touched["alert", gone] = None

    def note(
        self,
        record: LogRecord,
        at: Place,
        former: CaseState | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        """Write a record into the timeline.

        Args:
            record: The record.
            at: Where it stands.
            former: The case's state before it; None where a record cannot change that.
            delivery: Of the record of a delivery: to whom it went.
        """
        state = self.state if former not in (None, self.state) else None
        line = timeline.entry(record, self.next_entry, at.appended, state, delivery)
        self.entries.append(line)
        self.touched["entry", str(line.n)] = None
        if len(self.entries) > ENTRY_LIMIT:
            self.touched["entry", str(self.entries.pop(0).n)] = None

    def answer(self, answer: Answer) -> None:
        """Remember what became of an action; of too many, the oldest goes."""
        self.answers[answer.id] = answer
        self.touched["answer", str(self.answered)] = None
        self.answered += 1
        if len(self.answers) > ANSWER_LIMIT:
            del self.answers[next(iter(self.answers))]
            self.touched["answer", str(self.answered - ANSWER_LIMIT - 1)] = None

    def tell(self, step: Step, alert: Alert, at: Place) -> None:
        """Begin a notice."""
        known = notice_id(self.id, at.offset, at.appended, step)
        self.keep(
            Notice(
                id=known,
                case=self.id,
                step=step,
                alert=alert,
                caused_at=at.appended,
                generation=self.generation,
                n=at.offset,
            )
        )
        self.told = True

    def keep(self, notice: Notice) -> None:
        """Keep a notice as it is now; a closed one is forgotten."""
        self.notices[notice.id] = notice
        if notice.closed:
            del self.notices[notice.id]
        self.touched["notice", notice.id] = None

    def begin(self, at: Place) -> None:
        """Open it from nothing or from resolved: a new generation."""
        self.generation += 1
        self.opened_at = at.appended
        self.outcome = None
        self.told = False
        self.wake()

    def wake(self) -> None:
        """Open it: what a person did about its state no longer holds."""
        self.state = "open"
        self.version += 1
        self.by = self.until = self.handled = None


def worse(severity: Severity, than: Severity | None) -> bool:
    """Tell whether a severity is worse than another; anything is worse than none."""
    return than is None or SEVERITIES.index(severity) > SEVERITIES.index(than)
