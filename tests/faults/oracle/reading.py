"""What the oracle reads: messages of a log, and what it cannot recount."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from schemas import envelope
from schemas.envelope import Entry


class Message(Protocol):
    """One record of a topic, as a reader of the broker gives it."""

    @property
    def offset(self) -> int:
        """Its offset."""

    @property
    def appended(self) -> int:
        """Its append time, microseconds since 1970-01-01 UTC."""

    @property
    def value(self) -> bytes | None:
        """Its value."""


class Keyed(Message, Protocol):
    """One record of a topic with keys."""

    @property
    def key(self) -> bytes | None:
        """Its key."""


Logs = Mapping[int, Sequence[Message]]


class Unaccountable(Exception):
    """A log holds something that the oracle was not made to recount; the message says what."""


class Place(NamedTuple):
    """Where an entry stands: message, place in it (None for all of it), append time."""

    offset: int
    entry: int | None
    appended: int


def places(messages: Iterable[Message]) -> Iterator[tuple[Place, Entry | None]]:
    """Yield every entry of a log in order; None for one that nobody can read."""
    for message in messages:
        good, bad = envelope.decode(message.value)
        found: list[tuple[int, int | None, Entry | None]] = [(i, i, one) for i, one in good]
        found += [(-1 if one.place is None else one.place, one.place, None) for one in bad]
        for _, index, one in sorted(found, key=lambda each: each[0]):
            yield Place(message.offset, index, message.appended), one


Stamp = tuple[int, str]
"""What decides which of two writes is newer: event time, then id."""

NEVER: Stamp = (-1, "")
ID_SIZE = 36


def stamp_of(time: int, id: str) -> Stamp:
    """Return the stamp of a write.

    Raises:
        Unaccountable: The id is so long that the detector compares a hash in its place.
    """
    if len(id) > ID_SIZE:
        raise Unaccountable(f"id {id!r} has more than {ID_SIZE} characters: writes are compared")
    return time, id
