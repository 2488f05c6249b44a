"""The public holidays of Portugal, the one country in which the suite's accounts are.

Source: Código do Trabalho, art. 234; Easter by the anonymous Gregorian algorithm.
"""

from datetime import date, timedelta

COUNTRY = "PT"

_FIXED = {
    (1, 1): "New Year's Day",
    (4, 25): "Freedom Day",
    (5, 1): "Labor Day",
    (6, 10): "Day of Portugal, Camões, and the Portuguese Communities",
    (8, 15): "Assumption Day",
    (10, 5): "Republic Day",
    (11, 1): "All Saints' Day",
    (12, 1): "Restoration of Independence Day",
    (12, 8): "Immaculate Conception",
    (12, 25): "Christmas Day",
}
_AFTER_EASTER = {-2: "Good Friday", 0: "Easter Sunday", 60: "Corpus Christi"}


def holiday(on: date) -> str | None:
    """Return the name of a public holiday, None for an ordinary day.

    >>> holiday(date(2026, 4, 3))
    'Good Friday'
    """
    return _AFTER_EASTER.get((on - _easter(on.year)).days) or _FIXED.get((on.month, on.day))


def _easter(year: int) -> date:
    golden, century, rest = year % 19, year // 100, year % 100
    moved = (century - (century + 8) // 25 + 1) // 3
    full = (19 * golden + century - century // 4 - moved + 15) % 30
    weekday = (32 + 2 * (century % 4) + 2 * (rest // 4) - full - rest % 4) % 7
    late = (golden + 11 * full + 22 * weekday) // 451
    return date(year, 3, 22) + timedelta(days=full + weekday - 7 * late)
