"""What the alert log says now: one standing per alert, open or cleared. Pure."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from schemas.alerts import SEVERITIES, Alert
from services.alerts.cases.standing import Standing, begin

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def fold(records: Iterable[Alert]) -> dict[str, Standing]:
    """Return the standing of every alert, by its id; times are those that the records carry.

    Args:
        records: Records of the alert log; those of one account in the order of the log, accounts
            mixed as they come. A record that comes twice changes nothing.
    """
    standings: dict[str, Standing] = {}
    for record in records:
        at = (record.fired_at - _EPOCH) // timedelta(microseconds=1)
        known = standings.get(record.alert_id)
        standings[record.alert_id] = begin(record, at) if known is None else known.take(record, at)
    return standings


def ranked(standings: Iterable[Standing]) -> list[Standing]:
    """Return standings as a person should see them: the worst first, of equals the newest."""
    newest = sorted(
        standings, key=lambda one: (one.first.fired_at, one.first.alert_id), reverse=True
    )
    return sorted(newest, key=lambda one: -SEVERITIES.index(one.latest.severity))
