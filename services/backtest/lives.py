"""Alert records, in any order of partitions, as the life of each alert."""

from collections.abc import Iterable
from operator import attrgetter
from typing import Any

from schemas.alerts import (
    SEVERITIES,
    Alert,
    AlertCleared,
    AlertRaised,
    AlertWorsened,
)
from services.backtest.outcome import Row
from services.backtest.worker import Told


class Lives:
    """The alerts of a backtest, by id."""

    def __init__(self) -> None:
        """Begin without an alert."""
        self._rows: dict[str, Row] = {}

    def take(self, told: Iterable[Told]) -> None:
        """Take records over, those of one alert in their order."""
        for alert, segment in told:
            known = self._rows.get(alert.alert_id)
            if isinstance(alert, AlertRaised):
                self._rows[alert.alert_id] = _row(alert, segment)
            elif known is not None:
                self._rows[alert.alert_id] = _changed(known, alert)

    def rows(self) -> list[Row]:
        """Return the alerts by (fired_at, account, rule)."""
        return sorted(
            self._rows.values(), key=attrgetter("fired_at", "account", "rule", "object", "alert_id")
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
