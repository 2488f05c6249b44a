"""How numbers, dates, money and lists stand in a text for a person."""

from collections.abc import Sequence
from datetime import date

MINUS = "−"

_NO_DECIMALS = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD IQD JOD KWD LYD OMR TND"


def quantity(value: float) -> str:
    """Return an amount of usage: no decimals from 10 on, below at most what says something.

    Args:
        value: Units, >= 0.

    >>> quantity(6210.0), quantity(8940.4), quantity(2.5), quantity(0.04)
    ('6,210', '8,940', '2.5', '0.04')
    """
    if value >= 10 or float(value).is_integer():
        return f"{value:,.0f}"
    return f"{value:.1f}".removesuffix(".0") if value >= 1 else f"{value:.2g}"


def percent(share: float) -> str:
    """Return a share of 1 in whole per cent, with its sign if it is negative.

    Nothing that is there rounds to none of it, and nothing that is left to all of it.

    >>> percent(0.31), percent(-0.364), percent(0.002), percent(-0.998), percent(0)
    ('31 %', '−36 %', 'under 1 %', '−99 %', '0 %')
    """
    size = abs(share)
    if 0 < size < 0.005:
        return "under 1 %"
    whole = 99 if 0.99 <= size < 1 else round(100 * size)
    return f"{MINUS if share < 0 else ''}{whole} %"


def money(minor: int, currency: str | None) -> str:
    """Return an amount in minor units as people write it.

    Args:
        minor: Minor units of the currency.
        currency: ISO 4217; None for an amount whose currency nobody told.

    Source: ISO 4217, minor units.

    >>> money(120000, "EUR"), money(5000, "JPY"), money(-1234567, "TND"), money(500, None)
    ('EUR 1,200.00', 'JPY 5,000', 'TND −1,234.567', '5.00')
    """
    code = currency or "none"
    places = 0 if code in _NO_DECIMALS else 3 if code in _THREE_DECIMALS else 2
    # In whole numbers: a float cannot hold ten trillion cents.
    major, rest = divmod(abs(minor), 10**places)
    text = f"{MINUS if minor < 0 else ''}{major:,}"
    if places:
        text += f".{rest:0{places}}"
    return f"{currency} {text}" if currency else text


def day(on: date) -> str:
    """Return a date in words.

    >>> day(date(2026, 5, 14))
    '14 May 2026'
    """
    return f"{on.day} {_MONTHS[on.month - 1]} {on.year}"


def days(first: date, last: date) -> str:
    """Return a stretch of days in words, as short as it is clear.

    >>> days(date(2026, 5, 8), date(2026, 5, 14)), days(date(2026, 4, 30), date(2026, 5, 1))
    ('8 to 14 May 2026', '30 April to 1 May 2026')
    """
    if first == last:
        return day(last)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {day(last)}"
    if first.year == last.year:
        return f"{first.day} {_MONTHS[first.month - 1]} to {day(last)}"
    return f"{day(first)} to {day(last)}"


def counted(number: int, one: str, many: str | None = None) -> str:
    """Return a number with its noun.

    >>> counted(1, "day"), counted(1200, "day"), counted(2, "try", "tries")
    ('1 day', '1,200 days', '2 tries')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(parts: Sequence[str]) -> str:
    """Return parts as one enumeration.

    >>> listed(["a"]), listed(["a", "b", "c"])
    ('a', 'a, b and c')
    """
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def capital(text: str) -> str:
    """Return a text with its first letter upper case, the rest as it is.

    >>> capital("usage (API)")
    'Usage (API)'
    """
    return text[:1].upper() + text[1:]


_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
