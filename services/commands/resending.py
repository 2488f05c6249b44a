"""What a refusal becomes when it is tried again today: entries for the log, or why not. Pure.

Exactly once, whoever repeats what:

* What an input topic brought gets an origin of its own, `replay:<track>`. The detector drops it if
  the same origin came before, for ever, and if the same id came over an input, as it always does.
* What came over HTTP gets none, like every event over HTTP: the same id counts once, also when its
  sender has sent it again meanwhile, within the horizon of ids.
* What the detector refused had passed its check of ids when it came first. It gets the origin
  `repair:rejects/<track>`, with which the origin alone decides.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from schemas.cloudevents import Incoming, Refused
from schemas.config import Input
from schemas.envelope import Entry, Origin, decode, encode_entry
from schemas.events import SYSTEM, type_name
from schemas.rejects import RAW_LIMIT, Reject
from services.commands.originals import Original, Place
from services.commands.rejected import Refusal
from services.ingest.entries import admit
from services.ingest.formats import Format, cloudevents, find, read
from services.ingest.rejects import reject as rejected
from services.publishing.lanes import ENTRY_BYTES

EVENT_LIMIT: Final = 100_000
"""As many events in one record as ingest can be told to take."""
FROM_INPUTS: Final = "replay:"
FROM_DETECTOR: Final = "repair:rejects/"
"""Begins as repairs do, for which the detector's ledger asks the origin alone."""

_entry = msgspec.json.Decoder(Entry)
_SYSTEM: Final = frozenset(SYSTEM.values())
_FOR_GOOD: Final = {
    "forbidden_source": "send it with a key for that source: `ebbwatch keys create --source`",
}
"""Refused for what is not in the event: trying it again here would pass the check by."""


@dataclass(frozen=True, slots=True)
class Now:
    """What is true today.

    Attributes:
        inputs: The inputs of the newest rule set, by name.
        partitions: Partition count of `events.v1`.
        events: Full name of `events.v1`.
        micros: The wall clock, microseconds since 1970-01-01 UTC.
    """

    inputs: Mapping[str, Input]
    partitions: int
    events: str
    micros: int


@dataclass(slots=True)
class Again:
    """What became of one refusal.

    Attributes:
        refusal: The refusal.
        items: Partition and encoded entry of what can be sent.
        events: How many events those are.
        refused: What is still refused; several of a record that was refused as a whole.
        anew: Refusals to be written beside `items`: of events whose record can be sent in part.
    """

    refusal: Refusal
    items: list[tuple[int, bytes]] = field(default_factory=list)
    events: int = 0
    refused: list[Refused] = field(default_factory=list)
    anew: list[Reject] = field(default_factory=list)


def place_of(refusal: Refusal, now: Now) -> Place | None:
    """Return where the refused record stands, or None where it is kept nowhere else."""
    reject = refusal.reject
    if reject.partition is None or reject.offset is None or reject.stage == "alerts":
        return None
    topic = now.events if reject.stage == "detector" else reject.topic
    return Place(topic, reject.partition, reject.offset)


def again(refusal: Refusal, original: Original | None, now: Now, track: int) -> Again:
    """Try a refusal again.

    Args:
        refusal: The refusal.
        original: What stands today where its bytes came from, if that is known.
        now: What is true today.
        track: On which its origin lies, if it gets one.
    """
    reject, tried = refusal.reject, Again(refusal)
    if reject.stage == "alerts":
        detail = "records of alerts.v1 are written by the services and are not sent again"
        tried.refused.append(Refused(reject.reason, "", detail))
    elif reject.reason in _FOR_GOOD:
        tried.refused.append(Refused(reject.reason, reject.field, _FOR_GOOD[reject.reason]))
    elif reject.stage == "detector":
        _entries_again(tried, original, track)
    elif reject.topic:
        _input_again(tried, original, now, track)
    elif reject.index is None:
        detail = "it stood in a file: correct it there, and run `ebbwatch import` again"
        tried.refused.append(Refused(reject.reason, reject.field, detail))
    else:
        outcomes = [
            (raw, _own(outcome, reject)) for raw, outcome in _read(cloudevents, {}, reject.raw)
        ]
        _admit(tried, outcomes, now, None, refusal.at_ms)
    return tried


Read = tuple[bytes, Incoming | Refused]


def _input_again(tried: Again, original: Original | None, now: Now, track: int) -> None:
    refusal = tried.refusal
    topic = refusal.reject.topic
    one = next((each for each in now.inputs.values() if each.topic == topic), None)
    format = None if one is None else find(one.format)
    if one is None or format is None:
        what = f"topic {topic!r} is no input" if one is None else f"there is no {one.format!r}"
        detail = f"{what} any more; name it in inputs.toml and run `ebbwatch config apply`"
        tried.refused.append(Refused("no_input", "", detail))
        return
    outcomes, at_ms = _of_record(format, refusal, original)
    _admit(tried, outcomes, now, f"{FROM_INPUTS}{track}", at_ms)


def _of_record(
    format: Format, refusal: Refusal, original: Original | None
) -> tuple[list[Read], int]:
    """Read the refused event of a record, or all of one that was refused as a whole."""
    raw, index = refusal.reject.raw, refusal.reject.index or 0
    if original is not None:
        found = _read(format, original.headers, original.value)
        if original.value[:RAW_LIMIT] == raw:
            return found, original.at_ms
        if index < len(found) and found[index][0][:RAW_LIMIT] == raw:
            return [found[index]], original.at_ms
    if len(raw) >= RAW_LIMIT:
        detail = f"only its first {RAW_LIMIT} bytes are kept, and its record has expired"
        return [(raw, Refused("cut", "", detail))], refusal.at_ms
    return _read(format, {}, raw), refusal.at_ms


def _own(outcome: Incoming | Refused, reject: Reject) -> Incoming | Refused:
    """Refuse an event of another source than its key could send for: nobody asks the key again."""
    if isinstance(outcome, Refused) or reject.source in ("", outcome.source):
        return outcome
    detail = f"it came with a key for source {reject.source!r}; {_FOR_GOOD['forbidden_source']}"
    return Refused("forbidden_source", "source", detail, outcome.id, outcome.source)


def _read(format: Format, headers: Mapping[str, str], body: bytes) -> list[Read]:
    batch = read(format, headers, body, EVENT_LIMIT)
    raws = [bytes(raw) for raw in batch.raws]
    return list(zip(raws, batch.outcomes, strict=True))


def _admit(tried: Again, outcomes: list[Read], now: Now, input: str | None, at_ms: int) -> None:
    """Take events in as ingest does, each with its own place in the origin."""
    refusal = tried.refusal
    reject = refusal.reject
    for place, (raw, outcome) in enumerate(outcomes):
        refused = outcome
        if isinstance(outcome, Incoming):
            origin = input and Origin(input, refusal.partition, refusal.offset, place)
            admitted = admit(outcome, now.partitions, now.micros, origin or None, at_ms * 1000)
            if isinstance(admitted, list):
                tried.items += admitted
                tried.events += 1
                continue
            refused = admitted
        assert isinstance(refused, Refused)
        tried.refused.append(refused)
        tried.anew.append(
            rejected(
                refused,
                raw,
                place,
                source=reject.source,
                topic=reject.topic,
                partition=reject.partition,
                offset=reject.offset,
            )
        )
    if not tried.items:
        tried.anew.clear()


def _entries_again(tried: Again, original: Original | None, track: int) -> None:
    """Take up entries that the detector refused, on the partition where they stood."""
    refusal = tried.refusal
    reject = refusal.reject
    found = _entries(refusal, original)
    if isinstance(found, Refused):
        tried.refused.append(found)
        return
    appended = (original.at_ms if original is not None else refusal.at_ms) * 1000
    for place, entry in found:
        subjects = _subjects(entry, reject)
        if isinstance(subjects, Refused):
            tried.refused.append(subjects)
            continue
        origin = Origin(f"{FROM_DETECTOR}{track}", refusal.partition, refusal.offset, place)
        entry = msgspec.structs.replace(
            entry, time=entry.time or appended, subjects=subjects, origin=origin
        )
        again = encode_entry(entry)
        if len(again) > ENTRY_BYTES:
            detail = f"the entry takes {len(again)} bytes, more than {ENTRY_BYTES}; send less data"
            tried.refused.append(Refused("too_large", "data", detail, entry.id, entry.source))
            continue
        tried.items.append((reject.partition or 0, again))
        tried.events += 1


def _entries(refusal: Refusal, original: Original | None) -> list[tuple[int, Entry]] | Refused:
    """Return the refused entries with their places: one, or all of a message nobody could read."""
    reject = refusal.reject
    if original is not None:
        entries = decode(original.value)[0]
        if reject.index is None and entries and original.value[:RAW_LIMIT] == reject.raw:
            return entries
        found = [(place, entry) for place, entry in entries if place == reject.index]
        if found and _same(found[0][1], reject):
            return found
    try:
        return [(0, _entry.decode(reject.raw))]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Refused("unreadable", "", f"this version cannot read the entry: {error}")


def _same(entry: Entry, reject: Reject) -> bool:
    """Tell whether an entry is the refused one, and not that of a topic created anew."""
    if reject.reason == "unreadable":
        return True
    head = msgspec.json.encode((entry.id, entry.source))[:-1]
    return reject.raw.startswith(head)


def _subjects(entry: Entry, reject: Reject) -> tuple[str, ...] | Refused:
    """Return the subjects to fold an entry into: only the one that refused it."""
    if type(entry.event) in _SYSTEM:
        detail = f"{type_name(type(entry.event))} is written by ebbwatch itself"
        return Refused(reject.reason, "", detail, entry.id, entry.source)
    if reject.field in entry.subjects:
        return (reject.field,)
    if len(entry.subjects) > 1 and reject.reason not in WHOLE_ENTRY:
        detail = f"which of {', '.join(entry.subjects)} refused it is not recorded"
        return Refused(reject.reason, "", detail, entry.id, entry.source)
    return entry.subjects


WHOLE_ENTRY: Final = frozenset({"future", "invalid", "unreadable"})
"""Reasons for which no subject has folded an entry."""
