"""A record of the alert log as it is read: what it says, or why it is refused. Pure."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple, get_args

import msgspec
from msgspec.structs import replace

from schemas import alerts, cases
from schemas.alerts import AlertRecord
from schemas.cases import LogRecord
from schemas.rejects import RAW_LIMIT, Reject
from schemas.topics import ALERTS

KEY_LIMIT: Final = 210
"""Characters of a case's key. Source: schemas/cases.py, CaseId."""

ALERT_BYTES: Final = 64 * 1024
"""An alert's record, in JSON; of a longer one only the words of the evidence are kept.

Three of them and people's feedback fit into one record of the snapshot.
"""

NESTING_LIMIT: Final = 32
"""Levels of an alert's evidence; whoever encodes it anew must not run out of stack."""

WORDS: Final = ("headline", "title", "text", "play")
WORDS_LIMIT: Final = 4_000

UNKNOWN_TYPE: Final = "unknown_type"
"""Written by a newer version: passed over, and no fault."""

_TYPES: Final = frozenset(one.__struct_config__.tag for one in get_args(LogRecord))


class Refusal(NamedTuple):
    """Why a record is not folded.

    Attributes:
        reason: A code, the label of the metric.
        detail: What is wrong, for a person.
    """

    reason: str
    detail: str

    def reject(self, partition: int, offset: int, key: str, value: bytes | None) -> Reject:
        """Return what `rejects.v1` keeps of the record.

        Args:
            partition: The partition of `alerts.v1`.
            offset: The record.
            key: Its key.
            value: Its value.
        """
        return Reject(
            stage="alerts",
            reason=self.reason,
            detail=self.detail,
            raw=(value or b"")[:RAW_LIMIT],
            source=key[:KEY_LIMIT],
            topic=ALERTS.name,
            partition=partition,
            offset=offset,
        )


class _Head(msgspec.Struct):
    type: str


_head = msgspec.json.Decoder(_Head).decode


def read(key: str, value: bytes | None) -> LogRecord | Refusal:
    """Read a record of the alert log.

    Args:
        key: Its key, which names the case.
        value: Its value, JSON.

    Returns:
        What it says, or why that cannot be folded.
    """
    if value is None:
        return Refusal("empty", "the record has no value; this log is never compacted")
    try:
        record = cases.decode(value)
    except msgspec.ValidationError as error:
        return _of_another_type(value) or Refusal("invalid", str(error))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Refusal("unreadable", f"{type(error).__name__}: {error}")
    case = record.account if isinstance(record, AlertRecord) else record.case
    return _wrong(key, case) or (_fitting(record) if isinstance(record, AlertRecord) else record)


def _of_another_type(value: bytes) -> Refusal | None:
    try:
        type_ = _head(value).type
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    if type_ in _TYPES:
        return None
    return Refusal(UNKNOWN_TYPE, f"this version knows no record of type {type_[:100]!r}")


def _wrong(key: str, case: str) -> Refusal | None:
    if key != case:
        return Refusal("key", f"the record is of case {case[:100]!r}, its key is {key[:100]!r}")
    if not 0 < len(key) <= KEY_LIMIT or not key.isprintable():
        rule = f"1 to {KEY_LIMIT} printable characters"
        return Refusal("key", f"a case's key has {rule}, not {key[:100]!r}")
    return None


def _fitting(record: alerts.Alert) -> alerts.Alert | Refusal:
    if any(level > NESTING_LIMIT for level in _levels(record.because)):
        return Refusal("nested", f"evidence is nested {NESTING_LIMIT} levels deep at most")
    if len(alerts.encode(record)) <= ALERT_BYTES:
        return record
    words = {name: str(record.because.get(name, ""))[:WORDS_LIMIT] for name in WORDS}
    kept = replace(record, because={name: said for name, said in words.items() if said})
    if len(alerts.encode(kept)) <= ALERT_BYTES:
        return kept
    return Refusal("too_large", f"an alert has {ALERT_BYTES} bytes at most without its evidence")


def _levels(value: Any) -> Iterator[int]:
    """Yield the level of every container inside a value, breadth first, and one too deep last."""
    level, found = 0, [value]
    while found and level <= NESTING_LIMIT:
        level += 1
        yield level
        found = [
            inner
            for outer in found
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
