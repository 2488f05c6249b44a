"""The console over fakes, as this machine reaches it."""

import contextlib
import html
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlencode, urlsplit

import httpx2
from fastapi import FastAPI

from schemas.config import PersonRecord
from services.alerts.access import install_access
from services.alerts.channels import Channel
from services.alerts.console import create_console
from services.alerts.directory import DirectorySnapshot
from tests.unit.alerts.fakes import NOW, FakeDesk, FakeDirectory, FakeView, case

PEOPLE = {"ana": PersonRecord(id="ana", name="Ana Lima"), "ben": PersonRecord(id="ben", name="Ben")}
CRM = Channel(name="crm", kind="webhook", url="https://crm.example/hook-with-a-secret-path")
KEY = "0123456789abcdef"


@dataclass
class Door:
    """The console over fakes, as this machine reaches it."""

    client: httpx2.AsyncClient
    view: FakeView
    desk: FakeDesk
    directory: FakeDirectory

    async def get(self, path: str, **headers: str) -> httpx2.Response:
        return await self.client.get(path, headers=headers)

    async def post(
        self, path: str, fields: dict[str, str] | list[tuple[str, str]], **headers: str
    ) -> httpx2.Response:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=urlencode(fields), headers=kind | named)

    async def act(self, type: str, **fields: str) -> httpx2.Response:
        return await self.post(
            "/accounts/acct_1", {"type": type, "version": "1", "key": KEY} | fields
        )


@contextlib.asynccontextmanager
async def opened() -> AsyncIterator[Door]:
    view = FakeView(case())
    desk = FakeDesk(view)
    directory = FakeDirectory(DirectorySnapshot(people=PEOPLE, channels={"crm": CRM}))
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(create_console(view, desk, directory, lambda: NOW, "1.2.3"))
    install_access(app, None)
    transport = httpx2.ASGITransport(app=app)
    async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
        yield Door(client, view, desk, directory)


def text(answer: httpx2.Response) -> str:
    """A page's words, without tags."""
    bare = re.sub(r"<[^>]+>", " ", answer.text)
    return re.sub(r"\s+", " ", html.unescape(bare))


def place(answer: httpx2.Response) -> tuple[str, dict[str, str]]:
    """Where an answer leads, and its query."""
    parts = urlsplit(answer.headers["location"])
    return parts.path, dict(parse_qsl(parts.query))
