"""Local days by the time zone database, without a cache or a table of our own."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

MINUTE = 60_000_000
HOUR = 60 * MINUTE
DAY = 24 * HOUR
GRACE = 2 * HOUR
"""A day is due so long after its end, microseconds. Source: design.md §5.3."""

_ORIGIN = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = date(1970, 1, 1).toordinal()
_NO_ZONES = {"localtime", "posixrules", "Factory"}


def instant(micros: int) -> datetime:
    """Return microseconds since 1970-01-01 as an aware time."""
    return _ORIGIN + timedelta(microseconds=micros)


def micros(at: datetime) -> int:
    """Return an aware time in microseconds since 1970-01-01 UTC."""
    gap = at - _ORIGIN
    return (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds


def number(on: date) -> int:
    """Return a date as days since 1970-01-01."""
    return on.toordinal() - _FIRST


def on(day: int) -> date:
    """Return the date of days since 1970-01-01."""
    return date.fromordinal(day + _FIRST)


def iso(day: int) -> str:
    """Return a day as people write it."""
    return on(day).isoformat()


def day_in(zone: str, at: int) -> int:
    """Return the local day of an instant in microseconds."""
    return at // DAY if zone == "UTC" else number(instant(at).astimezone(ZoneInfo(zone)).date())


def start_of(zone: str, day: int) -> int:
    """Return when a local day begins, microseconds UTC."""
    return micros(datetime.combine(on(day), time(), ZoneInfo(zone)))


def due(zone: str, day: int) -> int:
    """Return when a local day is due: two hours after the next one began."""
    return start_of(zone, day + 1) + GRACE


def hours_of(zone: str, day: int) -> range:
    """Return the hours of UTC that a local day touches."""
    return range(start_of(zone, day) // HOUR, -(-start_of(zone, day + 1) // HOUR))


def is_zone(name: str) -> bool:
    """Tell whether a name is one of the time zone database."""
    return name in _ZONES


_ZONES = available_timezones() - _NO_ZONES
