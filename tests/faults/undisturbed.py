"""A log folded by the services' own code, in this process, without a crash, an owner or a flush.

What a deployment that was killed and shared has made of the same log must be the same. That says
nothing of whether it is right: what is right only a recount tells, that shares no code (`oracle`).
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Any

import msgspec

from schemas import alerts as alert_records
from schemas import envelope
from schemas.events import IncidentJudged, PartClosed
from services.detector.partition import Partition
from services.detector.showing import shown
from tests.faults.logs import Message

JUDGED_AT_ONCE = 250

Alerts = Mapping[str, Sequence[dict[str, Any]]]
"""Records as plain JSON, by account, in order."""


@dataclass
class Undisturbed:
    """What one partition of the log comes to.

    Attributes:
        alerts: By account, in order.
        said: What it has to say to every partition, encoded.
        shown: What it shows of accounts and subjects, by name.
    """

    alerts: defaultdict[str, list[dict[str, Any]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    said: set[bytes] = field(default_factory=set)
    shown: dict[str, Any] = field(default_factory=dict)


def fold(number: int, partitions: int, log: Sequence[Message]) -> Undisturbed:
    """Fold one partition from its first message to its last, each day judged when it closes.

    Args:
        number: The partition.
        partitions: How many there are.
        log: All of its messages.
    """
    partition, found = Partition.begin(number, partitions), Undisturbed()
    for one in log:
        partition.apply(one.offset, one.appended, one.value)
        while partition.judge(JUDGED_AT_ONCE):
            pass
        found.said |= {raw for subject, raw in partition.forwards() if subject == ""}
        for alert in partition.found()[0]:
            found.alerts[alert.account].append(_json(alert_records.encode(alert)))
    # What was counted is settled by a cut only.
    partition.cut()
    found.shown = shown_of(partition)
    return found


def shown_of(partition: Partition) -> dict[str, Any]:
    """Return all that a partition shows, as plain JSON, by name."""
    told = {
        one.id: shown(one, partition.number, partition.stamp, partition.judged_to(one))
        for one in partition.accounts.values()
    }
    told |= {one["subject"]: one["facts"] for one in partition.subjects_shown()}
    plain: dict[str, Any] = json.loads(json.dumps(told))
    return plain


def written(records: Sequence[Message]) -> dict[str, list[dict[str, Any]]]:
    """Return the alerts of one partition of the alert log, by account, in order."""
    found: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for one in records:
        record = _json(one.value or b"{}")
        if str(record.get("type", "")).startswith("alert."):
            found[record["account"]].append(record)
    return dict(found)


def heard(log: Sequence[Message]) -> set[bytes]:
    """Return what partitions have said to all of them, of what stands in one."""
    return {
        envelope.encode_entry(entry)
        for one in log
        for _, entry in envelope.decode(one.value)[0]
        if isinstance(entry.event, PartClosed | IncidentJudged)
    }


def alert_differences(wanted: Alerts, found: Alerts) -> Iterator[str]:
    """Yield where alerts differ: who got which, of which day, with which evidence."""
    for account in sorted(wanted.keys() | found.keys()):
        pairs = zip_longest(wanted.get(account, ()), found.get(account, ()))
        for n, (one, other) in enumerate(pairs):
            if one != other:
                yield from apart(f"alert record {n} of {account}", other, one)
                break


def apart(what: str, found: Any, wanted: Any) -> Iterator[str]:
    """Yield where two values differ, as deep as both are objects."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in sorted(found.keys() | wanted.keys()):
            yield from apart(f"{what}.{key}", found.get(key), wanted.get(key))
    elif found != wanted:
        yield f"{what} is {found!r}, undisturbed it is {wanted!r}"


def _json(raw: bytes) -> dict[str, Any]:
    told: dict[str, Any] = msgspec.json.decode(raw)
    return told
