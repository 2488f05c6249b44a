"""What a partition holds, told as `oracle.py` tells it, so that the two can be compared."""

from collections.abc import Mapping
from typing import Any, Final

from services.alerts.cases.case import Case
from services.alerts.cases.notices import Notice
from services.alerts.cases.partition import Partition
from services.alerts.cases.standing import Standing
from services.alerts.cases.timeline import Entry
from tests.unit.alerts.dossier import Picture

OWN: Final = (
    "state",
    "version",
    "generation",
    "severity",
    "opened_at",
    "changed_at",
    "by",
    "until",
    "outcome",
    "assignee",
    "handled",
    "told",
    "account_now",
)
WORDS: Final = {
    # By the beginning of a record's type, which words of a line the oracle tells too.
    "alert.": {"alert_id": "alert", "severity": "severity", "reason": "reason"},
    "notice.": {"channel": "channel", "attempt": "attempt"},
    "feedback.": {"by": "by", "alert_id": "alert", "verdict": "verdict"},
    "case.": {
        "by": "by",
        "text": "text",
        "reason": "reason",
        "outcome": "outcome",
        "person": "person",
        "until": "until",
    },
}


def pictures(partition: Partition) -> Mapping[str, Picture]:
    """Return what is kept of every case."""
    return {key: _picture(case) for key, case in partition.cases.items()}


def differences(found: Mapping[str, Picture], wanted: Mapping[str, Picture]) -> list[str]:
    """Say where two tellings differ, field by field of each case."""
    told = [f"{key} is in one only" for key in sorted(found.keys() ^ wanted.keys())]
    for key in sorted(found.keys() & wanted.keys()):
        one, other = found[key], wanted[key]
        told += [
            f"{key}.{name}: {one[name]!r}, and not {other[name]!r}"
            for name in one
            if one[name] != other[name]
        ]
    return told


def _picture(case: Case) -> Picture:
    return {name: getattr(case, name) for name in OWN} | {
        "alerts": {id: _alert(one) for id, one in case.standings.items()},
        "answers": {id: (one.status, one.version, one.state) for id, one in case.answers.items()},
        "news": {id: _notice(one) for id, one in case.notices.items()},
        "lines": [_line(one) for one in case.entries],
    }


def _alert(one: Standing) -> tuple[Any, ...]:
    records = (one.first, one.latest, one.cleared)
    times = (one.raised_at, one.changed_at, one.cleared_at)
    return (*records, *times, one.n, dict(one.feedback))


def _notice(one: Notice) -> tuple[Any, ...]:
    targets = None
    if one.deliveries is not None:
        targets = {
            name: [to.person, to.why, to.attempts, to.retry_at, to.done]
            for name, to in one.deliveries.items()
        }
    return (one.step, one.alert, one.caused_at, one.generation, one.n, targets)


def _line(one: Entry) -> tuple[Any, ...]:
    words = next(words for begin, words in WORDS.items() if one.type.startswith(begin))
    said = {name: getattr(one, field) for field, name in words.items()}
    told = tuple(sorted((name, word) for name, word in said.items() if word is not None))
    return (one.n, one.at, one.type, one.state, told)
