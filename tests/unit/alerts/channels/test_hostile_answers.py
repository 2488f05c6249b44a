"""Endpoints that want to hold up, fill up or find out."""

import asyncio
import contextlib
import gzip
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from services.alerts.channels import Channel, Delivered, Refused, webhook
from tests.unit.alerts.channels.attempts import (
    NEW,
    answered,
    channel,
    self_signed,
    send,
    status,
)
from tests.unit.alerts.receiver import receiving

LATE = 60.0
"""Seconds that no attempt here takes, however much else the machine has to do."""

STALL_SECONDS = 1.0
"""Of work at one go; 16 floods together take 0.1 of them."""


async def test_of_an_endless_answer_only_the_beginning_is_read() -> None:
    sent = 0

    async def endless(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 500 Oops\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()
            sent += 65_536

    outcome = await answered(endless)
    assert outcome == Refused("status 500", f"127.0.0.1 answered 500: {'x' * 200!r}")
    # What was under way in the buffers of both ends, and no more.
    assert sent < 16_000_000


async def test_an_endpoint_that_has_said_200_has_taken_it_however_its_answer_goes_on() -> None:
    async def endless(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            writer.write(b"x" * 65_536)
            await writer.drain()

    async def broken(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbut")

    assert [await answered(one) for one in (endless, broken)] == [Delivered(200)] * 2


async def test_a_slow_answer_is_cut_off_and_its_status_counts() -> None:
    hold = asyncio.Event()

    async def slow(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nwait")
        await hold.wait()

    begin = asyncio.get_running_loop().time()
    async with receiving(slow) as receiver:
        outcome = await send(channel(receiver.url), within=0.2)
        hold.set()
    assert outcome == Delivered(200)
    assert asyncio.get_running_loop().time() - begin < webhook.ANSWER_SECONDS


@pytest.mark.parametrize("begin", [b"", b"HTTP/1.1 200 OK\r\nServer: slow"])
async def test_who_says_no_status_in_time_has_not_taken_it(begin: bytes) -> None:
    hold = asyncio.Event()

    async def silent(writer: asyncio.StreamWriter) -> None:
        writer.write(begin)
        await hold.wait()

    async with receiving(silent) as receiver:
        outcome = await send(channel(receiver.url), within=0.2)
        hold.set()
    assert outcome == Refused("timeout", "127.0.0.1 did not answer within 0.2 s")


@pytest.mark.parametrize(
    "endless, reason",
    [
        (b"HTTP/1.1 100 Continue\r\n\r\n", "connection"),
        (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n", "connection"),
        (b"X-More: " + b"x" * 1000 + b"\r\n", "connection"),
        (b"X", "connection"),
    ],
)
async def test_an_endless_head_ends_the_attempt(endless: bytes, reason: str) -> None:
    async def talk(writer: asyncio.StreamWriter) -> None:
        writer.write(b"" if endless.startswith(b"HTTP") else b"HTTP/1.1 200 OK\r\n")
        while True:
            writer.write(endless * 64)
            await writer.drain()

    # Without a bound of ours or aiohttp's it would go on until the deadline, and be a `timeout`.
    outcome = await answered(talk, within=LATE)
    assert isinstance(outcome, Refused)
    assert outcome.reason == reason


@pytest.mark.parametrize("head", ["200 OK", "404 Not Found"])
@pytest.mark.parametrize("length", ["", "Content-Length: 1000000\r\n"])
async def test_a_long_body_that_arrives_at_once_says_no_less_than_a_short_one(
    head: str, length: str
) -> None:
    outcome = await answered(f"HTTP/1.1 {head}\r\n{length}\r\n".encode() + b"x" * 1_000_000)
    refused = Refused("status 404", f"127.0.0.1 answered 404: {'x' * 200!r}")
    assert outcome == (Delivered(200) if head == "200 OK" else refused)


@pytest.mark.parametrize("sort", ["103 Early Hints\r\nLink: x", "100 Continue"])
async def test_endpoints_that_never_come_to_the_point_delay_nobody_else(sort: str) -> None:
    with flooding(f"HTTP/1.1 {sort}\r\n\r\n".encode() * 4_000) as port:
        async with receiving() as healthy, stalls() as stalled:
            floods = [send(channel(f"http://127.0.0.1:{port}/"), within=LATE) for _ in range(16)]
            flooded = asyncio.gather(*floods)
            sound = [await send(channel(healthy.url)) for _ in range(10)]
            outcomes = await flooded
    # Cut off, not timed out: it is our own bound on aiohttp's protocol that ended them.
    assert set(outcomes) == {Refused("connection", "127.0.0.1: it sent more than 65,536 bytes")}
    assert sound == [Delivered(204)] * 10
    assert max(stalled) < STALL_SECONDS


async def test_a_compressed_answer_is_not_unpacked() -> None:
    bomb = gzip.compress(b"x" * 10_000_000)
    head = f"HTTP/1.1 500 Oops\r\nContent-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n"
    async with receiving(head.encode() + bomb) as receiver:
        outcome = await send(channel(receiver.url))
    assert isinstance(outcome, Refused)
    assert "xxx" not in outcome.detail
    assert receiver.received[0].headers["accept-encoding"] == "identity"


async def test_no_cookie_comes_back() -> None:
    async with receiving(status("200 OK", "Set-Cookie: a=b; Path=/")) as receiver:
        to = replace(channel(receiver.url), url=receiver.url.replace("127.0.0.1", "crm.test"))
        for _ in range(2):
            assert await send(to) == Delivered(200)
    assert ["cookie" in one.headers for one in receiver.received] == [False, False]


async def test_nothing_of_a_channel_that_is_secret_can_be_seen() -> None:
    to = Channel("crm", "webhook", "https://crm.example.com:444/hooks/T0K3N?key=K3Y", (NEW,))
    outcome = await send(to)
    assert outcome == Refused(
        "bad_url",
        "the address of channel 'crm': port 444 is not 443 or 8443; allow_http = true lifts that",
    )
    for shown in (repr(to), repr(outcome), to.host):
        assert not any(secret in shown for secret in ("T0K3N", "K3Y", NEW))


@pytest.mark.parametrize(
    "answer, detail",
    [
        (b"HTTP/1.1 abc OK\r\n\r\n", "127.0.0.1: 400, "),
        (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", "127.0.0.1: 400, "),
        (b"GET /hooks/PATHCANARY?token=QUERYCANARY\r\n\r\n", "127.0.0.1: 400, "),
        (
            status("404 Not Found").replace(b"Length: 0\r\n\r\n", b"Length: 51\r\n\r\n")
            + b"Cannot POST /hooks/PATHCANARY?token=QUERYCANARY now",
            "127.0.0.1 answered 404: 'Cannot POST [hidden] now",
        ),
        (
            status("404 Not Found").replace(b"Length: 0\r\n\r\n", b"Length: 34\r\n\r\n")
            + b"no hook PATHCANARY for QUERYCANARY",
            "127.0.0.1 answered 404: 'no hook [hidden] for [hidden]'",
        ),
    ],
)
async def test_an_answer_however_odd_brings_no_part_of_the_address_into_the_log(
    answer: bytes, detail: str
) -> None:
    async with receiving(answer) as receiver:
        to = channel(f"http://127.0.0.1:{receiver.port}/hooks/PATHCANARY?token=QUERYCANARY")
        outcome = await send(to)
    assert isinstance(outcome, Refused)
    assert outcome.detail.startswith(detail)
    assert "CANARY" not in repr(outcome)


async def test_no_failure_of_tls_brings_the_path_into_the_log(tmp_path: Path) -> None:
    async with receiving(tls=self_signed(tmp_path)) as receiver:
        outcome = await send(channel(f"https://127.0.0.1:{receiver.port}/hooks/PATHCANARY"))
    with flooding(b"HTTP/1.1 400 no TLS here\r\n\r\n") as port:
        babble = await send(channel(f"https://127.0.0.1:{port}/hooks/PATHCANARY"))
    for one in (outcome, babble):
        assert isinstance(one, Refused)
        assert one.reason == "tls"
        assert "CANARY" not in repr(one)


@contextlib.contextmanager
def flooding(what: bytes) -> Iterator[int]:
    """Answer everybody with the same for ever, in threads, as another machine would."""

    def flood(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            connection.recv(65_536)
            while True:
                connection.sendall(what)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listening.accept()
                flooders.append(threading.Thread(target=flood, args=(connection,)))
                flooders[-1].start()

    flooders: list[threading.Thread] = []
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            for thread in (accepting, *flooders):
                thread.join(timeout=10)


@contextlib.asynccontextmanager
async def stalls() -> AsyncIterator[list[float]]:
    """Note how long the loop works before it comes to what is due, as long as the block lasts.

    It is the processor's time of the loop's own thread, in seconds: whatever else the machine does
    meanwhile is not counted.
    """
    worked = [0.0]

    async def watch() -> None:
        while True:
            before = time.thread_time()
            await asyncio.sleep(0.005)
            worked.append(time.thread_time() - before)

    watching = asyncio.create_task(watch())
    try:
        yield worked
    finally:
        watching.cancel()
