"""The console and the API of a world, served over HTTP in a thread of its own."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import httpx2
import uvicorn
from fastapi import FastAPI

from services.alerts.access import install_access
from services.alerts.api.routes import create_api
from services.alerts.console import create_console
from services.alerts.stream import Live
from tests.browser.world import World
from tests.platform import free_port

T = TypeVar("T")

_BEGAN = datetime(2026, 11, 23, 15, tzinfo=UTC)
_STARTED = time.monotonic()


class Served:
    """A world that a browser can open.

    Attributes:
        world: What it shows; change it by `run` only.
        address: Such as `http://127.0.0.1:40123`.
    """

    def __init__(
        self, world: World, address: str, loop: asyncio.AbstractEventLoop, live: "Breakable"
    ) -> None:
        self.world = world
        self.address = address
        self._loop = loop
        self._live = live

    def run(self, work: Awaitable[T]) -> T:
        """Do something in the server's loop and return what comes of it."""

        async def done() -> T:
            return await work

        return asyncio.run_coroutine_threadsafe(done(), self._loop).result(10)

    def refuse_streams(self, refused: bool) -> None:
        """Have room for no live stream, as when a thousand are open, or have it again."""
        self._loop.call_soon_threadsafe(self._live.refuse, refused)

    def drop_streams(self) -> None:
        """Break every live stream once, as a proxy does."""
        self._loop.call_soon_threadsafe(self._live.drop)

    def get(self, path: str) -> httpx2.Response:
        """Ask without a browser."""
        return httpx2.get(f"{self.address}{path}")


class Breakable(Live):
    """A live stream whose clients can be sent away."""

    def drop(self) -> None:
        """End all streams; who comes back is welcome."""
        refused = self._closed
        self.close()
        self._closed = refused

    def refuse(self, refused: bool) -> None:
        """Answer 503 to whoever wants a stream, or do not any more."""
        self._closed = refused


def app_of(world: World, live: Live, token: str | None = None) -> FastAPI:
    """Wire a world as `service.py` wires the real thing."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(create_api(world, world, world, live, world.now))
    app.include_router(create_console(world, world, world, world.now, "test"))
    install_access(app, token)
    return app


@contextlib.contextmanager
def served(make: Callable[[], World], port: int = 0, token: str | None = None) -> Iterator[Served]:
    """Serve a world as long as the block lasts; with a token, to those who have it."""
    port = port or free_port()
    started = threading.Event()
    held: dict[str, Served] = {}
    ended: dict[str, Callable[[], object]] = {}

    async def serve() -> None:
        world = make()
        live = Breakable(world)
        config = uvicorn.Config(
            app_of(world, live, token), "127.0.0.1", port, log_config=None, lifespan="off"
        )
        server = uvicorn.Server(config)
        loop = asyncio.get_running_loop()
        held["it"] = Served(world, f"http://127.0.0.1:{port}", loop, live)
        stop = asyncio.Event()
        ended["stop"] = partial(loop.call_soon_threadsafe, stop.set)
        reading = asyncio.create_task(live.run())
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        started.set()
        await stop.wait()
        live.close()
        server.should_exit = True
        await serving
        reading.cancel()
        await asyncio.wait({reading})

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(10), "the server did not start within 10 s"
    try:
        yield held["it"]
    finally:
        ended["stop"]()
        thread.join(10)


def fixed_clock() -> datetime:
    """A Monday afternoon that goes on: what is shown depends on weekdays, and on days that end."""
    return _BEGAN + timedelta(seconds=time.monotonic() - _STARTED)
