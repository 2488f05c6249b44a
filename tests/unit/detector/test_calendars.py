from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector import calendars
from services.detector.calendars import HOUR_US, due_at, local_day, starts_at, to_day

ZONES = (
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Asia/Kolkata",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Africa/Cairo",
    "Atlantic/Azores",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
)
SINCE_2012 = st.integers(to_day(date(2012, 1, 1)), to_day(date(2030, 1, 1)))


def utc(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


@given(st.sampled_from(ZONES), SINCE_2012, st.integers(0, 24 * 3600 - 1))
def test_a_local_day_is_the_date_on_the_wall(zone: str, day: int, second: int) -> None:
    at = day * 86_400 + second
    wall = datetime.fromtimestamp(at, UTC).astimezone(ZoneInfo(zone)).date()
    assert local_day(zone, at * 1_000_000) == to_day(wall)


@given(st.sampled_from(ZONES), SINCE_2012)
def test_a_day_begins_with_its_first_moment(zone: str, day: int) -> None:
    begin = starts_at(zone, day)
    assert (local_day(zone, begin - 1), local_day(zone, begin)) == (day - 1, day)


@pytest.mark.parametrize(
    "zone, on, begins, due",
    [
        # 24 hours, and two of grace
        ("UTC", "2026-05-14", "2026-05-14T00:00", "2026-05-15T02:00"),
        # 23 hours: the clocks go forward on 29 March
        ("Europe/Berlin", "2026-03-29", "2026-03-28T23:00", "2026-03-30T00:00"),
        # 25 hours: they go back on 25 October
        ("Europe/Berlin", "2026-10-25", "2026-10-24T22:00", "2026-10-26T01:00"),
        ("Asia/Kolkata", "2026-05-14", "2026-05-13T18:30", "2026-05-14T20:30"),
        # Midnight does not exist: the day begins at one
        ("America/Sao_Paulo", "2018-11-04", "2018-11-04T03:00", "2018-11-05T04:00"),
        # Midnight comes twice: the day begins with the first
        ("Atlantic/Azores", "2026-10-25", "2026-10-25T00:00", "2026-10-26T03:00"),
        # Samoa left 30 December 2011 out: it lasts no time at all
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00", "2011-12-30T12:00"),
    ],
)
def test_a_day_is_due_two_hours_after_the_first_moment_of_the_next(
    zone: str, on: str, begins: str, due: str
) -> None:
    day = to_day(date.fromisoformat(on))
    assert (starts_at(zone, day), due_at(zone, day)) == (utc(begins), utc(due))


@pytest.mark.parametrize(
    "zone, exists",
    [
        ("Europe/Berlin", True),
        ("UTC", True),
        ("", False),
        ("Mars/Olympus", False),
        ("Europe", False),
        ("../etc/passwd", False),
        ("a\x00b", False),
        ("\udc80", False),
    ],
)
def test_a_zone_exists_only_by_its_name(zone: str, exists: bool) -> None:
    assert calendars.zone_exists(zone) is exists


@pytest.mark.parametrize(
    "country, on, reason",
    [
        (None, "2026-05-14", None),
        (None, "2026-12-19", None),
        (None, "2026-12-20", "year end"),
        (None, "2026-01-03", "year end"),
        (None, "2026-01-04", None),
        ("DE", "2026-10-03", "German Unity Day"),
        ("DE", "2026-01-06", None),
        ("DE-BY", "2026-01-06", "Epiphany"),
        ("US", "2026-11-26", "Thanksgiving Day"),
        ("US", "2026-11-27", "Day after Thanksgiving"),
        ("ZZ", "2026-10-03", None),
        ("DE-XX", "2026-10-03", None),
    ],
)
def test_a_day_is_no_ordinary_day_for_a_reason(
    country: str | None, on: str, reason: str | None
) -> None:
    assert calendars.reason(country, to_day(date.fromisoformat(on))) == reason


def test_the_mask_ends_with_the_day_and_cannot_be_written() -> None:
    # 22, 23, 24 December are at the year's end; 18 and 19 are not
    masked = calendars.mask(None, to_day(date(2026, 12, 22)), 5)
    assert masked.tolist() == [False, False, True, True, True]
    with pytest.raises(ValueError, match="read-only"):
        masked[0] = True
    assert masked.dtype == np.bool_


@given(SINCE_2012)
def test_numbers_dates_and_weekdays_agree(day: int) -> None:
    on = calendars.to_date(day)
    assert (to_day(on), calendars.weekday(day)) == (day, on.weekday())
    assert calendars.instant(day * 24 * HOUR_US).date() == on


@pytest.mark.parametrize("language", ["C", "de_DE.UTF-8", "th_TH.UTF-8", "pt_BR.UTF-8"])
def test_no_holiday_depends_on_the_language_of_this_shell(
    language: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, language)
    found = {
        country: calendars.public_holidays.__wrapped__(country, 2026)
        for country in ("DE", "US", "PT", "JP", "IL", "CA-QC")
    }
    for name in ("LANGUAGE", "LC_ALL", "LC_MESSAGES", "LANG"):
        monkeypatch.setenv(name, "en_US.UTF-8")
    for country, days in found.items():
        assert days == calendars.public_holidays.__wrapped__(country, 2026)
    assert found["US"][to_day(date(2026, 11, 27))] == "Day after Thanksgiving"
