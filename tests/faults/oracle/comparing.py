"""What a deployment shows beside what its log says, in words that a person can act on."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import zip_longest
from typing import Any

import msgspec

from schemas import alerts as alert_records
from schemas.alerts import Alert
from schemas.rejects import Reject

from . import days
from .recounting import Bucket, Recounted, without_words
from .seats import compared
from .tickets import KNOWN_DAYS

SHOWN = 20
"""Differences that are told one by one."""

_EPISODE = {
    "alert_id": "",
    "raised_on": -1,
    "ordinal": 0,
    "severity": 0,
    "count": 0,
    "lower": 0,
    "quiet": 0,
    "free": False,
}
"""What `accounts show` leaves out where it is so."""


@dataclass(frozen=True)
class Actual:
    """What a deployment says, as plain JSON.

    Attributes:
        accounts: Lines of `ebbwatch accounts show --all --json`.
        subjects: Lines of `ebbwatch subjects show --all --json`.
        alerts: Records of `alerts.v1` about alerts, read committed, by partition in order.
        rejects: Records of `rejects.v1`; None where nobody read them.
    """

    accounts: Sequence[Mapping[str, Any]]
    subjects: Sequence[Mapping[str, Any]]
    alerts: Mapping[int, Sequence[bytes]]
    rejects: Sequence[bytes] | None = None
    stamps: Mapping[int, int] = field(default_factory=dict)


def differences(expected: Recounted, actual: Actual) -> list[str]:
    """Return what a deployment says otherwise than its log; at most 20, then how many more."""
    return cut(
        [
            *expected.faults,
            *_stamps(expected, actual),
            *_accounts(expected, actual),
            *_subjects(expected, actual),
            *_alerts(expected, actual),
            *_rejects(expected, actual),
        ]
    )


def cut(found: Sequence[str]) -> list[str]:
    """Return the first differences, and how many more there are."""
    more = len(found) - SHOWN
    return [*found[:SHOWN], *([f"... and {more} more"] if more > 0 else [])]


def _stamps(expected: Recounted, actual: Actual) -> Iterator[str]:
    for number, stamp in actual.stamps.items():
        if stamp != expected.stamps.get(number, -1):
            end = expected.stamps.get(number, -1)
            yield f"partition {number} is folded up to {stamp}, its log ends with {end}"


def _accounts(expected: Recounted, actual: Actual) -> Iterator[str]:
    shown = {str(line["account"]): line for line in actual.accounts}
    if len(shown) != len(actual.accounts):
        yield f"{len(actual.accounts) - len(shown)} accounts are shown more than once"
    yield from _names("account", expected.accounts, shown)
    for id in sorted(expected.accounts.keys() & shown.keys()):
        who = f"account {id} (partition {expected.accounts[id]['partition']})"
        yield from _fields(who, expected.accounts[id], _shown(shown[id]))
        yield from _buckets(who, expected.buckets[id], shown[id]["buckets"])


def _shown(line: Mapping[str, Any]) -> dict[str, Any]:
    """Return a line of `accounts show` as far as it is recounted, in the oracle's words."""
    contacts, payments = line["contacts"], line["payments"]
    return {
        **line,
        "contacts": {
            "people": {
                who: {
                    "role": one.get("role"),
                    "status": one.get("status", "active"),
                    "admin": one.get("admin", False),
                }
                for who, one in contacts.get("people", {}).items()
            },
            "last_touch": _touch(contacts.get("last_touch")),
            "last_two_way": _touch(contacts.get("last_two_way")),
        },
        "payments": {
            "failures": {
                id: len(one.get("failures", ())) for id, one in payments.get("payments", {}).items()
            },
            "methods": sorted(payments.get("methods", {})),
        },
        "last_usage": line["usage"].get("last_day"),
        "tickets": _tickets(line),
        "episodes": {f"{one['rule']}|{one['object']}": _EPISODE | one for one in line["episodes"]},
    }


def _tickets(line: Mapping[str, Any]) -> list[Any]:
    """Return the days of tickets that would be known again; others may be kept or not."""
    judged = line["judged"]
    oldest = days.number(date.fromisoformat(judged)) - KNOWN_DAYS if judged else 0
    told = _json(line["tickets"])
    urgent = {mark: int(on) for on, marks in told.get("urgent", {}).items() for mark in marks}
    known = [(int(on), mark) for on, marks in told.get("days", {}).items() for mark in marks]
    return sorted(([on, urgent.get(mark)] for on, mark in known if on >= oldest), key=str)


def _json(told: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(told))


def _touch(told: Mapping[str, Any] | None) -> list[Any] | None:
    return None if told is None else [told["day"], told.get("person")]


def _fields(who: str, expected: Mapping[str, Any], shown: Mapping[str, Any]) -> Iterator[str]:
    for name, wanted in expected.items():
        found = shown.get(name)
        if name == "states":
            # Where statistics decide, the oracle does not know.
            states = shown["states"].items()
            found = {metric: told if wanted.get(metric) else "" for metric, told in states}
        if name == "seats":
            wanted, found = compared(wanted, _json(shown["seats"]))
        if found != wanted:
            yield from _apart(f"{who}: {name}", wanted, found)


def _apart(what: str, wanted: Any, found: Any) -> Iterator[str]:
    """Yield where two values differ, as deep as both are objects."""
    if not isinstance(wanted, Mapping) or not isinstance(found, Mapping):
        yield f"{what} is {found!r}, the log says {wanted!r}"
        return
    for key in sorted(wanted.keys() | found.keys(), key=str):
        if wanted.get(key) != found.get(key):
            yield from _apart(f"{what}.{key}", wanted.get(key), found.get(key))


def _buckets(
    who: str, expected: Mapping[str, Bucket], shown: Mapping[str, Mapping[str, float]]
) -> Iterator[str]:
    for metric in sorted(expected.keys() | shown.keys()):
        wanted = expected.get(metric, Bucket("", {}))
        found = shown.get(metric, {})
        for day in sorted(wanted.days.keys() | found.keys()):
            gone = day < wanted.kept_from and day not in found
            if not gone and found.get(day, 0) != wanted.days.get(day, 0):
                counted, said = found.get(day, 0), wanted.days.get(day, 0)
                yield f"{who}: {metric} on {day} is {counted:g}, the log says {said:g}"


def _subjects(expected: Recounted, actual: Actual) -> Iterator[str]:
    shown = {str(line["subject"]): line["facts"] for line in actual.subjects}
    yield from _names("subject", expected.subjects, shown)
    for who in sorted(expected.subjects.keys() & shown.keys()):
        if shown[who] != expected.subjects[who]:
            yield from _apart(who, expected.subjects[who], shown[who])


def _names(what: str, expected: Iterable[str], shown: Iterable[str]) -> Iterator[str]:
    for id in sorted({*expected} - {*shown}):
        yield f"{what} {id} is in the log and was not counted"
    for id in sorted({*shown} - {*expected}):
        yield f"{what} {id} was counted and is not in the log"


def _alerts(expected: Recounted, actual: Actual) -> Iterator[str]:
    raised: dict[str, list[Alert]] = {}
    for number, records in actual.alerts.items():
        for raw in records:
            alert = alert_records.decode(raw)
            raised.setdefault(alert.account, []).append(without_words(alert))
            home = expected.accounts.get(alert.account, {}).get("partition", number)
            if home != number:
                yield f"an alert of {alert.account} is in partition {number}, at home in {home}"
    for account in sorted(expected.alerts.keys() | raised.keys()):
        wanted, found = expected.alerts.get(account, []), raised.get(account, [])
        for n, (one, other) in enumerate(zip_longest(wanted, found)):
            if one != other:
                yield from _alert(f"alert record {n} of account {account}", one, other)
                break


def _alert(what: str, wanted: Alert | None, found: Alert | None) -> Iterator[str]:
    if wanted is None or found is None:
        one = msgspec.to_builtins(wanted or found)
        told = f"{one['type']} {one['rule']} {one['object']} of {one['day']} ({one['alert_id']})"
        how = "must have been written" if found is None else "should not be there"
        yield f"{what}: {told} {how}"
        return
    yield from _apart(what, msgspec.to_builtins(wanted), msgspec.to_builtins(found))


def _rejects(expected: Recounted, actual: Actual) -> Iterator[str]:
    if actual.rejects is None:
        return
    found: dict[tuple[int, int, int | None], str] = {}
    for raw in actual.rejects:
        one = msgspec.json.decode(raw, type=Reject)
        if one.stage == "detector" and one.partition is not None and one.offset is not None:
            found[one.partition, one.offset, one.index] = one.reason
    for place in sorted(expected.refused.keys() | found.keys(), key=str):
        wanted, told = expected.refused.get(place), found.get(place)
        if wanted != told:
            yield f"events {place}: refused as {told}, the log says {wanted}"
