"""One alert of the company in place of many of its accounts, by one partition. Pure."""

from typing import Any, Final

from schemas.alerts import (
    SEVERITIES,
    AccountNow,
    Alert,
    AlertCleared,
    AlertEased,
    AlertRaised,
    AlertWorsened,
)
from schemas.envelope import COMPANY
from services.detector import explanation, fleet
from services.detector.calendars import instant, to_date
from services.detector.episode import Change
from services.detector.fleet import KIND, OBJECT, RULE, Look, Shared
from services.detector.ledger import Ledger
from services.detector.peers import FALLEN_RATIO
from services.detector.pending import Pending
from services.detector.raising import Judgement

HASH: Final = 1332709506
"""Kafka's hash of `company`: that subject is at home in partition `HASH % partitions`."""

LATER_DAYS = 2
"""A day is judged by what all partitions have said of the one so long before (design.md §5.4)."""

_RECORDS: Final[dict[str, type[Alert]]] = {
    "raised": AlertRaised,
    "worsened": AlertWorsened,
    "eased": AlertEased,
    "cleared": AlertCleared,
}


class Incidents:
    """Watches for falls that many accounts share.

    Every partition does, from the same counts, so that each holds back the alerts of its own
    accounts; the partition where the company is at home tells people.

    Args:
        number: The partition.
        ledger: What all partitions have said, and what is remembered of it.
        pending: Takes the alert.
    """

    def __init__(self, number: int, ledger: Ledger, pending: Pending) -> None:
        self._home = number == HASH % ledger.record.partitions
        self._ledger = ledger
        self._pending = pending

    def on(self, day: int, due: int, offset: int) -> Shared | None:
        """Return the shared fall by which a day is judged, which is looked for first.

        Args:
            day: The judged local day.
            due: When it was due, microseconds since 1970-01-01 UTC.
            offset: The message that brought it.
        """
        known = self._ledger.record.fleet
        found = fleet.step(known, day, self._ledger.part(COMPANY, day - LATER_DAYS))
        if found is not None and self._home:
            record = self._record(day, due, offset, *found)
            self._pending.collect(Judgement(alerts=[record]), self._ledger.record.clock)
        return known.on(day)

    def _record(self, day: int, due: int, offset: int, found: Look, change: Change) -> Alert:
        known = self._ledger.record.fleet
        told, shared = known.episode, known.on(day)
        assert told is not None
        assert shared is not None
        because = _because(found, shared, day)
        text = {
            "title": "Many customers fell at once",
            "play": "check-product",
            "headline": explanation.headline(KIND, OBJECT, because),
            "text": explanation.explain(KIND, OBJECT, because),
        }
        fields: dict[str, Any] = {
            "alert_id": shared.alert_id,
            "account": COMPANY,
            "rule": RULE,
            "rule_set": self._ledger.record.rules,
            "kind": KIND,
            "object": OBJECT,
            "day": to_date(day),
            "fired_at": instant(due),
            "severity": SEVERITIES[told.severity],
            "category": "early_signals",
            "churn_kind": "voluntary",
            "historic": self._ledger.record.mode == "importing",
            "account_now": AccountNow(stamp=offset, name="All customers"),
            "because": because | text,
        }
        if change.reason is not None:
            fields["reason"] = change.reason
        return _RECORDS[change.kind](**fields)


def _because(found: Look, shared: Shared, day: int) -> dict[str, Any]:
    """Return the evidence of an incident; shares are of 1."""
    return {
        "window": {
            "from": to_date(day - LATER_DAYS - 13).isoformat(),
            "to": to_date(day - LATER_DAYS).isoformat(),
        },
        "since": to_date(shared.since).isoformat(),
        "accounts_told": found.told,
        "accounts_fallen": found.fallen,
        "share": found.share / 1000,
        "ordinary_share": found.ordinary / 1000,
        "common_share": found.common / 1000,
        "median_ratio": found.median / 100,
        "median_ratio_fallen": found.depth / 100,
        "thresholds_in_force": {
            "common_share": fleet.SHARE / 1000,
            "clear": fleet.CLEAR / 1000,
            "fallen_ratio": FALLEN_RATIO,
        },
    }
