"""However a body is made, reading it takes little memory and little time."""

import asyncio
import gc
import gzip
import itertools
import json
import os
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from schemas import envelope
from schemas.cloudevents import DEPTH_LIMIT, too_deep
from services.ingest.body import TooLarge, Uploads
from services.ingest.formats import cloudevents
from tests.fuzz.target import Target
from tests.fuzz.targets import named
from tests.fuzz.targets.bodies import events

MEGABYTE = 1024 * 1024
LIMIT = 10_000
SIZE = 10 * MEGABYTE
"""Of the longest body that is taken."""

MUCH = "FUZZ_EXAMPLES" in os.environ
NASTY_SIZE = SIZE if MUCH else 2 * MEGABYTE
BODIES = 20_000 if MUCH else 1_500
"""How many bad bodies of each format; the first number makes a hundred thousand of all together."""

TAKEN = 4 * SIZE
"""Bytes that reading may take: as many values as are allowed are 31 MB of references."""

SECONDS = 5.0
"""Of the processor for a body; the slowest of these takes 0.5, of 10 MB."""


def long(piece: bytes, begin: bytes = b"", end: bytes = b"") -> bytes:
    room = NASTY_SIZE - len(begin) - len(end)
    return begin + (piece * (room // len(piece) + 1))[:room] + end


NASTY: dict[str, bytes] = {
    "open brackets": long(b"["),
    "open objects": long(b'{"a":'),
    "closed brackets": long(b"]"),
    "as deep as is allowed, again and again": long(b"[" * DEPTH_LIMIT + b"]" * DEPTH_LIMIT + b","),
    "one level deeper": long(b"[" * 33 + b"]" * 33 + b","),
    "one long string, deep": long(b"a", b"[" * 40 + b'"'),
    "escapes, deep": long(b'\\"', b"[" * 40 + b'"'),
    "quotes, deep": long(b'""', b"[" * 40),
    "as many values as are allowed": b"[" + b"0," * 499_999 + b"0]",
    "as many objects as are allowed": b"[" + b"{}," * 499_999 + b"{}]",
    "too many values": long(b"0,", b"[", b"0]"),
    "an id that is a list": long(b"{},", b'{"id":[', b'{}],"source":[]}'),
    "a long id": long(b"a", b'{"id":"', b'"}'),
    "data with many fields": long(b'"a":1,', b'{"id":"a","data":{', b'"a":1}}'),
    "line breaks": long(b"\n"),
    "carriage returns": long(b"\r"),
    "short lines": long(b"x\r"),
    "spaces": long(b" "),
    "digits": long(b"1", b'{"id":'),
    "no UTF-8": long(b"\xff", b'{"id":"'),
}


@pytest.mark.parametrize("media", ["application/json", "application/x-ndjson"])
@pytest.mark.parametrize("body", NASTY.values(), ids=NASTY)
def test_the_longest_body_takes_little_memory_and_time(media: str, body: bytes) -> None:
    begin = time.process_time()
    peak = peak_of(lambda: cloudevents.read({"content-type": media}, body, LIMIT))
    assert peak < TAKEN
    assert time.process_time() - begin < SECONDS


@pytest.mark.parametrize("name", ["event", "batch", "lines", "binary", "envelope"])
def test_bad_bodies_leave_nothing_behind(name: str) -> None:
    target = named(name)
    bad = spoilt(target)
    feed(target, bad, 500)
    left = peak_of(lambda: feed(target, bad, BODIES // 3), left=True)
    assert left < 50_000
    # Memory that is not traced, such as a decoder's own, would show here.
    before = resident()
    feed(target, bad, BODIES * 2 // 3)
    assert resident() - before < 16 * MEGABYTE


def feed(target: Target, bodies: Iterator[bytes], count: int) -> None:
    read = envelope.decode if target.name == "envelope" else READERS[target.name]
    for body in itertools.islice(bodies, count):
        read(body)


READERS: dict[str, Callable[[bytes], Any]] = {
    "event": lambda body: cloudevents.read({}, body, LIMIT),
    "batch": lambda body: cloudevents.read(
        {"content-type": "application/cloudevents-batch+json"}, body, LIMIT
    ),
    "lines": lambda body: cloudevents.read({"content-type": "application/ndjson"}, body, LIMIT),
    "binary": lambda body: cloudevents.read({"ce-id": body[:40].decode("latin-1")}, body, LIMIT),
}


def spoilt(target: Target) -> Iterator[bytes]:
    """Yield seeds cut off or with a byte turned, each another one."""
    seeds = target.seeds()
    for number in itertools.count():
        seed = seeds[number % len(seeds)]
        at = number * 7919 % max(1, len(seed))
        yield seed[:at] if number % 2 else seed[:at] + bytes([number % 256]) + seed[at + 1 :]


def resident() -> int:
    """Return what the process holds, bytes; 0 where nothing tells."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if told.exists() else 0


def peak_of(work: Callable[[], object], left: bool = False) -> int:
    """Return how many bytes work takes at its peak, or leaves behind."""
    gc.collect()
    tracemalloc.start()
    try:
        result = work()
        del result
        gc.collect()
        now, peak = tracemalloc.get_traced_memory()
        return now if left else peak
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    "media, limit",
    [("application/cloudevents+json", MEGABYTE), ("application/json", SIZE)],
)
@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("over", [-1, 0, 1])
async def test_a_body_may_be_as_long_as_its_limit(
    media: str, limit: int, packed: bool, over: int
) -> None:
    body = b"x" * (limit + over)
    sent = gzip.compress(body, 1) if packed else body
    headers = {"content-type": media, "content-encoding": "gzip" if packed else "identity"}
    pieces = [sent[at : at + 65_536] for at in range(0, len(sent), 65_536)]
    uploads, taken = Uploads(MEGABYTE, SIZE, 2 * SIZE, 30), 0
    try:
        async with uploads.body(headers, stream(pieces)) as found:
            taken = len(found)
    except TooLarge:
        assert over == 1
    assert taken == (limit + over if over <= 0 else 0)
    assert uploads.held == 0


@pytest.mark.parametrize("packed", [False, True])
async def test_of_a_gigabyte_no_more_than_the_limit_is_read(packed: bool) -> None:
    sent, piece = 0, b"\0" * 65_536
    bomb = gzip.compress(b"\0" * (64 * MEGABYTE), 9)

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        if packed:
            yield bomb
        while sent < 1024 * MEGABYTE:
            sent += len(piece)
            yield piece

    uploads = Uploads(MEGABYTE, SIZE, 2 * SIZE, 30)
    headers = {"content-encoding": "gzip"} if packed else {}
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            async with uploads.body(headers, endless()):
                pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert sent <= SIZE + len(piece)
    assert (peak < 2 * SIZE, uploads.held) == (True, 0)


async def stream(pieces: list[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


@pytest.mark.parametrize("depth", [DEPTH_LIMIT - 1, DEPTH_LIMIT, DEPTH_LIMIT + 1])
def test_depth_is_counted_outside_of_strings_only(depth: int) -> None:
    for inner in ("", "[[[", '\\"{', '"]]', "\\", '\\\\"'):
        told: Any = inner
        for level in range(depth):
            told = [told, inner] if level % 2 else {inner: told}
        assert too_deep(json.dumps(told).encode()) == (depth > DEPTH_LIMIT)
    assert not too_deep(b"".join(events()))
