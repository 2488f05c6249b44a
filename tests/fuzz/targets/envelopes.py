"""What stands in `events.v1`: envelopes, and a partition that folds whatever is in them."""

import base64
import gzip
import json
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec

from schemas import envelope
from schemas.envelope import Entry, encode_entry
from schemas.events import UsageRecorded
from services.detector.partition import Partition
from tests.fuzz.target import Target
from tests.unit.ingest.builders import NOW

FIXTURE = Path(__file__).parents[2] / "faults" / "fixtures" / "state-v1.json.gz"
GOOD = Entry("good", "/api", NOW, ("account:good",), UsageRecorded(metric="api_calls", quantity=1))


@lru_cache
def frozen() -> dict[str, Any]:
    """Return a log and snapshots as an earlier version wrote them."""
    found: dict[str, Any] = json.loads(gzip.decompress(FIXTURE.read_bytes()))
    return found


@lru_cache
def _messages() -> tuple[bytes, ...]:
    return tuple(base64.b64decode(one["value"]) for one in frozen()["log"][::20])


@lru_cache
def _entries() -> tuple[bytes, ...]:
    found = [entry for message in _messages() for _, entry in envelope.decode(message)[0]]
    newest = {type(entry.event): entry for entry in found}
    return tuple(encode_entry(entry) for entry in newest.values())


def _check_envelope(message: bytes) -> None:
    entries, unreadable = envelope.decode(message)
    places = [place for place, _ in entries] + [one.place for one in unreadable]
    assert len({*places}) == len(places)
    assert entries or unreadable or _is_empty(message)
    for _, entry in entries:
        assert envelope.decode_entry(encode_entry(entry)) == entry


def _is_empty(message: bytes) -> bool:
    return bool(msgspec.msgpack.decode(message)[1] == [])


def _check_beside(bad: bytes) -> None:
    """An entry that cannot be read takes neither the one before it nor the one after it along."""
    try:
        msgspec.msgpack.decode(bad)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return
    fine = encode_entry(GOOD)
    entries, unreadable = envelope.decode(envelope.join([fine, bad, fine]))
    found = dict(entries)
    assert (found[0], found[2]) == (GOOD, GOOD)
    assert len(found) + len(unreadable) == 3


def _check_fold(message: bytes) -> None:
    """A partition folds whatever it is, goes on, counts what follows, and can be written."""
    partition = Partition.begin(0, 1)
    partition.apply(0, NOW, message)
    partition.apply(1, NOW, envelope.encode([GOOD]))
    for _ in range(50):
        if not partition.judge(100):
            break
    assert partition.accounts["account:good"].quarantine is None
    cut = partition.cut()
    snapshot = {key: value for key, value in cut.records if value is not None}
    restored = Partition.restore(0, 1, snapshot)
    assert restored.accounts.keys() == partition.accounts.keys()
    for refused in cut.rejects:
        msgspec.json.encode(refused)
    for alert in cut.alerts:
        msgspec.json.encode(alert)
    partition.forwards()


def _folded() -> Sequence[bytes]:
    return [*_messages(), *(envelope.join([one]) for one in _entries())]


TARGETS = (
    Target("envelope", _check_envelope, _messages),
    Target("envelope-beside", _check_beside, _entries),
    Target("fold", _check_fold, _folded),
)
