"""What every format makes of a body or a record."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

import msgspec

from schemas.cloudevents import Incoming, Refused

WHOLE_BODY = frozenset({"too_deep", "too_many", "unsupported_media"})
"""Reasons for which a request is refused as a whole, however many events it holds."""


class Batch(NamedTuple):
    """The events of one body or record, in its order; an event's index is its place here.

    Attributes:
        raws: Each event's own bytes, as far as they can be told apart.
        outcomes: Each event, or why it is refused.
    """

    raws: Sequence[bytes | msgspec.Raw]
    outcomes: list[Incoming | Refused]


class Format(Protocol):
    """A module that reads one format; the same function serves HTTP and Kafka."""

    NAME: str

    def read(self, headers: Mapping[str, str], body: bytes, limit: int) -> Batch:
        """Read a body or a record; nothing is raised for any input.

        Args:
            headers: By lower-case name.
            body: The raw bytes, uncompressed.
            limit: How many events there may be, >= 1.
        """


def by_name(headers: Iterable[tuple[str, bytes | None]] | None) -> dict[str, str]:
    """Return a record's headers as text, by lower-case name; one without a value says nothing.

    >>> by_name([("Content-Type", b"text/plain"), ("ce_subject", None)])
    {'content-type': 'text/plain'}
    """
    return {
        name.lower(): value.decode(errors="replace")
        for name, value in headers or ()
        if value is not None
    }


def read(format: Format, headers: Mapping[str, str], body: bytes, limit: int) -> Batch:
    """Read a body or a record as its format does, also if that has a bug and raises.

    Args:
        format: How it is read.
        headers: By lower-case name.
        body: The raw bytes.
        limit: How many events there may be, >= 1.

    Raises:
        MemoryError: There is none left.
    """
    try:
        return format.read(headers, body, limit)
    except MemoryError:
        # Nothing is wrong with it.
        raise
    except Exception as error:
        # One record must not stop those behind it for ever.
        return Batch((body,), [failed(format, error)])


def failed(format: Format, error: Exception) -> Refused:
    """Return the refusal of what raised an error, once it was in a format."""
    detail = f"format {format.NAME} raised {error!r}; report this with the raw bytes"
    return Refused("format_failed", "", detail)
