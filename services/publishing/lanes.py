"""The queue of one partition: entries of many callers in, envelopes out."""

import asyncio
from collections import deque
from typing import Final

from schemas.envelope import BYTE_LIMIT, ENTRY_LIMIT

FRAME_BYTES: Final = 64
"""More than the MessagePack frame of an envelope takes."""
ENTRY_BYTES: Final = BYTE_LIMIT - FRAME_BYTES
"""A longer entry fits no envelope and must be refused before."""


class Ticket:
    """One call of `publish`: done when its last chunk is acknowledged.

    Args:
        chunks: Number of partitions that the call has entries for, >= 1.
    """

    __slots__ = ("abandoned", "appended_ms", "chunks", "future")

    def __init__(self, chunks: int) -> None:
        self.future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.chunks = chunks
        self.abandoned = False
        self.appended_ms = 0

    def acknowledge(self, appended_ms: int) -> None:
        """Count one chunk as appended at a time, milliseconds since 1970-01-01 UTC."""
        self.chunks -= 1
        self.appended_ms = max(self.appended_ms, appended_ms)
        if self.chunks == 0 and not self.future.done():
            self.future.set_result(None)


class Chunk:
    """The entries of one call for one partition, from `start` on still to be sent.

    Args:
        ticket: The call.
        entries: Its entries for the partition, each at most `ENTRY_BYTES` long.
    """

    __slots__ = ("entries", "size", "start", "ticket")

    def __init__(self, ticket: Ticket, entries: list[bytes]) -> None:
        self.ticket = ticket
        self.entries = entries
        self.size = sum(map(len, entries))
        self.start = 0


class Lane:
    """The queue of one partition, in the order of the calls.

    Args:
        partition: Its partition.
    """

    def __init__(self, partition: int) -> None:
        self.partition = partition
        self.chunks: deque[Chunk] = deque()
        self.entries = 0
        self.size = 0
        self.woken = asyncio.Event()
        self.full = asyncio.Event()
        self.cut_at = 0.0

    def put(self, chunk: Chunk) -> None:
        """Append a chunk and wake whoever sends."""
        self.chunks.append(chunk)
        self._count(len(chunk.entries), chunk.size)

    def _count(self, entries: int, size: int) -> None:
        self.entries += entries
        self.size += size
        for event, holds in (
            (self.woken, self.entries > 0),
            (self.full, self.entries >= ENTRY_LIMIT or self.size >= ENTRY_BYTES),
        ):
            if holds:
                event.set()
            else:
                event.clear()

    def cut(self) -> tuple[list[bytes], list[Ticket], int]:
        """Take one envelope's entries off the queue.

        Returns:
            The entries, the tickets that they finish, and how many bytes leave the queue.
        """
        taken: list[bytes] = []
        finished: list[Ticket] = []
        room, gone, left = ENTRY_BYTES, 0, 0
        while self.chunks:
            chunk = self.chunks[0]
            if chunk.ticket.abandoned:
                # Nobody waits for these any more: the client was told to send them again.
                left += chunk.size
                gone += len(chunk.entries) - chunk.start
                self.chunks.popleft()
                continue
            some, size = _take(chunk, ENTRY_LIMIT - len(taken), room)
            taken += some
            room -= size
            if chunk.start < len(chunk.entries):
                break
            finished.append(chunk.ticket)
            self.chunks.popleft()
        left += ENTRY_BYTES - room
        self._count(-gone - len(taken), -left)
        return taken, finished, left


def _take(chunk: Chunk, count: int, room: int) -> tuple[list[bytes], int]:
    """Take a chunk's next entries, at most `count` of them and `room` bytes."""
    if chunk.start == 0 and len(chunk.entries) <= count and chunk.size <= room:
        chunk.start, size, chunk.size = len(chunk.entries), chunk.size, 0
        return chunk.entries, size
    size, stop = 0, chunk.start
    for entry in chunk.entries[chunk.start : chunk.start + count]:
        if size + len(entry) > room:
            break
        size += len(entry)
        stop += 1
    taken = chunk.entries[chunk.start : stop]
    chunk.start = stop
    chunk.size -= size
    return taken, size
