"""The envelope codec: what one message of `events.v1` holds (design.md §3).

An envelope is MessagePack: `[version, [entry, ...]]`, all of one partition, at most
`ENTRY_LIMIT` entries and `BYTE_LIMIT` bytes.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import msgspec

from .events import Event

VERSION = 1
ENTRY_LIMIT = 500
BYTE_LIMIT = 512 * 1024
ACCOUNT = "account:"
PERSON = "person:"
COLLEAGUE = "colleague:"
COMPANY = "company"


class Origin(NamedTuple):
    """Where an entry came from; ordered within one (input, partition).

    Attributes:
        input: Name of the input, `import`, or `repair:<subject>`.
        partition: Partition of the input's topic; 0 for an import.
        offset: Offset in that partition; the run's number for an import.
        place: Place within that record; the number in the merged time order for an import.
    """

    input: str
    partition: int
    offset: int
    place: int


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, gc=False):
    """One event of one partition.

    Attributes:
        id: The event's id, unique per source.
        source: The event's source.
        time: Microseconds since 1970-01-01 UTC; 0 takes the append time of the message.
        subjects: The subjects of this partition that the event is folded into, such as
            `account:acct_42`; empty for an event that only concerns the partition's ledger.
        event: The event.
        origin: Where it came from; None over HTTP.
        day: The local day, in days since 1970-01-01, of a row that has only a date.
    """

    id: str
    source: str
    time: int
    subjects: tuple[str, ...]
    event: Event
    origin: Origin | None = None
    day: int | None = None


class Unreadable(NamedTuple):
    """An entry, or a whole message (place None), that cannot be decoded."""

    place: int | None
    reason: str
    raw: bytes


class _Frame(msgspec.Struct, frozen=True, array_like=True, gc=False):
    version: int
    entries: msgspec.Raw


_encoder = msgspec.msgpack.Encoder()
_frames = msgspec.msgpack.Decoder(_Frame)
_entries = msgspec.msgpack.Decoder(list[Entry])
_raws = msgspec.msgpack.Decoder(list[msgspec.Raw])
_one = msgspec.msgpack.Decoder(Entry)


def account(account_id: str) -> str:
    """Return the subject of an account.

    >>> account("acct_42")
    'account:acct_42'
    """
    return ACCOUNT + account_id


def encode_entry(entry: Entry) -> bytes:
    """Return one entry's bytes, ready for `join`."""
    return _encoder.encode(entry)


def decode_entry(raw: bytes) -> Entry:
    """Read one entry back.

    Args:
        raw: What `encode_entry` returned.

    Raises:
        msgspec.ValidationError: If it is no entry.
    """
    return _one.decode(raw)


def join(entries: Sequence[bytes]) -> bytes:
    """Return the message of some encoded entries.

    Args:
        entries: What `encode_entry` returned, 1 to `ENTRY_LIMIT` of them.
    """
    return _encoder.encode((VERSION, [msgspec.Raw(entry) for entry in entries]))


def encode(entries: Iterable[Entry]) -> bytes:
    """Return the message of some entries."""
    return _encoder.encode((VERSION, list(entries)))


def decode(message: bytes | None) -> tuple[list[tuple[int, Entry]], list[Unreadable]]:
    """Read a message back; what cannot be read is told apart and takes nothing with it.

    Args:
        message: The value of a record of `events.v1`.

    Returns:
        The readable entries with their place, and what is unreadable with its reason.

    >>> decode(b"no")[1][0].place is None
    True
    """
    try:
        frame = _frames.decode(message or b"")
        if frame.version != VERSION:
            return [], [Unreadable(None, f"version {frame.version} is unknown", message or b"")]
        return list(enumerate(_entries.decode(frame.entries))), []
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return _decode_singly(message or b"")


def _decode_singly(message: bytes) -> tuple[list[tuple[int, Entry]], list[Unreadable]]:
    """Read entry by entry, since one of them is broken."""
    try:
        raws = _raws.decode(_frames.decode(message).entries)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return [], [Unreadable(None, str(error), message)]
    good: list[tuple[int, Entry]] = []
    bad: list[Unreadable] = []
    for index, result in enumerate(_try_each(raws)):
        if isinstance(result, Entry):
            good.append((index, result))
        else:
            bad.append(Unreadable(index, result, bytes(raws[index])))
    return good, bad


def _try_each(raws: list[Any]) -> Iterator[Entry | str]:
    for raw in raws:
        try:
            yield _one.decode(raw)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            yield str(error)
