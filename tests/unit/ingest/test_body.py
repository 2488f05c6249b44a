import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator, Mapping

import pytest

from services.ingest.body import TooLarge, TooSlow, UnknownEncoding, Unreadable, Uploads
from services.publishing.publisher import Unavailable

LIMIT = 1000
BATCH = {"content-type": "application/cloudevents-batch+json"}
SINGLE = {"content-type": "application/cloudevents+json"}
GZIP = {**BATCH, "content-encoding": "gzip"}


class Stream:
    """A body that counts how much of it is asked for."""

    def __init__(self, *chunks: bytes) -> None:
        self.chunks = chunks
        self.read = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            self.read += len(chunk)
            yield chunk


def uploads(total: int = 10 * LIMIT, seconds: float = 5) -> Uploads:
    return Uploads(single=LIMIT // 10, many=LIMIT, total=total, seconds=seconds)


async def read(headers: Mapping[str, str], stream: Stream, reader: Uploads | None = None) -> bytes:
    reader = reader or uploads()
    async with reader.body(headers, stream) as body:
        assert reader.held == len(body)
        return body


@pytest.mark.parametrize(
    "headers, size",
    [(BATCH, LIMIT), (SINGLE, LIMIT // 10), ({}, LIMIT), ({**BATCH, "ce-id": "1"}, LIMIT // 10)],
)
async def test_a_body_may_be_as_long_as_its_limit_and_no_longer(
    headers: Mapping[str, str], size: int
) -> None:
    assert await read(headers, Stream(b"x" * (size - 1), b"x")) == b"x" * size
    with pytest.raises(TooLarge, match=f"longer than {size} bytes"):
        await read(headers, Stream(b"x" * size, b"x"))


async def test_a_declared_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    stream = Stream(b"x" * LIMIT)

    with pytest.raises(TooLarge):
        await read({**BATCH, "content-length": str(LIMIT + 1)}, stream)

    assert stream.read == 0


async def test_no_more_is_read_than_the_chunk_that_passes_the_limit() -> None:
    stream = Stream(*[b"x" * 400] * 100)

    with pytest.raises(TooLarge):
        await read(BATCH, stream)

    assert stream.read == 1200


async def test_a_gzip_body_is_uncompressed_up_to_the_limit() -> None:
    packed = gzip.compress(b"x" * LIMIT)

    assert await read(GZIP, Stream(packed[:9], packed[9:])) == b"x" * LIMIT
    with pytest.raises(TooLarge):
        await read(GZIP, Stream(gzip.compress(b"x" * (LIMIT + 1))))


async def test_a_zip_bomb_is_noticed_while_it_is_small() -> None:
    bomb = gzip.compress(b"\0" * 100_000_000)
    reader = Uploads(single=10**6, many=10**6, total=10**8, seconds=5)
    tracemalloc.start()

    with pytest.raises(TooLarge):
        async with reader.body(GZIP, Stream(bomb)):
            pytest.fail("the bomb is in memory")

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (peak < 3_000_000, reader.held) == (True, 0)


@pytest.mark.parametrize(
    "packed",
    [
        b"not gzip",
        gzip.compress(b"x" * 50, mtime=0)[:-4],
        gzip.compress(b"x", mtime=0) + b"more",
        b"",
    ],
)
async def test_a_broken_gzip_body_is_told_from_a_long_one(packed: bytes) -> None:
    with pytest.raises(Unreadable):
        await read(GZIP, Stream(packed))


async def test_another_encoding_is_refused_by_name() -> None:
    with pytest.raises(UnknownEncoding, match="'br'"):
        await read({**BATCH, "content-encoding": "br"}, Stream(b""))


async def test_all_bodies_together_are_bounded_and_given_back() -> None:
    reader = uploads(total=LIMIT)

    async with reader.body(BATCH, Stream(b"x" * 600)):
        with pytest.raises(Unavailable, match="too much memory"):
            await read(BATCH, Stream(b"x" * 600), reader)
    async with reader.body(BATCH, Stream(b"x" * 600)) as body:
        assert (len(body), reader.held) == (600, 600)
    assert reader.held == 0


async def test_a_client_that_dawdles_is_sent_away() -> None:
    class Dawdler(Stream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"x"
            await asyncio.Event().wait()

    with pytest.raises(TooSlow, match=r"within 0.01 s"):
        await read(BATCH, Dawdler(), uploads(seconds=0.01))


async def test_a_timeout_of_the_work_is_not_taken_for_a_slow_client() -> None:
    with pytest.raises(TimeoutError):
        async with uploads().body(BATCH, Stream(b"x")):
            raise TimeoutError
