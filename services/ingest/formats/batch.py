"""What every format makes of a body or a record."""

from collections.abc import Mapping, Sequence
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
