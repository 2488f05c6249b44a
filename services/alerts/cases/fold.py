"""One record of the alert log, folded into its case. Pure."""

from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

from schemas.alerts import Alert, AlertRecord
from schemas.cases import Act, LogRecord
from services.alerts.cases import actions, alarms, outcomes
from services.alerts.cases.case import Answer, Case, Place
from services.alerts.cases.notices import Notice

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Effect(NamedTuple):
    """What a record did to its case.

    Attributes:
        changed: Whether people see anything else than before.
        answer: Of an action: what became of it, be it now or when it came first.
        fresh: Whether the answer is new.
        notice: Of the record of a delivery that changed anything: its notice after it.
    """

    changed: bool
    answer: Answer | None = None
    fresh: bool = False
    notice: Notice | None = None


def fold(case: Case, record: LogRecord, at: Place) -> Effect:
    """Fold a record into its case.

    If it raises, the case is left half-way: the caller keeps a copy.

    Args:
        case: The case; it changes, and `case.touched` says where.
        record: The record.
        at: Where it stands.
    """
    if isinstance(record, AlertRecord):
        return Effect(alarms.take(case, record, _happened(record, at)))
    if isinstance(record, Act):
        fresh = record.id not in case.answers
        answer = actions.take(case, record, at)
        return Effect(fresh and answer.status == "applied", answer, fresh)
    notice = outcomes.take(case, record, at)
    return Effect(notice is not None, notice=notice)


def _happened(alert: Alert, at: Place) -> Place:
    """Return where a record stands; one of history happened when it says, not when it came."""
    if not alert.historic:
        return at
    return at._replace(appended=(alert.fired_at - _EPOCH) // timedelta(microseconds=1))
