"""What was replayed of `rejects.v1`, so that no refusal is sent a second time. Pure.

The detector drops an entry whose origin is not newer than the newest one of that input partition.
Refusals are replayed in any order: today those of last night, tomorrow those of the week before.
So every replay goes over a *track*, an input name of its own on which offsets only go up: the
first track whose newest offset lies before all that is to be sent, or a new one. Refusals expire,
and with them the reasons for many tracks: their number is how often somebody went back in time
within fourteen days, and one more.

What is going to be sent is written into `config.v1` before it is sent. A replay that was cut off
is taken up with the same origins, and what had arrived is dropped by them.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

KEY: Final = "replays"
VERSION: Final = 1
RECORD_BYTES: Final = 900_000
"""Of the record; a producer's request may have 1 MB."""

Span = tuple[int, int]


class Part(msgspec.Struct, frozen=True, omit_defaults=True):
    """One partition of `rejects.v1`.

    Attributes:
        tracks: Per track, the newest offset that was sent over it.
        done: Spans of offsets, first and last, none of which is to be sent again.
    """

    tracks: tuple[int, ...] = ()
    done: tuple[Span, ...] = ()


class Run(msgspec.Struct, frozen=True):
    """A replay that was begun, and is not known to have ended.

    Attributes:
        began_ms: When, milliseconds since 1970-01-01 UTC.
        tracks: Its track, by partition.
        offsets: What it sends, by partition, in order.
    """

    began_ms: int
    tracks: dict[int, int]
    offsets: dict[int, list[int]]

    @property
    def size(self) -> int:
        """How many refusals it sends."""
        return sum(map(len, self.offsets.values()))


class Replays(msgspec.Struct, frozen=True, omit_defaults=True):
    """The record under `replays`.

    Attributes:
        parts: By partition of `rejects.v1`.
        open: A run that has not ended, or None.
    """

    v: int = VERSION
    parts: dict[int, Part] = msgspec.field(default_factory=dict)
    open: Run | None = None

    def done(self, partition: int, offset: int) -> bool:
        """Tell whether a refusal was sent already."""
        part = self.parts.get(partition)
        if part is None:
            return False
        at = bisect_right(part.done, (offset, 1 << 63)) - 1
        return at >= 0 and part.done[at][1] >= offset


def read(raw: bytes | None) -> Replays:
    """Return what a record says; nothing was replayed where there is none.

    Raises:
        ValueError: It is of an unknown version.
    """
    if raw is None:
        return Replays()
    found = msgspec.json.decode(raw, type=Replays)
    if found.v != VERSION:
        raise ValueError(f"the record {KEY!r} is of version {found.v}, this code reads {VERSION}")
    return found


def write(replays: Replays) -> bytes:
    """Return the record."""
    return msgspec.json.encode(replays)


def tracks(replays: Replays, firsts: Mapping[int, int]) -> dict[int, int]:
    """Return the track over which each partition's refusals may be sent.

    Args:
        replays: The record.
        firsts: The lowest offset that may be sent, by partition.
    """
    found = {}
    for number, first in firsts.items():
        newest = replays.parts.get(number, Part()).tracks
        free = (track for track, reached in enumerate(newest) if reached < first)
        found[number] = next(free, len(newest))
    return found


def begin(
    replays: Replays,
    chosen: Mapping[int, int],
    offsets: Mapping[int, Sequence[int]],
    now_ms: int,
) -> Replays:
    """Return the record with a run begun.

    Args:
        replays: The record, without a run.
        chosen: Track by partition, from `tracks`.
        offsets: What is going to be sent, by partition, in order; at least one of each.
        now_ms: Milliseconds since 1970-01-01 UTC.
    """
    parts = dict(replays.parts)
    for number, wanted in offsets.items():
        part, track = parts.get(number, Part()), chosen[number]
        newest = (*part.tracks[:track], wanted[-1], *part.tracks[track + 1 :])
        parts[number] = msgspec.structs.replace(part, tracks=newest)
    sent = {number: list(some) for number, some in offsets.items()}
    return Replays(parts=parts, open=Run(now_ms, {one: chosen[one] for one in sent}, sent))


def finish(
    replays: Replays,
    kept: Mapping[int, Sequence[int]],
    read_from: Mapping[int, int],
) -> Replays:
    """Return the record with its run ended.

    Args:
        replays: The record, with a run.
        kept: Offsets of all refusals that were read, wanted or not, by partition, in order: where
            none lies between two spans they become one.
        read_from: From where on they were read, by partition.
    """
    run = replays.open
    if run is None:
        return replays
    parts = dict(replays.parts)
    for number, sent in run.offsets.items():
        part = parts[number]
        spans = _joined(
            [*part.done, *((one, one) for one in sent)], kept.get(number, ()), read_from[number]
        )
        parts[number] = Part(part.tracks, spans)
    return Replays(parts=parts)


def forget(replays: Replays, starts: Mapping[int, int], ends: Mapping[int, int]) -> Replays:
    """Return the record without what has expired, or belongs to a topic that is gone.

    Args:
        replays: The record.
        starts: First offset that is kept, by partition.
        ends: Offset of the next record, by partition; one before what was replayed belongs to a
            topic that was created anew, of which nothing was replayed yet. Its tracks stay: the
            detector remembers them.
    """
    parts = {}
    for number, part in replays.parts.items():
        anew = bool(part.done) and part.done[-1][1] >= ends.get(number, 0)
        done = tuple(span for span in part.done if span[1] >= starts.get(number, 0))
        parts[number] = msgspec.structs.replace(part, done=() if anew else done)
    return msgspec.structs.replace(replays, parts=parts)


def _joined(spans: Iterable[Span], kept: Sequence[int], read_from: int) -> tuple[Span, ...]:
    """Join spans between which no refusal lies; offsets between them belong to transactions."""
    found: list[Span] = []
    for first, last in sorted(spans):
        if found and (first <= found[-1][1] + 1 or _empty(found[-1][1], first, kept, read_from)):
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return tuple(found)


def _empty(after: int, before: int, kept: Sequence[int], read_from: int) -> bool:
    return after >= read_from and bisect_right(kept, after) == bisect_left(kept, before)
