"""What only a real server and real sockets can show of the API."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote

import pytest
from yarl import URL

from services.alerts.body import BODY_BYTES
from services.alerts.stream import Live
from tests.unit.alerts.fakes import FakeView, case
from tests.unit.alerts.serving import Served, served

ODD = [
    "a/b",
    "a b",
    "ünï-客户",
    "..",
    ".",
    "a/../b",
    "/",
    "//",
    "50%",
    "%2F",
    "a?b#c",
    "a+b",
    "a;b=c",
]


@pytest.fixture
async def api() -> AsyncIterator[Served]:
    view = FakeView(case())
    async with served(view, Live(view)) as found:
        yield found


def at(api: Served, path: str) -> URL:
    """An address that the client must not tidy."""
    return URL(f"{api.url}{path}", encoded=True)


async def ask(api: Served, method: str, path: str, **options: Any) -> tuple[int, Any]:
    async with api.session.request(method, at(api, path), **options) as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("account", ODD)
async def test_an_account_s_id_may_hold_any_character(api: Served, account: str) -> None:
    api.view.put(case(account))
    path, headers = quote(account, safe=""), {"if-match": "*"}
    body = {"type": "comment", "text": "x"}

    shown = await ask(api, "GET", f"/cases/{path}")
    page = await ask(api, "GET", f"/accounts/{path}")
    acted = await ask(api, "POST", f"/cases/{path}/actions", json=body, headers=headers)

    assert [(status, told["account"]) for status, told in (shown, page)] == [(200, account)] * 2
    assert (acted[0], acted[1]["case"]["account"]) == (200, account)
    assert [action.case for action in api.desk.heard] == [account]


async def test_a_body_that_is_too_long_is_told_so_although_it_is_still_being_sent(
    api: Served,
) -> None:
    options = {"data": b" " * (16 * BODY_BYTES), "headers": {"if-match": "*"}}

    status, told = await ask(api, "POST", "/cases/acct_1/actions", **options)

    assert (status, told["error"]) == (413, "too_large")


async def test_head_ends_although_the_stream_does_not(api: Served) -> None:
    async with api.session.head(at(api, "/stream")) as answer:
        assert (answer.status, await answer.read()) == (200, b"")
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.evil:80"])
async def test_a_rebound_name_sees_nothing(api: Served, host: str) -> None:
    status, told = await ask(api, "GET", "/cases", headers={"host": host})

    assert (status, told["error"]) == (403, "foreign_host")


async def test_who_comes_through_a_proxy_is_judged_by_where_they_come_from(api: Served) -> None:
    """The proxy runs on this machine; whom it serves does not."""
    status, told = await ask(api, "GET", "/cases", headers={"x-forwarded-for": "203.0.113.7"})

    assert (status, told["error"]) == (403, "not_local")
