"""The ends of snoozes: records that a timer appends in nobody's name. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Final
from uuid import uuid5

from schemas.cases import CaseReopened
from services.alerts.cases.case import Case
from services.alerts.cases.notices import NAMESPACE

TIMER: Final = "ebbwatch"
"""Who acts when a snooze ends."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def ended(cases: Iterable[Case], now: int) -> list[CaseReopened]:
    """Return a record for every snooze that has ended.

    Args:
        cases: The snoozed ones.
        now: Microseconds since 1970-01-01 UTC.
    """
    instant = _EPOCH + timedelta(microseconds=now)
    return [
        CaseReopened(
            id=str(uuid5(NAMESPACE, f"{case.id}\x1f{case.version}\x1fsnooze_ended")),
            case=case.id,
            by=TIMER,
            at=instant,
            seen=case.version,
            reason="snooze_ended",
        )
        for case in cases
        if case.until is not None and case.until <= instant
    ]
