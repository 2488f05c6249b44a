"""The live stream of changes: what happened, in one order over all partitions."""

import re
from typing import Final, NamedTuple

from pydantic import ValidationError
from redis.exceptions import ResponseError

from services.alerts.shown import Change
from services.alerts.view.keys import Keys
from services.alerts.view.link import CALL_SECONDS, Link

START: Final = "0-0"
"""Before the first message that there ever was."""

_id = re.compile(r"[0-9]{1,20}-[0-9]{1,20}").fullmatch


class Trimmed(Exception):
    """The place from which a reader asks is not in the stream: it must read everything anew."""


class Stream:
    """The reading side of the live stream.

    Ids are Redis's own: milliseconds of its clock and a number. So they grow even over a FLUSHALL
    or a restart, after which the stream is empty. A place is good if nothing after it can be
    missing, that is between the oldest message kept and the newest one. Any other is answered by
    `Trimmed`:

    - older than the oldest message kept: what followed it may have been trimmed, or lost;
    - newer than anything: it is of another Redis, or of a clock that was set back;
    - anything but `0-0` in an empty stream: all was lost since then;
    - no id at all.

    So is a place before a message of another version that cannot be read.

    `0-0` is good as long as no message was ever trimmed.

    Args:
        link: Its connections are used for messages that are there already.
        blocking: Its connections wait; so they have no bound for one answer.
        keys: Names of the keys.
    """

    def __init__(self, link: Link, blocking: Link, keys: Keys) -> None:
        self._link = link
        self._blocking = blocking
        self._key = keys.stream

    async def tip(self) -> str:
        """Return the id of the newest message that there ever was, `0-0` for none.

        Raises:
            ViewAway: Redis does not answer.
        """
        async with self._link.bounded():
            return (await self._bounds()).last

    async def changes(self, after: str | None, block_ms: int, limit: int) -> list[Change]:
        """Return messages after a place, the oldest first.

        Args:
            after: Id of the last message that was seen; None: only what comes from now on. To
                miss nothing between two calls begin with `tip`.
            block_ms: How long to wait for the first one, 0 for not at all.
            limit: At most so many, >= 1.

        Raises:
            Trimmed: Messages after that place may be missing.
            ViewAway: Redis does not answer.
        """
        async with self._link.bounded():
            bounds = await self._bounds()
            place = bounds.last if after is None else _good(after, bounds)
            command = ("XREAD", "COUNT", limit)
            found = await self._link.ask(*command, "STREAMS", self._key, place)
        if not found and block_ms > 0:
            async with self._blocking.bounded(block_ms / 1000 + CALL_SECONDS):
                wait = ("BLOCK", block_ms, "STREAMS", self._key, place)
                found = await self._blocking.ask(*command, *wait)
        try:
            return [_change(*message) for _, messages in found or () for message in messages]
        except (KeyError, ValidationError) as error:
            raise Trimmed("the stream holds what this version cannot read") from error

    async def _bounds(self) -> "_Bounds":
        try:
            flat = await self._link.ask("XINFO", "STREAM", self._key)
        except ResponseError as error:
            if "no such key" in str(error):
                return _Bounds(START, START, False)
            raise
        info = {bytes(name): value for name, value in zip(flat[::2], flat[1::2], strict=True)}
        oldest, last = info[b"first-entry"], info[b"last-generated-id"].decode()
        trimmed = info[b"entries-added"] > info[b"length"]
        return _Bounds(oldest[0].decode() if oldest else last, last, trimmed)


class _Bounds(NamedTuple):
    """What the stream holds.

    Attributes:
        first: The oldest message kept; without one the newest that there ever was.
        last: The newest message that there ever was.
        trimmed: Whether any was ever trimmed.
    """

    first: str
    last: str
    trimmed: bool


def _good(after: str, bounds: _Bounds) -> str:
    """Return a place if nothing after it can be missing."""
    if after == START and not bounds.trimmed:
        return after
    if _id(after) and _order(bounds.first) <= _order(after) <= _order(bounds.last):
        return after
    raise Trimmed(
        f"the stream holds messages from {bounds.first} to {bounds.last}, what follows "
        f"{after[:50]!r} may be missing: read everything anew"
    )


def _order(id: str) -> tuple[int, int]:
    time, _, number = id.partition("-")
    return int(time), int(number)


def _change(id: bytes, fields: dict[bytes, bytes]) -> Change:
    return Change.model_validate_json(fields[b"c"]).model_copy(update={"id": id.decode()})
