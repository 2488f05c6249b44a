import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI, Request
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers
from starlette.responses import Response, StreamingResponse

from services.alerts.access import (
    HEADERS,
    Access,
    Denied,
    install_access,
    judge,
)
from services.alerts.body import Bodies

TOKEN = "a tökén of 32 characters, secret!"
HOME = "127.0.0.1:8601"


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def ask(
    method: str = "GET",
    path: str = "/",
    client: str | None = "127.0.0.1",
    token: str | None = None,
    host: str | None = HOME,
    **headers: str,
) -> str | None:
    """Return the code of a refusal, or None."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    if host is not None:
        named["host"] = host
    raw = [(name.encode(), value.encode()) for name, value in named.items()]
    denied = judge(method, path, client, Headers(raw=raw), token)
    return None if denied is None else denied.code


@pytest.mark.parametrize(
    "client, host",
    [
        ("127.0.0.1", "127.0.0.1:8601"),
        ("127.0.0.1", "localhost"),
        ("127.8.8.8", "LOCALHOST.:8601"),
        ("::1", "[::1]:8601"),
        ("::ffff:127.0.0.1", "demo.localhost:8601"),
    ],
)
def test_without_a_token_this_machine_is_served(client: str, host: str) -> None:
    assert ask(client=client, host=host) is None


@pytest.mark.parametrize("client", ["10.0.0.7", "192.168.1.1", "::2", "::ffff:10.0.0.7", "x", None])
def test_without_a_token_nobody_else_is_served(client: str | None) -> None:
    assert ask(client=client) == "not_local"


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8601",
        "localhost.evil.example",
        "notlocalhost",
        "127.0.0.1.evil.example",
        "127.0.0.1@evil.example",
        "evil.example/127.0.0.1",
        "0.0.0.0:8601",
        "10.0.0.7:8601",
        "[::2]:8601",
        "127.1",
        "2130706433",
        "localhost:port",
        "localhost:8601:1",
        "localhost, evil.example",
        "",
        None,
    ],
)
def test_a_name_that_may_be_rebound_to_this_machine_is_refused(host: str | None) -> None:
    assert ask(host=host) == "foreign_host"


def test_two_host_headers_are_refused() -> None:
    raw = [(b"host", b"localhost"), (b"host", b"evil.example")]

    denied = judge("GET", "/", "127.0.0.1", Headers(raw=raw), None)

    assert denied is not None
    assert denied.code == "foreign_host"


@pytest.mark.parametrize(
    "authorization",
    [f"Bearer {TOKEN}", f"bearer  {TOKEN} ", basic("ana", TOKEN), basic("", TOKEN)],
)
def test_with_a_token_whoever_knows_it_is_served_from_anywhere(authorization: str) -> None:
    told = {"authorization": authorization}

    assert ask(client="10.0.0.7", host="ebb.example", token=TOKEN, **told) is None
    assert ask("POST", client="10.0.0.7", host="ebb.example", token=TOKEN, **told) is None


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Bearer",
        "Bearer wrong",
        f"Bearer {TOKEN}x",
        f"Token {TOKEN}",
        TOKEN,
        basic(TOKEN, ""),
        basic("ana", "wrong"),
        "Basic !!!",
        "Basic /w==",
        "Basic " + base64.b64encode(TOKEN.encode()).decode(),
    ],
)
def test_with_a_token_nobody_else_is_served_not_even_here(authorization: str) -> None:
    assert ask(token=TOKEN, authorization=authorization) == "unauthorized"
    assert ask(token=TOKEN) == "unauthorized"


@pytest.mark.parametrize("authorization", ["", "Bearer ", basic("ana", "")])
def test_an_empty_token_lets_nobody_in(authorization: str) -> None:
    assert ask(token="", authorization=authorization) == "unauthorized"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_probes_are_answered_under_any_address(path: str) -> None:
    assert ask(path=path, client="10.0.0.7", host="10.0.0.8:8601") is None
    assert ask(path=path, client="10.0.0.7", token=TOKEN) is None
    assert ask("POST", path=path, client="10.0.0.7", token=TOKEN) == "unauthorized"


@pytest.mark.parametrize("path", ["/metrics", "/-/version", "/", "/livez/", "//livez", "/api/v1/x"])
def test_everything_else_asks_for_the_token(path: str) -> None:
    assert ask(path=path, token=TOKEN) == "unauthorized"


@pytest.mark.parametrize(
    "headers, code",
    [
        ({}, None),
        ({"sec_fetch_site": "same-origin"}, None),
        ({"sec_fetch_site": "none"}, None),
        ({"sec_fetch_site": "same-site"}, "cross_site"),
        ({"sec_fetch_site": "cross-site"}, "cross_site"),
        ({"sec_fetch_site": "cross-site", "origin": f"http://{HOME}"}, "cross_site"),
        ({"sec_fetch_site": ""}, "cross_site"),
        ({"origin": f"http://{HOME}"}, None),
        ({"origin": "http://127.0.0.1:8602"}, "cross_site"),
        ({"origin": "http://evil.example"}, "cross_site"),
        ({"origin": f"http://{HOME}.evil.example"}, "cross_site"),
        ({"origin": f"http://{HOME}@evil.example"}, "cross_site"),
        ({"origin": f"ftp://{HOME}"}, "cross_site"),
        ({"origin": "null"}, "cross_site"),
        ({"origin": "http://["}, "cross_site"),
        ({"origin": ""}, "cross_site"),
    ],
)
@pytest.mark.parametrize("token", [None, TOKEN])
def test_another_site_s_page_changes_nothing_whatever_its_browser_knows(
    headers: dict[str, str], code: str | None, token: str | None
) -> None:
    told = headers | ({"authorization": f"Bearer {TOKEN}"} if token else {})

    found = {method: ask(method, token=token, **told) for method in ("POST", "DELETE", "BREW")}

    assert found == {"POST": code, "DELETE": code, "BREW": code}
    assert ask("GET", token=token, **told) is None


@pytest.mark.parametrize(
    "origin, host, same",
    [
        ("https://ebb.example", "ebb.example", True),
        ("https://ebb.example", "EBB.example:443", True),
        ("https://ebb.example:443", "ebb.example", True),
        ("http://ebb.example", "ebb.example:80", True),
        ("http://ebb.example", "ebb.example:443", False),
        ("https://ebb.example:8443", "ebb.example", False),
    ],
)
def test_an_origin_s_default_port_may_be_left_away(origin: str, host: str, same: bool) -> None:
    told = {"origin": origin, "authorization": f"Bearer {TOKEN}"}

    assert (ask("POST", token=TOKEN, host=host, **told) is None) is same


@given(raw=st.lists(st.tuples(st.sampled_from([b"host", b"origin"]), st.binary(max_size=30))))
def test_no_header_is_a_bug(raw: list[tuple[bytes, bytes]]) -> None:
    assert isinstance(judge("POST", "/", "127.0.0.1", Headers(raw=raw), None), Denied | None)


def _app() -> FastAPI:
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return Response(await request.body())

    @app.get("/page")
    async def page() -> Response:
        own = {"cache-control": "public, max-age=60", "content-security-policy": "sandbox"}
        return Response("a page", headers=own)

    @app.get("/parts")
    async def parts() -> StreamingResponse:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"one "
            yield b"two"

        return StreamingResponse(chunks())

    @app.get("/bug")
    async def bug() -> None:
        raise RuntimeError("a secret of the code")

    @app.get("/livez")
    async def livez() -> Response:
        return Response("ok\n")

    return app


def client(app: Any, address: str = "127.0.0.1", base: str = "http://localhost") -> Any:
    transport = httpx2.ASGITransport(app=app, client=(address, 5), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url=base)


async def test_every_answer_has_the_security_headers_unless_it_says_otherwise() -> None:
    app = _app()
    install_access(app, None)

    async with client(app) as here:
        for path in ("/livez", "/nothing", "/bug"):
            answer = await here.get(path)
            assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
        answer = await here.get("/page")

    assert answer.headers["cache-control"] == "public, max-age=60"
    assert answer.headers["content-security-policy"] == "sandbox"
    assert answer.headers["x-frame-options"] == "DENY"


def test_the_policy_allows_nothing_from_elsewhere_and_nothing_inline() -> None:
    policy = HEADERS["content-security-policy"]

    assert policy.startswith("default-src 'self'; ")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


async def test_a_bug_is_500_and_tells_nothing_of_itself() -> None:
    app = _app()
    install_access(app, None)

    async with client(app) as here:
        answer = await here.get("/bug")

    assert (answer.status_code, answer.json()["error"]) == (500, "bug")
    assert "secret" not in answer.text


async def test_who_may_not_is_told_why_and_the_application_sees_nothing() -> None:
    app = _app()
    install_access(app, None)

    async with client(app, address="10.0.0.7") as far, client(app, base="http://evil") as near:
        answers = [await far.get("/page"), await near.get("/page")]
        probe = await far.get("/livez")

    assert [(answer.status_code, answer.json()) for answer in answers] == [
        (
            403,
            {
                "error": "not_local",
                "detail": "Without a token only this machine is served; set EBBWATCH_TOKEN to "
                "serve others too.",
            },
        ),
        (
            403,
            {
                "error": "foreign_host",
                "detail": "Without a token only localhost, 127.0.0.1 and [::1] are answered; set "
                "EBBWATCH_TOKEN to serve others too.",
            },
        ),
    ]
    assert answers[0].headers["x-content-type-options"] == "nosniff"
    assert probe.text == "ok\n"


async def test_a_browser_is_asked_for_the_token_as_a_password() -> None:
    app = _app()
    install_access(app, TOKEN)

    async with client(app, address="10.0.0.7", base="https://ebb.example") as far:
        refused = await far.get("/page")
        served = await far.get("/page", headers={"authorization": basic("ana", TOKEN)})

    assert (refused.status_code, refused.json()["error"]) == (401, "unauthorized")
    challenges = refused.headers.get_list("www-authenticate")
    assert challenges == ['Basic realm="ebbwatch", charset="UTF-8"', 'Bearer realm="ebbwatch"']
    assert TOKEN not in refused.text
    assert (served.status_code, served.text) == (200, "a page")


async def test_head_has_the_headers_and_no_body() -> None:
    app = _app()
    install_access(app, None)

    async with client(app) as here:
        page, parts = await here.head("/page"), await here.head("/parts")

    assert (page.status_code, page.content, page.headers["content-length"]) == (200, b"", "6")
    assert (parts.status_code, parts.content) == (200, b"")


@pytest.mark.parametrize("size, status", [(0, 200), (100, 200), (101, 413), (100_000, 413)])
@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_is_taken_up_to_its_bound(size: int, status: int, chunked: bool) -> None:
    app = _app()
    install_access(app, None, body_bytes=100)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size):
            yield b"x"

    async with client(app) as here:
        answer = await here.post("/echo", content=chunks() if chunked else b"x" * size)

    assert answer.status_code == status
    if status == 200:
        assert answer.content == b"x" * size
    else:
        assert answer.json()["error"] == "too_large"
        assert answer.headers["connection"] == "close"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_body_that_does_not_arrive_is_408() -> None:
    sent = list[dict[str, Any]]()

    async def receive() -> dict[str, Any]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/echo", "headers": []}
    await Bodies(_app(), seconds=0.01)(scope, receive, send)

    assert sent[0]["status"] == 408


async def test_websockets_are_refused() -> None:
    sent = list[dict[str, Any]]()

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> dict[str, Any]:
        raise AssertionError

    await Access(_app(), None)({"type": "websocket"}, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]
