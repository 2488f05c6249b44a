"""Reads a request's body without ever holding more than its limit."""

import asyncio
import contextlib
import zlib
from collections.abc import AsyncIterable, AsyncIterator, Mapping
from typing import Final

from services.publishing.publisher import Unavailable

_GZIP: Final = 16 + zlib.MAX_WBITS
_MANY: Final = (
    "application/cloudevents-batch+json",
    "application/x-ndjson",
    "application/ndjson",
    "application/json",
)


class TooLarge(Exception):
    """The body is longer than its limit."""


class Unreadable(Exception):
    """The body's encoding is broken."""


class UnknownEncoding(Exception):
    """The body's content encoding is not supported."""


class TooSlow(Exception):
    """The client takes too long to send its body."""


class Uploads:
    """The bodies of all running requests together.

    Args:
        single: Longest body of a single event, bytes.
        many: Longest body of many events, bytes.
        total: Bodies held at once, bytes.
        seconds: How long a client may take.
    """

    def __init__(self, single: int, many: int, total: int, seconds: float) -> None:
        self.held = 0
        self._single = single
        self._many = many
        self._total = total
        self._seconds = seconds

    @contextlib.asynccontextmanager
    async def body(
        self, headers: Mapping[str, str], stream: AsyncIterable[bytes]
    ) -> AsyncIterator[bytes]:
        """Read a body, uncompressed, and count it as held while the block lasts.

        Args:
            headers: By lower-case name.
            stream: The body as it arrives.

        Raises:
            TooLarge: Before more than the limit is read or uncompressed.
            Unreadable: Broken gzip.
            UnknownEncoding: Another encoding than gzip.
            TooSlow: The deadline has passed.
            Unavailable: Other requests hold too much.
        """
        limit = self._limit(headers)
        self._expect(headers, limit)
        chunks: list[bytes] = []
        try:
            await self._collect(_decoded(headers, stream, limit), chunks)
            yield b"".join(chunks)
        finally:
            self.held -= sum(map(len, chunks))

    async def _collect(self, arriving: AsyncIterable[bytes], chunks: list[bytes]) -> None:
        try:
            async with asyncio.timeout(self._seconds):
                async for chunk in arriving:
                    chunks.append(chunk)
                    self.held += len(chunk)
                    if self.held > self._total:
                        raise Unavailable("other requests hold too much memory now", 1)
        except TimeoutError:
            raise TooSlow(f"the body did not arrive within {self._seconds:g} s") from None

    def _limit(self, headers: Mapping[str, str]) -> int:
        media = headers.get("content-type", "application/json").partition(";")[0].strip().lower()
        binary = "ce-id" in headers
        return self._many if media in _MANY and not binary else self._single

    def _expect(self, headers: Mapping[str, str], limit: int) -> None:
        declared = headers.get("content-length", "")
        if declared.isdigit() and int(declared) > limit:
            raise _too_large(limit)


async def _decoded(
    headers: Mapping[str, str], stream: AsyncIterable[bytes], limit: int
) -> AsyncIterator[bytes]:
    encoding = headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "gzip", ""):
        raise UnknownEncoding(f"content encoding {encoding!r} is not supported; send gzip or none")
    arrived = _counted(stream, limit)
    async for chunk in (
        _counted(_gunzipped(arrived, limit), limit) if encoding == "gzip" else arrived
    ):
        yield chunk


async def _counted(stream: AsyncIterable[bytes], limit: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in stream:
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        yield chunk


async def _gunzipped(stream: AsyncIterable[bytes], limit: int) -> AsyncIterator[bytes]:
    """Uncompress in pieces of at most 64 kB, so that a bomb is noticed while it is small."""
    piece = min(limit + 1, 65_536)
    inflater = zlib.decompressobj(_GZIP)
    try:
        async for chunk in stream:
            while chunk:
                yield inflater.decompress(chunk, piece)
                chunk = inflater.unconsumed_tail
        while left := inflater.decompress(inflater.unconsumed_tail, piece):
            yield left
    except zlib.error as error:
        raise Unreadable(f"the gzip body is broken: {error}") from error
    if not inflater.eof or inflater.unused_data:
        raise Unreadable("the gzip body is cut off, or has something behind its end")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is longer than {limit} bytes; send several smaller ones")
