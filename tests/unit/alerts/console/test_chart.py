from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.alerts.console.chart import (
    BAND,
    SPAN_DAYS,
    Chart,
    ChartDay,
    Span,
    chart,
)
from services.alerts.shown import AccountPage, AlertShown
from tests.unit.alerts.fakes import alert

DAY = date(2026, 5, 13)
USUAL = [100.0, 100.0, 100.0, 100.0, 64.0, 0.0, 0.0]
"""Monday first."""


def evidence(counts: list[float | None], **changes: Any) -> dict[str, Any]:
    """What judging writes beside a primitive's numbers; the last count is of `DAY`."""
    first = DAY - timedelta(days=len(counts) - 1)
    computed = {"from": first.isoformat(), "known": len(counts), "counts": counts, "masked": []}
    return {
        "metrics": ["api_calls"],
        "computed_from": computed | changes.pop("computed", {}),
    } | changes


def drawn(because: dict[str, Any] | None, timezone: str = "UTC", **page: Any) -> Chart | None:
    """The chart of an alert with this evidence."""
    fired = alert(because=because, day=DAY, fired_at=datetime(2026, 5, 14, 2, tzinfo=UTC))
    ended = page.pop("ended", DAY)
    return chart(AccountPage(account="acct_1", timezone=timezone, **page), fired, ended)


def days(found: Chart | None) -> tuple[ChartDay, ...]:
    assert found is not None
    return found.days


def test_the_values_are_those_that_the_alert_was_computed_from() -> None:
    found = drawn(evidence([5.0, None, 7.0]))

    assert found == Chart(
        title="api_calls a day",
        metric="api_calls",
        value="daily",
        usual="usual",
        days=(
            ChartDay(date(2026, 5, 11), 5.0),
            ChartDay(date(2026, 5, 12), None),
            ChartDay(date(2026, 5, 13), 7.0),
        ),
        fired=DAY,
    )


def test_days_before_the_first_known_one_are_no_noughts() -> None:
    found = days(drawn(evidence([0.0, 0.0, 4.0, 5.0], computed={"known": 2, "masked": [0, 3]})))

    assert [(one.on.day, one.value, one.masked) for one in found] == [
        (12, 4.0, None),
        (13, 5.0, ""),
    ]


def test_the_account_goes_on_where_the_evidence_ends() -> None:
    later = {"api_calls": {"2026-05-13": 8.0, "2026-05-15": 9.0}, "other": {"2026-05-15": 90.0}}
    found = days(drawn(evidence([6.0, 7.0]), days=later))

    # What came late for a day counts: the page shows the days as they are now.
    assert [one.value for one in found] == [6.0, 8.0, None, 9.0]


def test_metrics_that_were_added_up_go_on_added_up() -> None:
    because = evidence([6.0, 7.0]) | {"metrics": ["api_calls", "logins"]}
    later = {"api_calls": {"2026-05-14": 8.0}, "logins": {"2026-05-14": 2.0}}

    assert days(drawn(because, days=later))[-1].value == 10.0


def test_a_silence_goes_on_as_noughts_up_to_the_last_day_that_is_over() -> None:
    heard = datetime(2026, 5, 14, 7, tzinfo=UTC)
    found = days(drawn(evidence([6.0, 7.0]), ended=date(2026, 5, 17), last_event_at=heard))

    # Something came on the 14th, and nobody can tell what: no nought there.
    assert [one.value for one in found] == [6.0, 7.0, None, 0.0, 0.0, 0.0]


def test_another_series_that_knows_the_day_makes_it_a_nought() -> None:
    other = {"other": {"2026-05-15": 90.0}}
    found = days(drawn(evidence([6.0, 7.0]), days=other, ended=date(2026, 5, 16)))

    assert [one.value for one in found] == [6.0, 7.0, None, 0.0]


def test_nothing_is_told_of_an_account_that_is_held_back() -> None:
    heard = datetime(2026, 5, 13, 7, tzinfo=UTC)
    page: dict[str, Any] = {"last_event_at": heard, "quarantined": True}

    found = drawn(evidence([6.0, 7.0]), ended=date(2026, 5, 17), **page)

    assert days(found)[-1].on == DAY


def test_the_band_is_what_one_day_of_this_account_varies() -> None:
    because = evidence([1.0, 1.0, 1.0], usual_week=USUAL, dispersion=4.0, drift_sd=0.1)
    _, tuesday, wednesday = days(drawn(because))

    # sqrt(4 * 100 + (.1 * 100)^2) = sqrt(500)
    reach = BAND * 500**0.5
    assert (tuesday.low, tuesday.high) == (100 - reach, 100 + reach)
    assert wednesday.expected == 100.0


def test_nothing_is_usual_before_the_baseline_and_no_band_goes_below_nought() -> None:
    because = evidence(
        [1.0] * 4,
        usual_week=[*USUAL[:4], 1.0, 1.0, 1.0],
        dispersion=9.0,
        baseline={"from": "2026-05-11", "to": "2026-05-12", "days_used": 2},
    )
    found = days(drawn(because))

    assert [one.expected for one in found] == [None, 100.0, 100.0, 100.0]
    assert all(one.low is None or one.low >= 0 for one in found)


@pytest.mark.parametrize(
    "given, reason",
    [("2026-05-12", ""), ({"date": "2026-05-12", "reason": "public holiday"}, "public holiday")],
)
def test_masked_days_carry_their_reason(given: object, reason: str) -> None:
    because = evidence([1.0, 2.0, 3.0], masked_days=[given], computed={"masked": [1]})

    assert [one.masked for one in days(drawn(because))] == [None, reason, None]


@pytest.mark.parametrize(
    "timezone, day",
    [("UTC", 13), ("Asia/Tokyo", 13), ("America/New_York", 12), ("Nowhere/Land", 13)],
)
def test_it_was_raised_for_the_local_day_that_had_ended(timezone: str, day: int) -> None:
    # 02:00 UTC on the 14th is still the 13th in New York, whose 12th was judged that night.
    found = drawn(evidence([1.0, 2.0]), timezone)

    assert found is not None
    assert found.fired == date(2026, 5, day)


def test_thirteen_months_are_enough() -> None:
    long = {(DAY - timedelta(days=n)).isoformat(): 1.0 for n in range(500)}

    assert len(days(drawn(evidence([1.0, 2.0]), days={"api_calls": long}))) == SPAN_DAYS


def test_people_of_four_weeks_stand_beside_the_seats_and_no_days_go_on() -> None:
    whole = {"from": "2026-05-09", "known": 5, "counts": [30, 30, 40, 40, 40], "masked": []}
    because = evidence(
        [0.0, 0.0, 20.0, 21.0, 20.0],
        computed={"whole": whole},
        window={"from": "2026-05-11", "to": "2026-05-13", "days_used": 3},
        seats=40,
        metrics=["@people"],
    )
    later = {"@people": {"2026-05-12": 3.0, "2026-05-14": 4.0}}
    fired = alert(kind="seat_utilisation", object="@people", because=because, day=DAY)
    found = chart(AccountPage(account="a", days=later), fired, DAY + timedelta(days=3))

    assert days(found) == (
        ChartDay(date(2026, 5, 11), 20.0, 40.0),
        ChartDay(date(2026, 5, 12), 21.0, 40.0),
        ChartDay(date(2026, 5, 13), 20.0, 40.0),
    )
    assert found is not None
    assert (found.title, found.metric, found.value, found.usual) == (
        *("People active in four weeks", "active people", "active people", "seats"),
    )
    assert (found.compared, found.banded, found.masked) == (True, False, False)


def test_core_features_of_four_weeks_begin_when_four_weeks_are_known() -> None:
    because = evidence([0.0, 1.0, *[2.0] * 28], computed={"known": 29})
    later = {"api_calls": {"2026-05-12": 3.0, "2026-05-14": 4.0}}
    fired = alert(kind="breadth", object="activity", because=because, day=DAY)
    found = chart(AccountPage(account="a", days=later), fired, DAY + timedelta(days=3))

    assert days(found) == (ChartDay(date(2026, 5, 12), 2.0), ChartDay(date(2026, 5, 13), 2.0))
    assert found is not None
    assert (found.title, found.compared) == ("Core features used in four weeks", False)


def test_a_reserved_line_is_called_by_its_name() -> None:
    fired = alert(kind="ticket_spike", object="@tickets", because=evidence([1.0, 2.0]), day=DAY)
    found = chart(AccountPage(account="a"), fired, DAY)

    assert found is not None
    assert (found.title, found.metric) == ("Tickets a day", "Tickets")


@pytest.mark.parametrize("because", [None, {}, {"payment": "inv-1"}, evidence([3.0])])
def test_what_is_not_counted_daily_has_no_chart(because: dict[str, Any] | None) -> None:
    assert drawn(because) is None


def test_without_evidence_the_daily_values_are_drawn_alone() -> None:
    bare = AlertShown(**alert().model_dump() | {"because": None})
    page = AccountPage(account="a", days={"api_calls": {"2026-05-01": 1.0, "2026-05-02": 2.0}})
    found = chart(page, bare, DAY)

    assert [one.value for one in days(found)] == [1.0, 2.0]


def test_what_is_judged_and_what_it_is_compared_with_are_those_of_the_evidence() -> None:
    window = {"from": "2026-04-16", "to": "2026-05-13", "days_used": 27}
    baseline = {"from": "2025-10-16", "to": "2026-04-15", "days_used": 176}
    found = drawn(evidence([1.0, 2.0], window=window, baseline=baseline))

    assert found is not None
    assert (found.window, found.baseline) == (
        Span(date(2026, 4, 16), DAY),
        Span(date(2025, 10, 16), date(2026, 4, 15)),
    )
    odd = drawn(evidence([1.0, 2.0], window="of old", baseline={"from": None}))
    assert odd is not None
    assert (odd.window, odd.baseline) == (None, None)


def test_the_account_says_why_days_were_left_out_where_the_evidence_does_not() -> None:
    told = [{"date": "2026-05-12", "reason": "public holiday"}]
    because = evidence([1.0, 2.0, 3.0], masked_days=told, computed={"masked": [0, 1]})
    left = {
        "": {"2026-05-11": "Labor Day", "2026-05-12": "year end", "2026-05-13": "closure"},
        "api_calls": {"2026-05-14": "no data from its source"},
        "exports": {"2026-05-15": "no data from its source"},
    }
    later = {"api_calls": {"2026-05-14": 4.0, "2026-05-15": 5.0}}
    found = days(drawn(because, left_out=left, days=later))

    # What the rule counted, it counted: a closure that was declared later was not left out.
    assert [one.masked for one in found] == [
        *("Labor Day", "public holiday", None, "no data from its source", None)
    ]
