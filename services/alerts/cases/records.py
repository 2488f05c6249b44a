"""A case as the records of `cases.v1`: cut into parts, and put together again. Pure.

| key | value |
|---|---|
| `<case>` | the case's own fields |
| `<case>` 0x1f `<n:06d>` | a line of its timeline |
| `<case>` 0x1f `alert` 0x1f `<alert_id>` | the standing of an alert |
| `<case>` 0x1f `notice` 0x1f `<id>` | a notice that is not closed |
| `<case>` 0x1f `answer` 0x1f `<n>` | what became of an action |

Beside the cases, 0x1f `held` 0x1f `<offset>` is a record of the log whose fold raised: see `held`.

So a change writes little, and no record grows: the longest, a standing, holds three records of an
alert, each cut at `reading.ALERT_BYTES`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from schemas.alerts import AccountNow, Severity
from schemas.cases import Outcome
from services.alerts.cases.case import Answer, Case
from services.alerts.cases.notices import Notice
from services.alerts.cases.standing import Standing
from services.alerts.cases.timeline import Entry
from services.alerts.shown import CaseState
from services.garbled import read

VERSION = 1
SEPARATOR = "\x1f"
"""Parts a key; keys of cases are printable, so that it cannot stand inside one."""

HELD = f"{SEPARATOR}held{SEPARATOR}"
"""Begins the keys of what belongs to no case: keys of cases are not empty."""

RECORD_BYTES = 256 * 1024
"""The largest record, key and value. Source: design.md §5.7."""


class RecordTooLarge(ValueError):
    """A record would be larger than its topic takes."""


class Parts(msgspec.Struct, frozen=True, array_like=True):
    """Which other records a case has: what is missing of them is noticed.

    Attributes:
        entry: Number of the first line of its timeline that is kept.
        next_entry: Number of the next one.
        answer: Number of the first answer that is kept.
        next_answer: Number of the next one.
        alerts: How many standings.
        notices: How many notices.
    """

    entry: int
    next_entry: int
    answer: int
    next_answer: int
    alerts: int
    notices: int


class CaseRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A case's own fields, as in `case.Case`, and its parts; None of before they were told."""

    v: int
    state: CaseState
    version: int = 0
    generation: int = 0
    severity: Severity = "info"
    opened_at: int = 0
    changed_at: int = 0
    by: str | None = None
    until: datetime | None = None
    outcome: Outcome | None = None
    assignee: str | None = None
    handled: Severity | None = None
    told: bool = False
    account_now: AccountNow | None = None
    parts: Parts | None = None


_encode = msgspec.json.Encoder().encode
_case = msgspec.json.Decoder(CaseRecord).decode
_standing = msgspec.json.Decoder(Standing).decode
_notice = msgspec.json.Decoder(Notice).decode
_answer = msgspec.json.Decoder(Answer).decode
_entry = msgspec.json.Decoder(Entry).decode
_OWN = tuple(name for name in CaseRecord.__struct_fields__ if name not in {"v", "parts"})


def changes(case: Case) -> dict[str, bytes | None]:
    """Return the records of a case that differ from the last call, and forget the marks.

    Args:
        case: The case.

    Returns:
        By key; None deletes the record.

    Raises:
        RecordTooLarge: If a record would not fit.
    """
    own = {name: getattr(case, name) for name in _OWN}
    record = CaseRecord(v=VERSION, parts=_parts(case), **own)
    found: dict[str, bytes | None] = {case.id: _encode(record)}
    for kind, name in case.touched:
        part = _part(case, kind, name)
        found[_key(case.id, kind, name)] = None if part is None else _encode(part)
    for key, value in found.items():
        _require_small(key, value)
    case.touched.clear()
    return found


def restore_all(snapshot: Iterable[tuple[str, bytes]]) -> dict[str, Case]:
    """Build all cases of a snapshot.

    Args:
        snapshot: Keys and values of their records, in any order; what is held is passed over.

    Returns:
        The cases by key, in the order of their keys.

    Raises:
        ValueError: If a record cannot be read, is missing, or is of an unknown version.
    """
    parts: dict[str, list[tuple[str, str, bytes]]] = {}
    own: dict[str, bytes] = {}
    for key, raw in snapshot:
        if key.startswith(HELD):
            continue
        case, kind, name = _parsed(key)
        if kind == "case":
            own[case] = raw
        else:
            parts.setdefault(case, []).append((kind, name, raw))
    orphan = next(iter(parts.keys() - own.keys()), None)
    if orphan is not None:
        raise ValueError(f"the snapshot has parts of case {orphan!r}, but not the case")
    return {case: _restored(case, own[case], parts.get(case, ())) for case in sorted(own)}


def _part(case: Case, kind: str, name: str) -> Any:
    """Return what a part of a case holds now; None if it is gone."""
    if kind == "alert":
        return case.standings.get(name)
    if kind == "notice":
        return case.notices.get(name)
    number = int(name)
    if kind == "answer":
        at = number - (case.answered - len(case.answers))
        return list(case.answers.values())[at] if at >= 0 else None
    at = number - case.entries[0].n
    return case.entries[at] if at >= 0 else None


def _parts(case: Case) -> Parts:
    return Parts(
        entry=case.next_entry - len(case.entries),
        next_entry=case.next_entry,
        answer=case.answered - len(case.answers),
        next_answer=case.answered,
        alerts=len(case.standings),
        notices=len(case.notices),
    )


def _key(case: str, kind: str, name: str) -> str:
    if kind == "entry":
        return f"{case}{SEPARATOR}{int(name):06d}"
    return SEPARATOR.join((case, kind, name))


def _parsed(key: str) -> tuple[str, str, str]:
    case, _, rest = key.partition(SEPARATOR)
    kind, parted, name = rest.partition(SEPARATOR)
    if parted:
        return case, kind, name
    return (case, "entry", rest) if rest else (case, "case", "")


def _restored(id: str, raw: bytes, parts: Iterable[tuple[str, str, bytes]]) -> Case:
    record = read(_case, id, raw)
    if record.v != VERSION:
        raise ValueError(f"case {id!r} is of version {record.v}, this code reads {VERSION}")
    case = Case(id, **{name: getattr(record, name) for name in _OWN})
    answers: dict[int, Answer] = {}
    standings: list[Standing] = []
    for kind, name, value in parts:
        key = SEPARATOR.join((id, name) if kind == "entry" else (id, kind, name))
        if kind == "entry":
            case.entries.append(read(_entry, key, value))
        elif kind == "alert":
            standings.append(read(_standing, key, value))
        elif kind == "answer":
            answers[read(int, key, name.encode())] = read(_answer, key, value)
        elif kind == "notice":
            case.notices[name] = read(_notice, key, value)
        else:
            raise ValueError(f"case {id!r} has a part {kind!r}, which this code does not know")
    _sort(case, standings, answers)
    if record.parts is not None and record.parts != _parts(case):
        raise ValueError(f"{_missing(case, record.parts, answers)} is missing")
    return case


def _missing(case: Case, told: Parts, answers: Mapping[int, Answer]) -> str:
    """Return the key of a record that is not there, as far as the others tell it."""
    entries = {one.n for one in case.entries}
    for number in range(told.entry, told.next_entry):
        if number not in entries:
            return repr(_key(case.id, "entry", str(number)))
    for number in range(told.answer, told.next_answer):
        if number not in answers:
            return repr(_key(case.id, "answer", str(number)))
    kind = "alert" if told.alerts != len(case.standings) else "notice"
    return f"a record {_key(case.id, kind, '')!r}…"


def _sort(case: Case, standings: list[Standing], answers: Mapping[int, Answer]) -> None:
    """Put the parts into the order of the log, in which the fold had them."""
    case.entries.sort(key=lambda one: one.n)
    case.standings = {one.first.alert_id: one for one in standings}
    case.sort()
    case.answers = {answers[n].id: answers[n] for n in sorted(answers)}
    case.answered = max(answers, default=-1) + 1


def _require_small(key: str, value: bytes | None) -> None:
    size = len(key.encode()) + len(value or b"")
    if size > RECORD_BYTES:
        raise RecordTooLarge(
            f"record {key!r} takes {size} bytes, at most {RECORD_BYTES} may be written"
        )
