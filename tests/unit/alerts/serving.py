"""The API over fakes, on a real server on loopback."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
from fastapi import FastAPI

from services.alerts.access import install_access
from services.alerts.api.routes import create_api
from services.alerts.stream import Live
from services.runtime import serve
from tests.platform import eventually, free_port
from tests.unit.alerts.fakes import NOW, FakeDesk, FakeDirectory, FakeView


@dataclass
class Served:
    """A running server.

    Attributes:
        url: Where the API stands.
        serving: Ends the server when it is cancelled.
    """

    view: FakeView
    desk: FakeDesk
    live: Live
    url: str
    session: aiohttp.ClientSession
    serving: asyncio.Task[None]


@contextlib.asynccontextmanager
async def served(view: FakeView, live: Live) -> AsyncIterator[Served]:
    """Serve the API as long as the block lasts.

    Args:
        view: What it shows.
        live: Its live stream, which the caller runs.
    """
    app, port, desk = FastAPI(), free_port(), FakeDesk(view)
    app.include_router(create_api(view, desk, FakeDirectory(), live, lambda: NOW))
    install_access(app, None)
    serving = asyncio.create_task(serve(app, "127.0.0.1", port))
    url = f"http://127.0.0.1:{port}/api/v1"
    async with aiohttp.ClientSession() as session:

        async def answers() -> bool:
            with contextlib.suppress(aiohttp.ClientError):
                async with session.get(f"{url}/people") as answer:
                    return answer.status == 200
            return False

        await eventually(answers, what="the server")
        try:
            yield Served(view, desk, live, url, session, serving)
        finally:
            live.close()
    serving.cancel()
    await asyncio.wait({serving})
