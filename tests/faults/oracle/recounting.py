"""The whole log recounted: what must have become of it, on every partition."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from schemas.alerts import Alert

from . import crossing, days
from .accounts import PEOPLE, Account
from .addressing import Owned
from .counting import Counting
from .glances import glance
from .masks import units
from .reading import Logs

_WORDS = ("headline", "text")


@dataclass(frozen=True)
class Bucket:
    """A metric's days: those from `kept_from` on must all be there, earlier ones may be gone."""

    kept_from: str
    days: Mapping[str, int | float]


@dataclass(frozen=True)
class Recounted:
    """What a log says; whole values, so that two recounts are equal or not.

    Attributes:
        accounts: By id, as `ebbwatch accounts show` prints them, as far as they are recounted.
        buckets: By account and metric.
        subjects: Company, colleagues and persons, as `ebbwatch subjects show` prints them.
        alerts: By account, in order, without the words of their evidence.
        refused: Why, by (partition, offset, place).
        stamps: By partition, the last offset.
        clocks: By partition, the newest tick.
        faults: What is wrong in the log itself, such as a forward that is missing.
        counts: How many entries were repeated, too late, or dropped as erased.
        glances: By account, what its summary says, as far as it is recounted.
        owners: Who has owned which account, from where in the log on.
    """

    accounts: Mapping[str, Mapping[str, Any]]
    buckets: Mapping[str, Mapping[str, Bucket]]
    subjects: Mapping[str, Any]
    alerts: Mapping[str, list[Alert]]
    refused: Mapping[tuple[int, int, int | None], str]
    stamps: Mapping[int, int]
    clocks: Mapping[int, int] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    counts: Mapping[str, int] = field(default_factory=dict)
    glances: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    owners: Mapping[str, Sequence[Owned]] = field(default_factory=dict)


def recount(
    logs: Logs, *, kept_days: Mapping[int, int] | None = None, horizon: int | None = None
) -> Recounted:
    """Recount `events.v1`, read back from the broker.

    Args:
        logs: Every partition, from its first message to its last.
        kept_days: Days of buckets by number of the rule set; reckoned from the rules where absent.
        horizon: Ids remembered per channel; None where no run comes near it.

    Raises:
        Unaccountable: The log holds what the oracle does not know, such as another rule.
    """
    counted = []
    for number, log in sorted(logs.items()):
        one = Counting(number, horizon, kept_days or {})
        one.count(log)
        counted.append(one)
    entries = crossing.readable(logs)
    alerts: dict[str, list[Alert]] = {}
    for each in counted:
        for alert in each.customers.alerts:
            alerts.setdefault(alert.account, []).append(without_words(alert))
    return Recounted(
        accounts={
            id: _plain(each, one) for each in counted for id, one in each.customers.known.items()
        },
        buckets={id: _buckets(one) for each in counted for id, one in each.customers.known.items()},
        subjects={who: told for each in counted for who, told in _subjects(each)},
        alerts=alerts,
        refused={
            (each.number, *place): why for each in counted for place, why in each.refused.items()
        },
        stamps={each.number: each.stamp for each in counted},
        clocks={each.number: each.clock.now for each in counted},
        faults=[
            *crossing.misplaced(entries),
            *crossing.forwards(counted, entries),
            *crossing.erasures(counted, entries),
            *crossing.summaries(counted, entries),
        ],
        counts={
            name: sum(getattr(each, name) for each in counted)
            for name in ("repeated", "too_late", "dropped")
        },
        glances={id: glance(one) for each in counted for id, one in each.customers.known.items()},
        owners={id: told for each in counted for id, told in each.customers.owners.items()},
    )


def without_words(alert: Alert) -> Alert:
    """Return an alert without the sentences that explain it to people."""
    kept = {name: told for name, told in alert.because.items() if name not in _WORDS}
    return msgspec.structs.replace(alert, because=kept)


def _plain(counting: Counting, account: Account) -> dict[str, Any]:
    merged = account.merged is not None
    judged = account.judged if merged else counting.customers.newest(account)
    return {
        "partition": counting.number,
        "stamp": counting.stamp,
        "judged": days.iso(judged) if judged >= 0 else None,
        "facts": _facts(account),
        "contacts": account.contacts.plain(),
        "payments": account.payments.plain(),
        "tickets": account.tickets.plain(judged),
        "seats": account.seats.plain(),
        "feedback": account.votes.plain(),
        "last_usage": account.last_usage,
        "people": {who: days.iso(max(on)) for who, on in account.people.items()},
        "states": dict(account.states),
        "episodes": {"|".join(key): one.plain() for key, one in account.episodes.items()},
        "merged": account.merged[1] if account.merged is not None else None,
        "quarantine": None,
        "rules_off": [],
    }


def _facts(account: Account) -> dict[str, Any]:
    told = {name: value for name, value in account.facts.items() if value is not None}
    closures = [[days.iso(first), days.iso(last)] for first, last in sorted(account.closures)]
    found: dict[str, Any] = msgspec.to_builtins(told | ({"closures": closures} if closures else {}))
    return found


def _buckets(account: Account) -> dict[str, Bucket]:
    kept = max(account.kept_from, 0)
    return {
        name: Bucket(
            days.iso(kept),
            {days.iso(day): units(total) for day, total in sorted(line.sums.items()) if total},
        )
        for name, line in account.lines.items()
        if name == PEOPLE or any(line.sums.values())
    }


def _subjects(counting: Counting) -> list[tuple[str, Any]]:
    persons = {f"person:{who}": one.plain() for who, one in counting.persons.known.items()}
    return list((persons | counting.ours.plain()).items())
