"""The API over fakes, without a server, as this machine reaches it."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx2
from fastapi import FastAPI

from services.alerts.access import install_access
from services.alerts.api.routes import create_api
from services.alerts.stream import Live
from tests.unit.alerts.fakes import NOW, FakeDesk, FakeDirectory, FakeView, case


@dataclass
class Door:
    """The API over fakes, as this machine reaches it."""

    client: httpx2.AsyncClient
    view: FakeView
    desk: FakeDesk
    directory: FakeDirectory

    async def document(self) -> dict[str, Any]:
        """Return the OpenAPI document."""
        found: dict[str, Any] = (await self.get("/openapi.json")).json()
        return found

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(f"/api/v1{path}", headers=_named(headers))

    async def act(self, account: str, body: object, **headers: str) -> httpx2.Response:
        path = f"/api/v1/cases/{quote(account, safe='')}/actions"
        named = {"if-match": "*"} | _named(headers)
        return await self.client.post(path, json=body, headers=named)


def application(
    view: FakeView, desk: FakeDesk, directory: FakeDirectory, *, secured: bool = False
) -> FastAPI:
    """Build the application; whoever may call, may."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    api = create_api(view, desk, directory, Live(view), lambda: NOW, secured=secured)
    app.include_router(api)
    return app


def _named(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    """Open the door to one case of account `acct_1`."""
    view = FakeView(case())
    desk, directory = FakeDesk(view), FakeDirectory()
    app = application(view, desk, directory)
    install_access(app, None)
    async with calling(app) as client:
        yield Door(client, view, desk, directory)


def calling(app: FastAPI) -> httpx2.AsyncClient:
    """Return a client of an application, on this machine."""
    transport = httpx2.ASGITransport(app=app)
    return httpx2.AsyncClient(transport=transport, base_url="http://localhost")
