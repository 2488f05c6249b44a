from datetime import UTC, date, datetime
from typing import Any

import pytest

from schemas.alerts import (
    AccountNow,
    Alert,
    AlertCleared,
    AlertEased,
    AlertRaised,
    AlertRecord,
    AlertWorsened,
)
from services.alerts.cases.standing import begin
from services.commands.alerts import render, render_standing

NOW = AccountNow(
    stamp=7,
    owner="ana",
    name="Acme",
    arr=12_000_000,
    currency="EUR",
    renewal_on=date(2026, 8, 1),
)
BECAUSE = {
    "title": "Usage fell",
    "play": "check-integration",
    "headline": "usage (api_calls) fell 31 % in 28 days",
    "since_estimate": "2026-04-18",
    "text": "Usage (api_calls) was 6,210 in the 28 days to 14 May 2026; 8,940 would be usual for "
    "these weekdays (−31 %).",
}


def record(of: type[AlertRecord] = AlertRaised, **changed: Any) -> Alert:
    fields: dict[str, Any] = {
        "alert_id": "0b0f",
        "account": "acct_42",
        "rule": "usage-drop",
        "rule_set": 17,
        "kind": "usage_drop",
        "object": "api_calls",
        "day": date(2026, 5, 14),
        "fired_at": datetime(2026, 5, 15, 2, tzinfo=UTC),
        "severity": "high",
        "category": "early_signals",
        "churn_kind": "voluntary",
        "historic": False,
        "account_now": NOW,
        "because": BECAUSE,
    }
    alert: Alert = of(**fields | changed)  # type: ignore[assignment]
    return alert


def test_an_alert_says_who_what_since_when_whose_how_much_and_why() -> None:
    assert render(record()) == (
        "HIGH  Acme (acct_42): usage (api_calls) fell 31 % in 28 days\n"
        "    since 18 April 2026 · owner ana · EUR 120,000.00 a year · renewal 1 August 2026"
        " · rule usage-drop\n"
        "    Usage (api_calls) was 6,210 in the 28 days to 14 May 2026; 8,940 would be usual for"
        " these\n"
        "    weekdays (−31 %).\n"
        "    next step: check integration"
    )


def test_what_nobody_knows_is_left_out() -> None:
    bare = record(account_now=AccountNow(stamp=0), because={})
    assert render(bare) == (
        "HIGH  acct_42: usage-drop\n    since 14 May 2026 · no owner · rule usage-drop"
    )


@pytest.mark.parametrize(
    "alert, mark",
    [
        (record(severity="critical"), "CRITICAL  "),
        (record(historic=True), "HIGH [historic]  "),
        (record(shadow=True), "HIGH [shadow]  "),
        (record(AlertWorsened), "HIGH (worse)  "),
        (record(AlertEased), "HIGH (less than before)  "),
        (record(AlertCleared, reason="recovered"), "CLEARED (recovered)  "),
        (
            record(AlertCleared, reason="superseded", historic=True),
            "CLEARED (another alert or rule set took its place) [historic]  ",
        ),
    ],
)
def test_what_kind_of_record_it_is_comes_first(alert: Alert, mark: str) -> None:
    assert render(alert).startswith(mark)


def test_a_cleared_alert_ends_with_how_and_when() -> None:
    cleared = record(AlertCleared, reason="new_normal", day=date(2026, 8, 6))
    assert isinstance(cleared, AlertCleared)
    told = render_standing(begin(record(), 0).take(cleared, 0))
    assert told == render(record()) + "\n    cleared: it is the new normal, on 6 August 2026"
    assert render_standing(begin(record(), 0)) == render(record())


def test_no_word_of_an_alert_does_anything_to_a_terminal_or_forges_a_line() -> None:
    evil = "\x1b]0;owned\x07\nHIGH  forged\u202e"
    now = AccountNow(stamp=7, owner=evil, name=evil, arr=100, currency="E\x9b")
    because = {"headline": evil, "text": evil, "play": evil}
    told = render(record(account=evil, account_now=now, because=because, rule=evil))
    shown = "�]0;owned��HIGH  forged�"
    assert told == (
        f"HIGH  {shown} ({shown}): {shown}\n"
        f"    since 14 May 2026 · owner {shown} · E� 1.00 a year · rule {shown}\n"
        f"    {shown}\n"
        f"    next step: {shown}"
    )
