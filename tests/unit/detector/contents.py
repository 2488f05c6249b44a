"""A partition, its log and its alerts as the model test compares them with the oracle."""

from collections.abc import Sequence
from datetime import date
from fractions import Fraction
from typing import Any

import msgspec

from schemas import alerts as alert_codec
from schemas.alerts import Alert
from schemas.envelope import Entry
from schemas.events import AccountErased, PartClosed
from services.detector.calendars import to_date
from services.detector.partition import Partition
from tests import playing
from tests.unit.detector.oracle import Buckets, Recount
from tests.unit.detector.stories import home


def buckets(partition: Partition, recount: Recount) -> Buckets:
    """Return a partition's day buckets as the oracle tells them."""
    found: Buckets = {}
    for account in partition.accounts.values():
        for metric, line in account.facts.buckets.lines.items():
            days: dict[date, Fraction] = {}
            for place, value in enumerate(line.values):
                day = to_date(line.first + place)
                if value and day >= recount.kept_from(account.id):
                    days[day] = Fraction(value, 1000)
            found.setdefault(account.id, {})[metric] = days
    return found


def subjects(partition: Partition) -> dict[str, Any]:
    """Return persons, and of our own side what the oracle counts."""
    found = {}
    for one in partition.subjects_shown():
        subject, facts = one["subject"], one["facts"]
        if subject == "company":
            facts = {month: sums[""] for month, sums in facts["spend"].items()}
        elif subject.startswith("colleague:"):
            facts = facts["touches"]
        found[subject] = facts
    return found


def forwards(log: playing.Log, number: int) -> dict[tuple[Any, ...], Entry]:
    """Return the forwards of a partition in a log, each when it first came, by origin."""
    found: dict[tuple[Any, ...], Entry] = {}
    for entries in log.entries:
        for one in entries:
            origin = one.origin
            if origin and origin.input.startswith("forward/") and origin.partition == number:
                assert found.setdefault(origin, one) == one
    return found


def said(log: playing.Log, number: int) -> dict[str, Entry]:
    """Return what a partition said to all others in a log: summaries, and erasures; by id."""
    found: dict[str, Entry] = {}
    for entries in log.entries:
        for one in entries:
            if isinstance(one.event, PartClosed):
                mine = bool(one.event.revision) and one.event.partition == number
            else:
                mine = one.id.startswith("erase/") and home(one.subjects[0]) == number
            if mine:
                assert found.setdefault(one.id, one) == one
    return found


def erasures(log: playing.Log) -> set[tuple[str, int]]:
    """Return the accounts that a log has erased, and up to when."""
    return {
        (subject.partition(":")[2], one.time)
        for entries in log.entries
        for one in entries
        if isinstance(one.event, AccountErased)
        for subject in one.subjects
    }


def without(accounts: set[str], counted: Buckets) -> Buckets:
    return {account: days for account, days in counted.items() if account not in accounts}


def encoded(alerts: Sequence[Alert]) -> list[bytes]:
    return sorted(alert_codec.encode(one) for one in alerts)


def plain(records: Sequence[msgspec.Struct]) -> list[bytes]:
    return sorted(msgspec.msgpack.encode(one) for one in records)


def moment(one: Alert) -> tuple[str, str, Any]:
    return one.alert_id, type(one).__name__, one.fired_at
