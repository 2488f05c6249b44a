from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from services.alerts.console.chart import JUDGED_DAYS, Chart, ChartDay, Span
from services.alerts.console.evidence import Number
from services.alerts.console.watched import METRICS, Watched, falling, watched
from services.alerts.shown import AccountPage, UsualShown
from tests.unit.alerts.fakes import alert

DAY = date(2026, 5, 13)
"""A Wednesday."""
USUAL = UsualShown(week=[100, 100, 100, 100, 64, 0, 0], dispersion=4, swing=0.1)


def page(days: dict[str, dict[str, float]], **changes: Any) -> AccountPage:
    """An account of which these metrics are watched, and perhaps others."""
    known: dict[str, Any] = {"states": dict.fromkeys(days, "ok")} | changes
    return AccountPage(account="acct_1", days=days, **known)


def back(value: float, days: int, last: date = DAY) -> dict[str, float]:
    """The same on each of some days."""
    return {(last - timedelta(days=n)).isoformat(): value for n in range(days - 1, -1, -1)}


def only(found: list[Watched]) -> Watched:
    (one,) = found
    return one


def told(found: list[Watched]) -> dict[str, str]:
    return {one.name: one.value for one in only(found).numbers}


def test_a_summary_of_before_draws_its_days_alone() -> None:
    heard = datetime(2026, 5, 12, 9, tzinfo=UTC)
    known = page(
        {"logins": {"2026-05-10": 5.0, "2026-05-12": 7.0}},
        last_event_at=heard,
        least={"logins": 22},
    )

    assert watched(known, DAY) == [
        Watched(
            metric="logins",
            chart=Chart(
                title="logins a day",
                metric="logins",
                value="daily",
                usual="usual",
                days=(
                    ChartDay(date(2026, 5, 10), 5.0),
                    ChartDay(date(2026, 5, 11), None),
                    ChartDay(date(2026, 5, 12), 7.0),
                    ChartDay(date(2026, 5, 13), 0.0),
                ),
            ),
            numbers=[Number("Now", "judged at the end of each day")],
            masked=[],
        )
    ]


def test_a_metric_of_one_day_or_that_is_not_watched_has_no_chart() -> None:
    two = {"2026-05-12": 1.0, "2026-05-13": 2.0}
    assert watched(page({"logins": two}, states={}), DAY) == []
    assert watched(page({"logins": {"2026-05-13": 2.0}}), DAY) == []


def test_the_charts_of_an_account_do_not_grow_with_its_metrics_and_years() -> None:
    long = back(1.0, JUDGED_DAYS + 50)
    found = watched(page({f"m{n}": long for n in range(METRICS + 3)}), DAY)

    assert [one.metric for one in found] == [f"m{n}" for n in range(METRICS)]
    assert {len(one.chart.days) for one in found} == {JUDGED_DAYS}
    assert found[0].chart.days[-1].on == DAY


def test_what_is_usual_stands_beside_the_days_as_in_an_alert() -> None:
    left = {
        "": {"2026-05-01": "Labor Day", "2026-01-01": "New Year's Day"},
        "calls": {"2026-05-05": "no data from its source"},
        "other": {"2026-05-06": "no data from its source"},
    }
    known = page({"calls": back(90, 250)}, usual={"calls": USUAL}, left_out=left)
    found = only(watched(known, DAY))
    shown = {one.on: one for one in found.chart.days}

    assert (found.chart.window, found.chart.baseline) == (
        Span(date(2026, 4, 16), DAY),
        Span(date(2025, 10, 16), date(2026, 4, 15)),
    )
    # sqrt(4 * 100 + (.1 * 100)^2) = sqrt(500)
    reach = 1.645 * 500**0.5
    assert shown[DAY] == ChartDay(DAY, 90, 100, 100 - reach, 100 + reach)
    assert [shown[date(2026, 5, n)].masked for n in (1, 5, 6)] == [
        *("Labor Day", "no data from its source", None)
    ]
    assert found.masked == [
        Number("1 May 2026", "Labor Day"),
        Number("5 May 2026", "no data from its source"),
    ]


def test_the_numbers_answer_why_nobody_was_told() -> None:
    known = page(
        {"calls": back(90, 250)},
        usual={"calls": USUAL},
        least={"calls": 22},
        left_out={"": {"2026-05-01": "Labor Day", "2026-01-01": "New Year's Day"}},
    )

    # Four weeks of 464 less a Friday of 64: 1,792. 27 days of 90: 2,430.
    assert told(watched(known, DAY)) == {
        "Now": "judged at the end of each day",
        "Observed": "2,430 units",
        "Usual": "1,792 units",
        "Change": "+36 %",
        "Window": "16 April to 13 May 2026, 27 days counted",
        "Compared with": "16 October 2025 to 15 April 2026, 181 days counted",
        "Natural swings": "±10 %",
        "Smallest fall told": "22 %",
    }


@pytest.mark.parametrize(
    "state, now, smallest",
    [
        ("too_little_volume", "too little volume to tell, but for the largest falls", None),
        ("holiday", "waits: too few ordinary days in the last four weeks", None),
        ("ok", "judged at the end of each day", "22 %"),
    ],
)
def test_the_smallest_fall_is_told_where_it_is_one(
    state: str, now: str, smallest: str | None
) -> None:
    known = page(
        {"calls": back(90, 250)},
        states={"calls": state},
        usual={"calls": USUAL},
        least={"calls": 22},
    )
    found = told(watched(known, DAY))

    assert (found["Now"], found.get("Smallest fall told")) == (now, smallest)


def test_what_is_still_learned_says_since_when_it_is_known() -> None:
    known = page({"calls": back(90, 40)}, states={"calls": "warming_up"})

    assert told(watched(known, DAY)) == {
        "Now": "learning: 112 days with this customer are needed first",
        "Known since": "4 April 2026",
    }


def test_where_no_data_come_there_are_no_noughts() -> None:
    known = page(
        {"calls": back(90, 250, date(2026, 5, 11))},
        states={"calls": "no_data"},
        usual={"calls": USUAL},
        last_event_at=datetime(2026, 5, 11, 9, tzinfo=UTC),
    )
    found = watched(known, DAY)
    last = [(one.on.day, one.value, one.masked) for one in only(found).chart.days[-3:]]

    why = "no data from its source"
    assert last == [(11, 90, None), (12, None, why), (13, None, why)]
    assert told(found)["Now"] == "no data from its source: nothing is judged, nothing clears"
    assert told(found)["Window"] == "16 April to 13 May 2026, 26 days counted"


def test_of_tickets_no_fall_is_told() -> None:
    usual = {"@tickets": USUAL}
    found = watched(page({"@tickets": back(2, 250)}, usual=usual, least={"@tickets": 40}), DAY)

    assert list(told(found)) == ["Now"]
    assert (only(found).chart.window, only(found).chart.banded) == (None, False)


def test_a_fall_that_was_told_says_when_and_how_it_ended() -> None:
    ended = alert(
        object="calls",
        fired_at=datetime(2026, 2, 3, 2, tzinfo=UTC),
        cleared_at=datetime(2026, 4, 28, 2, tzinfo=UTC),
        reason="new_normal",
    )
    others = [alert(object="logins"), alert(object="calls", shadow=True)]
    known = page({"calls": back(90, 40)}, alerts=[*others, ended])
    assert told(watched(known, DAY))["Told last"] == (
        "3 February 2026, over 28 April 2026: it is the new normal"
    )
    still = page({"calls": back(90, 40)}, alerts=[alert(object="calls"), ended])
    assert told(watched(still, DAY))["Told last"] == "14 May 2026"


def test_a_fall_is_on_watch_until_it_is_told() -> None:
    known = page({"calls": back(90, 40), "logins": back(9, 40)}, watch=["calls"])
    found = watched(known, DAY)
    assert [one.numbers[0].value for one in found] == [
        *("watch: falling, not yet certain", "judged at the end of each day")
    ]
    raised = known.model_copy(update={"alerts": [alert(object="calls")]})
    shadow = known.model_copy(update={"alerts": [alert(object="calls", shadow=True)]})
    assert [set(falling(one)) for one in (known, raised, shadow)] == [{"calls"}, set(), {"calls"}]
