"""Which commands put something into the view, or take it out. Pure."""

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Final

import msgspec

from schemas.accounts import AccountDays, AccountSummary
from services.alerts.showing import ShownCase
from services.alerts.shown import ActionAnswer, AlertShown, Change
from services.alerts.view.codec import dump, pack
from services.alerts.view.keys import Keys, PartKeys, Shelf, place
from services.alerts.view.script import Command

ANSWER_SECONDS: Final = 7 * 86_400
STREAM_LENGTH: Final = 10_000
MONTHS: Final = 13
"""Months of daily series that people can look back."""
CALL_BYTES: Final = 256 * 1024
"""Of one call: Redis does nothing else meanwhile, for about a millisecond."""
MOMENTS_AT_ONCE: Final = 500

Unit = list[Command]
"""Commands that belong together: all of them, or none."""

_days_key = re.compile(r"(.+)/days/(\d{4}-\d\d)", re.DOTALL).fullmatch
_encode = msgspec.json.Encoder().encode


def calls(units: Iterable[Unit]) -> Iterator[Unit]:
    """Yield units joined into calls of about `CALL_BYTES`; no unit is torn apart."""
    call: Unit = []
    size = 0
    for unit in units:
        call += unit
        size += sum(len(str(w)) if not isinstance(w, bytes) else len(w) for c in unit for w in c)
        if size >= CALL_BYTES:
            yield call
            call, size = [], 0
    if call:
        yield call


def put_case(keys: PartKeys, one: ShownCase) -> Unit:
    """Return what writes a case, its alerts and its timeline."""
    account = one.account
    unit: Unit = [("SADD", keys.cased, account)]
    for alert in one.alerts:
        unit.append(("HSET", keys.alerts(account), alert.alert_id, pack(alert)))
        unit.append(_put_place(keys, alert))
    unit.append(_keep(keys, account, sorted(one.kept)))
    unit += _put_moments(keys, one)
    unit += _put_line(keys, one)
    return unit


def take_case(keys: PartKeys, account: str) -> Unit:
    """Return what removes a case and all that belongs to it."""
    return [
        _take(keys, "open", account),
        _take(keys, "resolved", account),
        _keep(keys, account, []),
        ("DEL", keys.timeline(account)),
        ("SREM", keys.cased, account),
    ]


def put_account(keys: PartKeys, one: AccountSummary | AccountDays, today: datetime) -> Unit:
    """Return what writes an account's summary, or one month of its daily series.

    Args:
        keys: The partition's keys.
        one: The record.
        today: A month that is `MONTHS` back is not written any more.
    """
    account = one.account
    if isinstance(one, AccountSummary):
        put = _put(keys, "accounts", account, _encode(one))
        return [("SADD", keys.known, account), put]
    if one.month < month(today, MONTHS):
        return []
    old = [month(today, back) for back in range(MONTHS + 1, MONTHS + 4)]
    left: Command = ("HDEL", keys.left_out(account), one.month, *old)
    if one.left_out:
        left = ("HSET", keys.left_out(account), one.month, pack(_encode(one.left_out)))
    return [
        ("SADD", keys.known, account),
        ("HSET", keys.days(account), one.month, pack(_encode(one.metrics))),
        left,
        *(("HDEL", name, *old) for name in (keys.days(account), keys.left_out(account))),
    ]


def take_account(keys: PartKeys, account: str) -> Unit:
    """Return what removes an account's summary and its daily series."""
    return [
        _take(keys, "accounts", account),
        ("DEL", keys.days(account)),
        ("DEL", keys.left_out(account)),
        ("SREM", keys.known, account),
    ]


def take_record(keys: PartKeys, key: str) -> Unit:
    """Return what removes what stood under a key of `accounts.v1`.

    Args:
        keys: The partition's keys.
        key: An account's id, or that of one of its months; an id may look like the latter, so
            both are removed.
    """
    unit = take_account(keys, key)
    if found := days_of(key):
        unit.append(("HDEL", keys.days(found[0]), found[1]))
        unit.append(("HDEL", keys.left_out(found[0]), found[1]))
    return unit


def days_of(key: str) -> tuple[str, str] | None:
    """Return account and month if a key of `accounts.v1` looks like that of a month.

    >>> days_of("acct_42/days/2026-05"), days_of("acct_42")
    (('acct_42', '2026-05'), None)
    """
    found = _days_key(key)
    return (found[1], found[2]) if found else None


def put_answer(keys: Keys, answer: ActionAnswer) -> Unit:
    """Return what writes a verdict, and forgets it after seven days."""
    key = keys.answer(answer.id)
    return [("HSET", key, answer.account, dump(answer)), ("EXPIRE", key, ANSWER_SECONDS)]


def put_change(keys: Keys, change: Change) -> Unit:
    """Return what says something in the live stream."""
    said = dump(change.model_copy(update={"id": ""}))
    return [("XADD", keys.stream, "MAXLEN", "~", STREAM_LENGTH, "*", "c", said)]


def month(today: datetime, back: int) -> str:
    """Return a month, so many before the one of a day.

    >>> month(datetime(2026, 1, 31), 0), month(datetime(2026, 1, 31), 13)
    ('2026-01', '2024-12')
    """
    year, index = divmod(today.year * 12 + today.month - 1 - back, 12)
    return f"{year:04d}-{index + 1:02d}"


def _put_line(keys: PartKeys, one: ShownCase) -> Unit:
    """Return what puts a case on the shelf where it belongs, and takes it from any other."""
    shelves: tuple[Shelf, ...] = ("open", "resolved")
    if one.case is None:
        return [_take(keys, shelf, one.account) for shelf in shelves]
    here, there = reversed(shelves) if one.case.state == "resolved" else shelves
    return [
        _take(keys, there, one.account),
        _put(keys, here, one.account, dump(one.case)),
    ]


def _put_place(keys: PartKeys, alert: AlertShown) -> Command:
    fired = round(alert.fired_at.timestamp() * 1_000_000)
    member = f"{place(fired, alert.alert_id)}\x1f{alert.account}"
    still = "1" if alert.open else "0"
    return ("@PLACE", keys.where, keys.fired, keys.firing, alert.alert_id, member, still)


def _keep(keys: PartKeys, account: str, kept: list[str]) -> Command:
    return ("@KEEP", keys.where, keys.fired, keys.firing, keys.alerts(account), *kept)


def _put(keys: PartKeys, shelf: Shelf, account: str, value: bytes) -> Command:
    return ("@PUT", keys.shelf(shelf), keys.moved(shelf), account, value)


def _take(keys: PartKeys, shelf: Shelf, account: str) -> Command:
    return ("@TAKE", keys.shelf(shelf), keys.moved(shelf), account)


def _put_moments(keys: PartKeys, one: ShownCase) -> Unit:
    key = keys.timeline(one.account)
    unit: Unit = [("DEL", key)] if one.whole else []
    for start in range(0, len(one.moments), MOMENTS_AT_ONCE):
        some = one.moments[start : start + MOMENTS_AT_ONCE]
        # Written again after a failure, a moment takes the place of what it was before.
        unit.append(("ZREMRANGEBYSCORE", key, some[0].n, some[-1].n))
        pairs = [word for moment in some for word in (moment.n, dump(moment))]
        unit.append(("ZADD", key, *pairs))
    if one.first and not one.whole:
        unit.append(("ZREMRANGEBYSCORE", key, "-inf", f"({one.first}"))
    return unit
