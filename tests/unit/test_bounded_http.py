import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import PlainTextResponse, Response

from services.bounded_http import HEAD_BYTES, TOO_LARGE, BoundedHttp
from services.runtime import serve
from tests.platform import eventually, free_port

Peer = tuple[asyncio.StreamReader, asyncio.StreamWriter]

SOUND = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: localhost\r\n"
SLOW = b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


class Quick(BoundedHttp):
    """As the real one, for tests that need not wait for ten seconds."""

    head_seconds = 0.2


def app() -> FastAPI:
    made = FastAPI()

    @made.get("/")
    async def home() -> Response:
        return PlainTextResponse("home")

    @made.post("/")
    async def count(request: Request) -> Response:
        return PlainTextResponse(str(len(await request.body())))

    @made.post("/refused")
    async def refuse() -> Response:
        return PlainTextResponse("no", 401)

    @made.get("/slow")
    async def slow() -> Response:
        await asyncio.sleep(2 * Quick.head_seconds)
        return PlainTextResponse("late")

    return made


@contextlib.asynccontextmanager
async def served(quick: bool = False) -> AsyncIterator[int]:
    """Serve as the services do, or with a shorter patience, as long as the block lasts."""
    port = free_port()
    config = uvicorn.Config(
        app(), "127.0.0.1", port, http=Quick, log_config=None, access_log=False, lifespan="off"
    )
    server = uvicorn.Server(config)
    work = server._serve() if quick else serve(app(), "127.0.0.1", port)
    serving = asyncio.create_task(work)
    await eventually(lambda: _listens(port), what="the server")
    try:
        yield port
    finally:
        if quick:
            server.should_exit = True
        else:
            serving.cancel()
        await asyncio.wait({serving})


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Peer]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def said(peer: Peer, *parts: bytes, within: float = 5.0) -> bytes:
    """Send parts, each in a packet of its own, and return all that comes until the end."""
    reader, writer = peer
    found = bytearray()
    with contextlib.suppress(ConnectionError):
        for part in parts:
            writer.write(part)
            await writer.drain()
    with contextlib.suppress(ConnectionError):
        async with asyncio.timeout(within):
            while piece := await reader.read(65_536):
                found += piece
    return bytes(found)


async def answer(peer: Peer, *parts: bytes) -> tuple[bytes, bytes]:
    """Send parts and return status and body of one answer of known length."""
    reader, writer = peer
    for part in parts:
        writer.write(part)
        await writer.drain()
    async with asyncio.timeout(5):
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return head.split(b" ")[1], await reader.readexactly(length)


def header(size: int) -> bytes:
    return b"X-Long: " + b"a" * (size - 10) + b"\r\n"


@pytest.mark.parametrize(
    "parts",
    [
        (SOUND[:-2] + header(HEAD_BYTES), b"\r\n"),
        (SOUND[:-2] + header(HEAD_BYTES) + b"\r\n",),
        (SOUND[:-2], b"X-Long: " + b"a" * (HEAD_BYTES + 1)),
        (SOUND[:-2], header(30) * (HEAD_BYTES // 30)),
        (b"GET /" + b"a" * HEAD_BYTES + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",),
        (b"\r\n" * HEAD_BYTES,),
    ],
)
async def test_a_head_that_is_too_long_is_431_with_its_bound(parts: tuple[bytes, ...]) -> None:
    async with served() as port, connected(port) as peer:
        assert await said(peer, *parts) == TOO_LARGE
    assert b"65,536 bytes together" in TOO_LARGE


async def test_a_head_up_to_its_bound_is_answered() -> None:
    almost = SOUND[:-2] + header(HEAD_BYTES - 100) + b"\r\n"
    async with served() as port, connected(port) as peer:
        assert await answer(peer, almost) == (b"200", b"home")
        assert await answer(peer, almost[:50_000], almost[50_000:]) == (b"200", b"home")


@pytest.mark.parametrize(
    "begin, endless",
    [
        (SOUND[:-2] + b"X-Long: ", b"a" * 65_536),
        (SOUND[:-2], header(100) * 1000),
        (CHUNKED + b"1;", b"a" * 65_536),
        (CHUNKED + b"1\r\nx\r\n0\r\nX-Long: ", b"a" * 65_536),
        (CHUNKED + b"1\r\nx\r\n0\r\n", header(100) * 1000),
    ],
)
async def test_nobody_can_send_one_for_ever(begin: bytes, endless: bytes) -> None:
    sent = 0
    async with served() as port, connected(port) as (_, writer):
        writer.write(begin)
        with contextlib.suppress(ConnectionError):
            while sent < 50_000_000:
                writer.write(endless)
                await writer.drain()
                sent += len(endless)
    # What was under way in the buffers of both ends, and no more.
    assert sent < 16_000_000


async def test_after_a_long_body_the_next_head_has_all_of_its_bound() -> None:
    body = b"x" * 3_000_000
    post = POST + b"Content-Length: 3000000\r\n\r\n"
    head = SOUND[:-2] + header(HEAD_BYTES - 100) + b"\r\n"
    async with served() as port, connected(port) as peer:
        assert await answer(peer, post + body + head) == (b"200", b"3000000")
        assert await answer(peer) == (b"200", b"home")
        assert await answer(peer, post, body) == (b"200", b"3000000")


async def test_a_body_in_small_chunks_is_as_good_as_any() -> None:
    chunks = b"1\r\nx\r\n" * 100_000 + b"0\r\n\r\n"
    async with served() as port, connected(port) as peer:
        assert await answer(peer, CHUNKED, chunks) == (b"200", b"100000")


@pytest.mark.parametrize("begin", [b"", b"GET", SOUND[:-2], SOUND[:-2] + b"X-Slow: a", b"\r\n"])
async def test_whoever_does_not_come_to_the_end_of_a_head_is_cut_off(begin: bytes) -> None:
    async with served(quick=True) as port, connected(port) as peer:
        assert await said(peer, begin) == b""
    async with served(quick=True) as port, connected(port) as peer:
        assert await answer(peer, SOUND) == (b"200", b"home")
        if begin:
            assert await said(peer, begin) == b""


async def test_a_head_that_dribbles_is_cut_off_too() -> None:
    async with served(quick=True) as port, connected(port) as (_, writer):

        async def dribble() -> bool:
            try:
                writer.write(b"a")
                await writer.drain()
            except ConnectionError:
                return True
            return False

        writer.write(b"GET /")
        await eventually(dribble, within=5, what="the end of the connection")


async def test_what_nobody_reads_any_more_is_cut_off_too() -> None:
    post = b"POST /refused HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"
    async with served(quick=True) as port, connected(port) as peer:
        assert await answer(peer, post + b"some") == (b"401", b"no")
        assert await said(peer, b"more") == b""


async def test_a_body_and_an_answer_may_take_longer_than_a_head() -> None:
    clock = asyncio.get_running_loop().time
    async with served(quick=True) as port, connected(port) as peer:
        peer[1].write(POST + b"Content-Length: 4\r\n\r\nab")
        late = clock() + 2 * Quick.head_seconds
        await eventually(lambda: clock() > late, what="a slow client's next bytes")
        assert await answer(peer, b"cd") == (b"200", b"4")
        assert await answer(peer, SLOW) == (b"200", b"late")
        assert await answer(peer, SOUND) == (b"200", b"home")
