"""Alert records, in any order of partitions, as the life of each alert."""

from collections.abc import Iterable
from datetime import datetime
from operator import attrgetter
from typing import Any

from schemas.alerts import (
    SEVERITIES,
    Alert,
    AlertCleared,
    AlertRaised,
    AlertWorsened,
)
from services.backtest.outcome import Row, Sent


class Lives:
    """The alerts of a backtest, by id."""

    def __init__(self) -> None:
        """Begin without an alert."""
        self._rows: dict[str, Row] = {}
        self._changes: list[Alert] = []

    def take(self, told: Iterable[Sent]) -> None:
        """Take records over, those of one alert in their order."""
        for alert, segment in told:
            if isinstance(alert, AlertRaised):
                self._rows[alert.alert_id] = _row(alert, segment)
            else:
                self._changes.append(alert)

    def rows(self, until: datetime | None = None) -> list[Row]:
        """Return the alerts by (fired_at, account, rule).

        Args:
            until: What came to pass by then is told, as if nothing had come afterwards; aware.
                None for all of it.
        """
        found = {
            id_: row for id_, row in self._rows.items() if until is None or row.fired_at < until
        }
        for alert in self._changes:
            known = found.get(alert.alert_id)
            if known is not None and (until is None or alert.fired_at < until):
                found[alert.alert_id] = _changed(known, alert)
        return sorted(
            found.values(), key=attrgetter("fired_at", "account", "rule", "object", "alert_id")
        )


def _changed(known: Row, alert: Alert) -> Row:
    if isinstance(alert, AlertWorsened):
        return known._replace(worst=max(known.worst, alert.severity, key=SEVERITIES.index))
    if isinstance(alert, AlertCleared):
        return known._replace(cleared_at=alert.fired_at, cleared_on=alert.day, reason=alert.reason)
    return known


def _row(alert: AlertRaised, segment: str | None) -> Row:
    now, because = alert.account_now, alert.because
    return Row(
        alert_id=alert.alert_id,
        account=alert.account,
        rule=alert.rule,
        rule_set=alert.rule_set,
        kind=alert.kind,
        object=alert.object,
        severity=alert.severity,
        worst=alert.severity,
        fired_at=alert.fired_at,
        day=alert.day,
        cleared_at=None,
        cleared_on=None,
        reason=None,
        shadow=alert.shadow,
        owner=now.owner,
        segment=segment,
        arr=now.arr,
        currency=now.currency,
        headline=str(because.get("headline", "")),
        text=str(because.get("text", "")),
        ratio=_number(because.get("ratio")),
        probability=_number(because.get("probability")),
        observed=_number(because.get("observed")),
        expected=_number(because.get("expected")),
    )


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
