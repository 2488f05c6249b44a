"""Local days, their ends, and days that are no ordinary days (design.md §5.3, detection.md §0)."""

from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

import holidays
import numpy as np
from numpy.typing import NDArray

DAY_US = 86_400_000_000
HOUR_US = 3_600_000_000
QUARTER_US = 900_000_000
GRACE = timedelta(hours=2)
"""A day is judged this long after the next local day began, so that late events are in it."""

GRACE_US = GRACE // timedelta(microseconds=1)

LANGUAGE = "en_US"
"""In which holidays are named, where they have a name in it."""

_EPOCH = date(1970, 1, 1)
_EPOCH_AT = datetime(1970, 1, 1, tzinfo=UTC)


def to_date(day: int) -> date:
    """Return the date of a day number.

    >>> to_date(0).isoformat()
    '1970-01-01'
    """
    return _EPOCH + timedelta(days=day)


def to_day(on: date) -> int:
    """Return the day number of a date, days since 1970-01-01."""
    return (on - _EPOCH).days


def instant(at_us: int) -> datetime:
    """Return microseconds since 1970 as an aware UTC time."""
    return _EPOCH_AT + timedelta(microseconds=at_us)


def weekday(day: int) -> int:
    """Return the weekday of a day number, Monday 0 to Sunday 6.

    >>> weekday(0)
    3
    """
    return (day + 3) % 7


@lru_cache(1024)
def zone_exists(zone: str) -> bool:
    """Tell whether the time zone database knows a name, the same on every machine."""
    return zone in _zones()


@lru_cache(1)
def _zones() -> frozenset[str]:
    return frozenset(available_timezones() - {"localtime", "posixrules", "Factory"})


def local_day(zone: str, at_us: int) -> int:
    """Return the local day in which an instant lies.

    Args:
        zone: IANA name.
        at_us: Microseconds since 1970-01-01 UTC.

    >>> local_day("America/New_York", DAY_US + 4 * HOUR_US)
    0
    """
    if zone == "UTC":
        return at_us // DAY_US
    return (at_us + _offset_us(zone, at_us // QUARTER_US)) // DAY_US


@lru_cache(1 << 16)
def _offset_us(zone: str, quarter: int) -> int:
    """Offset from UTC in a quarter of an hour: nearly all changes fall on such boundaries."""
    offset = instant(quarter * QUARTER_US).astimezone(ZoneInfo(zone)).utcoffset()
    return 0 if offset is None else offset // timedelta(microseconds=1)


@lru_cache(1 << 14)
def starts_at(zone: str, day: int) -> int:
    """Return when a local day begins, in microseconds since 1970-01-01 UTC."""
    midnight = datetime.combine(to_date(day), time(), ZoneInfo(zone))
    return (midnight.astimezone(UTC) - _EPOCH_AT) // timedelta(microseconds=1)


@lru_cache(1 << 14)
def due_at(zone: str, day: int) -> int:
    """Return when a local day may be judged: `GRACE` after its end, in microseconds UTC."""
    return starts_at(zone, day + 1) + GRACE_US


@lru_cache(256)
def public_holidays(country: str, year: int) -> dict[int, str]:
    """Return the public holidays of a country or subdivision, by day number.

    Args:
        country: ISO 3166-1 (`PT`) or 3166-2 (`DE-BY`); one that the package does not know has none.
        year: The year.

    Source: the package `holidays`; in the US the day after Thanksgiving counts too, as offices
    are closed (detection.md's prototype).
    """
    code, _, subdivision = country.partition("-")
    try:
        known = holidays.country_holidays(code, subdiv=subdivision or None)
        # Left open, the language is that of the process's environment.
        language = LANGUAGE if LANGUAGE in known.supported_languages else known.default_language
        found = holidays.country_holidays(
            code, subdiv=subdivision or None, years=year, language=language
        )
    except NotImplementedError:
        return {}
    named = {to_day(on): name for on, name in found.items()}
    if code == "US":
        bridge = [day + 1 for day, name in named.items() if "Thanksgiving" in name]
        named.update(dict.fromkeys(bridge, "Day after Thanksgiving"))
    return named


def year_end(on: date) -> bool:
    """Tell whether a date lies between 20 December and 3 January."""
    return (on.month == 12 and on.day >= 20) or (on.month == 1 and on.day <= 3)


def reason(country: str | None, day: int) -> str | None:
    """Return why a day is no ordinary day in a country, or None."""
    on = to_date(day)
    if country and (name := public_holidays(country, on.year).get(day)):
        return name
    return "year end" if year_end(on) else None


@lru_cache(1024)
def mask(country: str | None, day: int, days: int) -> NDArray[np.bool_]:
    """Return which of the `days` days up to and including `day` are no ordinary days.

    Returns:
        Shape (days,), read-only; True for a public holiday or the year's end.
    """
    masked = np.array([reason(country, d) is not None for d in range(day - days + 1, day + 1)])
    masked.flags.writeable = False
    return masked
