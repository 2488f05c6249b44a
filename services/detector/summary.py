"""What people are shown of an account: its summary, and its daily series by month. Pure."""

from collections.abc import Callable, Iterable, Iterator
from datetime import date

import msgspec

from schemas.accounts import AccountDays, AccountSummary, LeftOut, Usual, days_key
from services.detector.calendars import HOUR_US, instant, to_date, to_day
from services.detector.subject import Account

STATES_SIZE = 400
"""Characters of metrics and states that a summary carries, so that it stays within 1 kB."""

SUMMARY_SIZE = 1_000
"""Bytes of a summary that leave no room for more of what is usual (design.md §3: 1 kB)."""

LEAST_SIZE = 3
"""Characters of a smallest drop, beside its metric."""

SHOWN_MONTHS = 24
"""Months back of which an account without a day of data may have been shown empty ones: they are
written when history ends, and nothing remembers when that was."""

_encode = msgspec.json.Encoder().encode


def records(
    changed: Iterable[Account],
    months: Iterable[tuple[Account, int]],
    stamp: int,
    left_out: Callable[[Account, int], LeftOut] = lambda *_: {},
) -> list[tuple[str, bytes]]:
    """Return the records of `accounts.v1` that a flush writes.

    Args:
        changed: Accounts that changed; those that show what they showed before write nothing.
        months: Accounts and the first days of months that changed.
        stamp: Offset up to which everything is folded.
        left_out: Tells which days of an account's month are left out.

    Returns:
        Keys and values.
    """
    written: list[tuple[str, bytes]] = []
    for account in changed:
        shown = of(account, stamp)
        seen = hash(_encode(msgspec.structs.replace(shown, stamp=0)))
        if seen != account.shown:
            account.shown = seen
            written.append((account.id, _encode(shown)))
    for account, first in months:
        days = month(account, to_date(first), left_out(account, first))
        written.append((days_key(account.id, days.month), _encode(days)))
    return written


def keys(account: Account, until: int) -> Iterator[str]:
    """Yield the keys of all records of `accounts.v1` that an account may have.

    Args:
        account: The account.
        until: The newest day that people may have been shown.
    """
    yield account.id
    lines = account.facts.buckets.lines.values()
    last = max([until, *(line.end for line in lines)])
    oldest = min([last - 31 * SHOWN_MONTHS, *(line.start for line in lines)])
    first = month_start(last)
    while first >= month_start(oldest):
        yield days_key(account.id, to_date(first).isoformat()[:7])
        first = month_start(first - 1)


def of(account: Account, stamp: int) -> AccountSummary:
    """Return an account's summary.

    Args:
        account: The account.
        stamp: Offset up to which it is folded.
    """
    shown = _without_usual(account, stamp)
    if not account.usual:
        return shown
    usual: dict[str, Usual] = {}
    room = SUMMARY_SIZE - len(_encode(shown))
    for name in shown.states:
        if name in account.usual:
            one = _usual(account.usual[name])
            room -= len(_encode({name: one}))
            if room < 0:
                break
            usual[name] = one
    return msgspec.structs.replace(shown, usual=usual)


def _usual(thousandths: list[int]) -> Usual:
    *week, dispersion, swing = [n / 1000 if n % 1000 else n // 1000 for n in thousandths]
    return Usual(week, dispersion, swing)


def _without_usual(account: Account, stamp: int) -> AccountSummary:
    profile = account.facts.profile
    return AccountSummary(
        account=account.id,
        stamp=stamp,
        name=profile.name,
        owner=profile.owner,
        segment=profile.segment,
        country=profile.country,
        timezone=profile.timezone,
        arr=profile.arr,
        currency=profile.currency,
        renewal_on=profile.renewal_on,
        seats=profile.seats,
        last_event_at=instant(account.last_hour * HOUR_US) if account.last_hour else None,
        states=(states := _shown_states(account)),
        least={name: known for name in states if (known := account.least.get(name))},
        watch=[name for name in account.watch if name in states],
        open_alerts=sum(one.open for one in account.episodes.values()),
        quarantined=account.quarantine is not None,
    )


def _shown_states(account: Account) -> dict[str, str]:
    """Return as many states as fit, by metric, with what each could show."""
    shown: dict[str, str] = {}
    room = STATES_SIZE
    for metric, state in sorted(account.states.items()):
        room -= len(metric) + len(state)
        room -= len(metric) + LEAST_SIZE if account.least.get(metric) else 0
        if room < 0:
            break
        shown[metric] = state
    return shown


def month_start(day: int) -> int:
    """Return the first day of the month in which a day lies, as day numbers."""
    return day - to_date(day).day + 1


def month(account: Account, first: date, left_out: LeftOut | None = None) -> AccountDays:
    """Return an account's daily series of a month.

    Args:
        account: The account.
        first: The first day of the month.
        left_out: Its days that are left out.
    """
    begin = to_day(first)
    days = range(begin, month_start(begin + 31))
    return AccountDays(
        account=account.id,
        month=first.isoformat()[:7],
        metrics={
            name: [value / 1000 for value in line.span(days.start, days.stop)]
            for name, line in sorted(account.facts.buckets.lines.items())
            if line.first < days.stop and line.end > begin
        },
        left_out=left_out or {},
    )


def ends_month(day: int) -> bool:
    """Tell whether a day is the last one of its month."""
    return to_date(day + 1).day == 1


def months_shown(account: Account, first: int, last: int) -> Iterator[int]:
    """Yield a day of each month of some days that people may have been shown with values.

    Args:
        account: The account.
        first: The first of these days.
        last: The last one.
    """
    lines = account.facts.buckets.lines.values()
    first = max(first, min((line.first for line in lines), default=last + 1))
    while first <= last:
        yield first
        first = month_start(month_start(first) + 31)


def shows(account: Account, day: int, historic: bool) -> bool:
    """Tell whether a closed day changes a month that people are shown.

    Args:
        account: The account.
        day: The closed day.
        historic: While history plays, a month is written once, when it is over.
    """
    if historic and not ends_month(day):
        return False
    first = month_start(day) if historic else day
    lines = account.facts.buckets.lines.values()
    return any(
        line.end > first and any(line.at(one) for one in range(first, day + 1)) for line in lines
    )
