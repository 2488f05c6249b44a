from datetime import UTC, date, datetime, timedelta

import pytest

from services.alerts import daily

MONTHS = {
    "2026-04": {"usage": [0.0] * 28 + [5.0, 0.0]},
    "2026-05": {"usage": [float(n) for n in range(1, 32)], "none": [0.0] * 31},
}


def test_a_page_draws_from_the_first_value_to_the_last_day_that_is_over() -> None:
    assert daily.by_date(MONTHS, date(2026, 5, 2)) == {
        "usage": {"2026-04-29": 5.0, "2026-04-30": 0.0, "2026-05-01": 1.0, "2026-05-02": 2.0}
    }


@pytest.mark.parametrize(
    "hour, zone, day",
    [
        (1, "UTC", 12),  # 01:00 on the 14th: the 13th is not judged yet
        (2, "UTC", 13),
        (2, None, 13),
        (2, "no/such zone", 13),
        (2, "../../etc/passwd", 13),
        (14, "Pacific/Kiritimati", 14),  # UTC+14: 04:00 on the 15th
        (2, "Pacific/Pago_Pago", 12),  # UTC-11: 15:00 on the 13th
    ],
)
def test_a_day_is_over_two_hours_after_local_midnight(
    hour: int, zone: str | None, day: int
) -> None:
    now = datetime(2026, 5, 14, hour, tzinfo=UTC)
    assert daily.ended_day(now, zone) == date(2026, 5, day)


def test_a_sparkline_is_28_days_that_are_over() -> None:
    line = daily.spark(MONTHS, "usage", date(2026, 5, 13), date(2026, 5, 14))
    assert line == [0.0] * 13 + [5.0, 0.0] + [float(n) for n in range(1, 14)]
    earlier = daily.spark(MONTHS, "usage", date(2026, 5, 12), date(2026, 5, 14))
    assert earlier == [0.0, *line[:-1]]


def test_months_that_are_not_known_are_gaps() -> None:
    may = {"2026-05": MONTHS["2026-05"]}
    line = daily.spark(may, "usage", date(2026, 5, 2), date(2026, 5, 14))
    assert line == [None] * 26 + [1.0, 2.0]


def test_what_is_no_metric_shows_all_of_them_without_people() -> None:
    may = {"2026-05": {"a": [1.0] * 31, "b": [2.0] * 31, "@people": [9.0] * 31}}
    line = daily.spark(may, "activity", date(2026, 5, 2), date(2026, 5, 14))
    assert line == [None] * 26 + [3.0, 3.0]
    people = daily.spark(may, "@people", date(2026, 5, 2), date(2026, 5, 14))
    assert people == [None] * 26 + [9.0, 9.0]


@pytest.mark.parametrize("day", range(1, 32))
def test_the_months_that_are_read_hold_every_day_of_a_sparkline(day: int) -> None:
    today = date(2026, 3, day)
    read = daily.spark_months(today)
    ends = [today - timedelta(days=back) for back in (1, 2)]
    days = [end - timedelta(days=back) for end in ends for back in range(28)]
    assert {one.isoformat()[:7] for one in days} <= set(read)
