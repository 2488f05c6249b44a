"""How figures, ids and amounts of a backtest stand in a text for a person. Pure."""

import unicodedata
from datetime import date

from services.backtest.estimates import Interval, Quartiles
from services.wording import MINUS, day, percent
from services.wording import money as exact_money

NONE = "–"


def clean(text: str) -> str:
    r"""Return a text of other people as one line that does nothing but stand there.

    A control character could clear a terminal or forge a further line; one that turns the direction
    of writing could make a name read as another.

    >>> clean("Acme\x1b[2J\nforged\u00a0x\u202e")
    'Acme�[2J�forged x�'
    """
    return text if text.isprintable() else "".join(map(_shown, text))


def _shown(one: str) -> str:
    if one.isprintable():
        return one
    return " " if unicodedata.category(one) == "Zs" else "\ufffd"


def plain(text: str, most: int = 60) -> str:
    r"""Return a text as `clean` does, of bounded length.

    >>> plain("Acme"), plain("abcdef", 4)
    ('Acme', 'abc…')
    """
    line = clean(text)
    return line if len(line) <= most else line[: most - 1] + "…"


def owner_name(owner: str | None) -> str:
    """Return an owner's id, or that there is none.

    >>> owner_name("ana"), owner_name("")
    ('ana', '(no owner)')
    """
    return plain(owner) if owner else "(no owner)"


def object_name(object: str) -> str:
    """Return what of an account an alert is about.

    >>> object_name("api_calls"), object_name("@people"), object_name("@feature:export")
    ('api_calls', 'people', 'feature export')
    """
    return plain(object.removeprefix("@").replace(":", " ", 1) if object[:1] == "@" else object)


def count(number: int) -> str:
    """Return a number with its thousands apart, a dash for none.

    >>> count(1200), count(0)
    ('1,200', '–')
    """
    return f"{number:,}" if number else NONE


def figure(value: float | None) -> str:
    """Return a rate as finely as it says something; a dash for none.

    >>> figure(0.412), figure(3.14159), figure(40.94), figure(1234.5), figure(0.0), figure(None)
    ('0.41', '3.1', '40.9', '1,234', '–', '–')
    """
    if not value:
        return NONE
    if value < 0.01:
        return "under 0.01"
    return f"{value:.2f}" if value < 1 else f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def share(value: float | None) -> str:
    """Return a share of 1 in per cent, a dash where there is nothing to share.

    >>> share(0.4712), share(0.0), share(None)
    ('47 %', '0 %', '–')
    """
    return NONE if value is None else percent(value)


def interval(found: Interval | None) -> str:
    """Return an interval behind its share, nothing for none.

    >>> interval(Interval(0.3, 0.65)), interval(None)
    (' (30–65)', '')
    """
    return "" if found is None else f" ({100 * found.low:.0f}–{100 * found.high:.0f})"


def lead(found: Quartiles | None) -> str:
    """Return quartiles of days, the median first.

    >>> lead(Quartiles(20.0, 45.5, 90.0)), lead(None)
    ('46 (20–90)', '–')
    """
    if found is None:
        return NONE
    return f"{found.median:.0f} ({found.low:.0f}–{found.high:.0f})"


def money(minor: int, currency: str | None) -> str:
    """Return an amount without its minor units, as people write it.

    >>> money(124_000_050, "EUR"), money(5_000, "JPY"), money(-99, None)
    ('EUR 1,240,000', 'JPY 5,000', '−0')
    """
    return _with_code(_major(minor, currency), currency)


def short_money(minor: int, currency: str | None) -> str:
    """Return an amount as a headline asks: three digits or so.

    >>> [short_money(cents, "EUR") for cents in (0, 840_000, 4_849_900, 124_000_000)]
    ['EUR 0', 'EUR 8,400', 'EUR 48k', 'EUR 1.24M']
    >>> short_money(99_999_900, None), short_money(1_234_500_000_000, "EUR")
    ('1M', 'EUR 12,345M')
    """
    size = int(_major(minor, currency).replace(",", "").replace(MINUS, "-"))
    if size < 10_000:
        return _with_code(f"{size:,}", currency)
    if size < 999_500:
        return _with_code(f"{round(size / 1_000):,}k", currency)
    millions = size / 1_000_000
    text = f"{millions:,.0f}M" if millions >= 100 else f"{float(f'{millions:.3g}'):g}M"
    return _with_code(text, currency)


def _major(minor: int, currency: str | None) -> str:
    # How many minor units make a major one stands in `wording` alone; no number has a space.
    return exact_money(minor, currency).rpartition(" ")[2].partition(".")[0]


def _with_code(number: str, currency: str | None) -> str:
    return f"{plain(currency, 8)} {number}" if currency else number


def between(found: Interval | None) -> str:
    """Return an interval as a headline's note.

    >>> between(Interval(0.3, 0.65)), between(None)
    ('30 to 65 % with 95 % confidence', '')
    """
    if found is None:
        return ""
    return f"{100 * found.low:.0f} to {100 * found.high:.0f} % with 95 % confidence"


def shift(days: int) -> str:
    """Return how much earlier or later something was.

    >>> shift(-3), shift(1), shift(0)
    ('3 days earlier', '1 day later', 'on the same day')
    """
    if days == 0:
        return "on the same day"
    size = abs(days)
    return f"{size} day{'s' if size > 1 else ''} {'earlier' if days < 0 else 'later'}"


def signed(number: int) -> str:
    """Return a difference with its sign.

    >>> signed(3), signed(-2), signed(0)
    ('+3', '−2', '0')
    """
    return f"+{number:,}" if number > 0 else f"{MINUS}{-number:,}" if number else "0"


def short_day(on: date) -> str:
    """Return a date as a column asks.

    >>> short_day(date(2026, 9, 4))
    '4 Sep 2026'
    """
    return f"{on.day} {short_month(on)}"


def short_month(on: date) -> str:
    """Return a date's month.

    >>> short_month(date(2026, 9, 4))
    'Sep 2026'
    """
    return f"{day(on).split()[1][:3]} {on.year}"
