from collections.abc import Iterable
from datetime import UTC, date, datetime, timedelta
from typing import Any

from schemas.alerts import AccountNow, Alert, AlertCleared, AlertEased, AlertRaised, AlertWorsened
from services.alerts.cases.open_alerts import fold, ranked


def fields(alert_id: str, day: int, severity: str = "medium") -> dict[str, Any]:
    return {
        "alert_id": alert_id,
        "account": f"account of {alert_id}",
        "rule": "usage-drop",
        "rule_set": 1,
        "kind": "usage_drop",
        "object": "usage",
        "day": date(2026, 5, 1) + timedelta(days=day),
        "fired_at": datetime(2026, 5, 2, 2, tzinfo=UTC) + timedelta(days=day),
        "severity": severity,
        "category": "early_signals",
        "churn_kind": "voluntary",
        "historic": False,
        "account_now": AccountNow(stamp=day),
        "because": {},
    }


RAISED = AlertRaised(**fields("a", 0))
WORSENED = AlertWorsened(**fields("a", 3, "high"))
EASED = AlertEased(**fields("a", 9, "medium"))
CLEARED = AlertCleared(**fields("a", 20, "medium"), reason="recovered")
OTHER = AlertRaised(**fields("b", 5))


def left(records: Iterable[Alert]) -> dict[str, tuple[Alert, Alert, Alert | None]]:
    return {id: (one.first, one.latest, one.cleared) for id, one in fold(records).items()}


def test_an_alert_stands_as_its_newest_record_leaves_it_since_its_first() -> None:
    assert left([RAISED, OTHER, WORSENED]) == {
        "a": (RAISED, WORSENED, None),
        "b": (OTHER, OTHER, None),
    }
    assert left([RAISED, WORSENED, EASED]) == {"a": (RAISED, EASED, None)}


def test_a_cleared_alert_keeps_how_bad_it_was_and_how_it_ended() -> None:
    assert left([RAISED, WORSENED, CLEARED]) == {"a": (RAISED, WORSENED, CLEARED)}
    assert not fold([RAISED, WORSENED, CLEARED])["a"].open


def test_a_record_that_comes_twice_changes_nothing() -> None:
    once: list[Alert] = [RAISED, OTHER, WORSENED, CLEARED]
    assert fold([one for record in once for one in (record, record)]) == fold(once)


def test_accounts_may_come_in_any_order() -> None:
    assert fold([OTHER, RAISED, WORSENED]) == fold([RAISED, WORSENED, OTHER])


def test_an_alert_whose_raising_the_log_has_forgotten_stands_with_what_is_left() -> None:
    assert left([WORSENED, EASED]) == {"a": (WORSENED, EASED, None)}
    assert left([CLEARED]) == {"a": (CLEARED, CLEARED, CLEARED)}


def test_the_worst_comes_first_and_of_equals_the_newest() -> None:
    found = fold(
        [
            AlertRaised(**fields("old medium", 1)),
            AlertRaised(**fields("low", 9, "low")),
            AlertRaised(**fields("new medium", 5)),
            AlertRaised(**fields("critical", 0, "critical")),
        ]
    )
    order = [one.first.alert_id for one in ranked(found.values())]
    assert order == ["critical", "new medium", "old medium", "low"]
