import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest

from services.alerts import stream
from services.alerts.shown import Change
from services.alerts.stream import REPLAY, RETRY_MS, Live, NoRoom
from services.runtime import DRAIN_SECONDS
from tests.platform import eventually
from tests.unit.alerts.fakes import FakeView, case
from tests.unit.alerts.serving import Served, served


def change(account: str = "acct_1", **changes: Any) -> Change:
    return Change(
        id="", type="alert.raised", account=account, version=1, severity="high", **changes
    )


@dataclass
class Heard:
    """What one client has read so far: fields by message, comments left away."""

    messages: list[dict[str, str]] = field(default_factory=list)
    comments: list[str] = field(default_factory=list)
    ended: bool = False

    def take(self, block: str) -> None:
        lines = [line.partition(": ") for line in block.split("\n") if line]
        fields = {name: value for name, _, value in lines if name}
        self.comments += [value or line for line, _, value in lines if not line]
        if fields:
            self.messages.append(fields)

    @property
    def names(self) -> list[str]:
        return [message["event"] for message in self.messages if "event" in message]

    @property
    def changed(self) -> list[tuple[str, str]]:
        return [
            (message["id"], json.loads(message["data"])["account"])
            for message in self.messages
            if message.get("event") == "change"
        ]


@contextlib.asynccontextmanager
async def running(live: Live) -> AsyncIterator[None]:
    task = asyncio.create_task(live.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait({task})


@contextlib.asynccontextmanager
async def following(live: Live, last: str | None = None) -> AsyncIterator[Heard]:
    """Follow a stream without HTTP."""
    heard = Heard()

    async def follow() -> None:
        with live.joined() as client:
            async for chunk in live.messages(client, last):
                heard.take(chunk.decode())
        heard.ended = True

    task = asyncio.create_task(follow())
    await eventually(lambda: heard.messages, what="the greeting")
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait({task})


@pytest.fixture
def view() -> FakeView:
    return FakeView(case())


@pytest.fixture
async def live(view: FakeView, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Live]:
    monkeypatch.setattr(stream, "AWAY_SECONDS", 0.01)
    monkeypatch.setattr(stream, "LOOK_SECONDS", 0.01)
    monkeypatch.setattr(stream, "BLOCK_MS", 20)
    found = Live(view, clients=3, room=4, heartbeat=0.05)
    async with running(found):
        await eventually(lambda: found.place is not None, what="the reader's place")
        yield found


async def test_a_change_reaches_every_client_once_and_in_order(live: Live, view: FakeView) -> None:
    async with following(live) as one, following(live) as two:
        await view.tell(change("acct_1"), change("acct_2"))
        await view.tell(change("acct_3"))
        await eventually(lambda: len(one.changed) == len(two.changed) == 3, what="all changes")

    assert one.changed == two.changed == [("1-0", "acct_1"), ("2-0", "acct_2"), ("3-0", "acct_3")]
    assert json.loads(one.messages[1]["data"]) == change("acct_1").model_dump() | {"id": "1-0"}


async def test_a_new_client_is_told_where_it_stands_and_when_to_come_back(
    live: Live, view: FakeView
) -> None:
    async with following(live) as early:
        await view.tell(change())
        await eventually(lambda: early.changed, what="the change")
        async with following(live) as late:
            pass

    assert early.messages[0] == {"id": "0-0", "retry": str(RETRY_MS)}
    assert late.messages == [{"id": "1-0", "retry": str(RETRY_MS)}]


async def test_who_comes_before_the_reader_is_told_its_place_later(view: FakeView) -> None:
    live = Live(view)
    async with following(live) as heard, running(live):
        await eventually(lambda: len(heard.messages) == 2, what="the place")

    assert heard.messages == [{"retry": str(RETRY_MS)}, {"id": "0-0"}]


async def test_silence_is_broken_by_comments(live: Live) -> None:
    async with following(live) as heard:
        await eventually(lambda: len(heard.comments) > 1, what="heartbeats")

    assert set(heard.comments) == {"beat"}


async def test_a_client_that_comes_back_gets_what_it_missed_and_then_goes_on(
    live: Live, view: FakeView
) -> None:
    await view.tell(*(change(f"acct_{number}") for number in range(1, 6)))

    async with following(live, last="2-0") as heard:
        await view.tell(change("acct_6"))
        await eventually(lambda: len(heard.changed) >= 4, what="what was missed")

    assert heard.changed == [(f"{number}-0", f"acct_{number}") for number in range(3, 7)]


async def test_a_client_that_knows_more_than_this_process_hears_nothing_twice(
    live: Live, view: FakeView
) -> None:
    """Another replica has told it already what is only on its way to this one."""
    live.place = "0-0"
    await view.tell(change("acct_1"))

    async with following(live, last="1-0") as heard:
        await view.tell(change("acct_2"))
        await eventually(lambda: heard.changed, what="the change")

    assert heard.changed == [("2-0", "acct_2")]


@pytest.mark.parametrize(
    "last", ["99-0", "x", "", "1", "1-0\x00", "²-0", "1-0,2-0", "9" * 30 + "-0"]
)
async def test_a_place_that_is_not_known_resets_the_client_and_then_goes_on(
    live: Live, view: FakeView, last: str
) -> None:
    await view.tell(change("acct_1"))
    await eventually(lambda: live.place == "1-0", what="the reader's place")

    async with following(live, last=last) as heard:
        await view.tell(change("acct_2"))
        await eventually(lambda: heard.changed, what="the change")

    assert heard.messages[1] == {"event": "reset", "data": "{}", "id": "1-0"}
    assert heard.changed == [("2-0", "acct_2")]


async def test_who_missed_too_much_reads_everything_anew(live: Live, view: FakeView) -> None:
    await view.tell(*(change() for _ in range(REPLAY + 1)))

    async with following(live, last="0-0") as much, following(live, last="1-0") as less:
        await eventually(lambda: len(less.changed) == REPLAY, what="what was missed")

    assert (much.names, len(much.changed)) == (["reset"], 0)
    assert set(less.names) == {"change"}


async def test_when_the_stream_is_lost_everybody_is_reset_and_hears_what_comes_after(
    live: Live, view: FakeView
) -> None:
    await view.tell(change("acct_1"), change("acct_2"))
    async with following(live, last="0-0") as heard:
        await eventually(lambda: len(heard.changed) == 2, what="both changes")
        view.stream.clear()
        await eventually(lambda: "reset" in heard.names, what="the reset")
        await view.tell(change("acct_3"))
        await eventually(lambda: len(heard.changed) == 3, what="the change after it")

    assert heard.names == ["change", "change", "reset", "change"]
    assert [message["id"] for message in heard.messages if "id" in message] == [
        "1-0",
        "2-0",
        "0-0",
        "1-0",
    ]


async def test_while_the_view_is_away_clients_are_told_once_and_when_it_is_back(
    live: Live, view: FakeView
) -> None:
    async with following(live) as early:
        view.away = True
        await eventually(lambda: early.names, what="the warning")
        async with following(live) as late:
            await eventually(lambda: late.names, what="the warning")
            view.away = False
            await view.tell(change())
            await eventually(lambda: early.changed and late.changed, what="the change")

    reason = "Redis at 127.0.0.1:16379 does not answer; start it"
    assert early.names == late.names == ["stale", "fresh", "change"]
    assert json.loads(early.messages[1]["data"]) == {"reason": reason}
    assert json.loads(late.messages[0]["data"]) == {"reason": reason}


async def test_what_is_shown_may_grow_old_although_the_view_answers(
    live: Live, view: FakeView
) -> None:
    fresh, stale = view.fresh, {"stale": True, "reason": "Not read for 15 seconds."}
    async with following(live) as heard:
        view.fresh = fresh.model_copy(update=stale)
        await eventually(lambda: heard.names == ["stale"], what="the warning")
        looks, older = view.looks, {"stale": True, "reason": "Not read for 16 seconds."}
        view.fresh = fresh.model_copy(update=older)
        await eventually(lambda: view.looks > looks + 1, what="another look")
        async with following(live) as late:
            await eventually(lambda: late.names, what="the warning")
        view.fresh = fresh
        await eventually(lambda: heard.names == ["stale", "fresh"], what="the all-clear")

    assert json.loads(heard.messages[1]["data"]) == {"reason": "Not read for 15 seconds."}
    assert json.loads(late.messages[0]["data"]) == {"reason": "Not read for 16 seconds."}


async def test_who_comes_back_while_the_view_is_away_has_to_come_again(
    live: Live, view: FakeView
) -> None:
    view.away = True

    async with following(live, last="0-0") as heard:
        await eventually(lambda: heard.ended, what="the end")

    assert heard.changed == []


async def test_a_client_that_does_not_read_is_dropped_and_the_others_go_on(
    live: Live, view: FakeView
) -> None:
    with live.joined() as idle:
        async with following(live) as heard:
            over = []
            for number in range(1, 6):
                await view.tell(change(f"acct_{number}"))
                await eventually(lambda: len(heard.changed) == len(view.stream), what="the change")
                over.append(idle.over.is_set())

    assert over == [False, False, False, False, True]
    assert len(live) == 0


async def test_so_many_clients_and_no_more(live: Live) -> None:
    async with following(live), following(live), following(live):
        assert len(live) == 3
        with pytest.raises(NoRoom), live.joined():
            pass
    assert len(live) == 0


async def test_a_server_that_stops_takes_no_clients(live: Live) -> None:
    live.close()

    with pytest.raises(NoRoom), live.joined():
        pass


@pytest.fixture
async def api(view: FakeView, live: Live) -> AsyncIterator[Served]:
    async with served(view, live) as found:
        yield found


def _follow(api: Served, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return api.session.get(f"{api.url}/stream", headers=named)


async def _read(answer: Any, heard: Heard, until: int) -> None:
    async with asyncio.timeout(10):
        while len(heard.changed) < until:
            heard.take((await answer.content.readuntil(b"\n\n")).decode())


async def test_over_http_it_is_an_event_stream_that_nobody_keeps(api: Served) -> None:
    heard = Heard()
    async with _follow(api) as answer:
        headers = answer.headers
        await api.view.tell(change())
        await _read(answer, heard, until=1)
    async with _follow(api, Last_Event_ID="0-0") as answer:
        await _read(answer, heard, until=2)

    assert headers["content-type"] == "text/event-stream; charset=utf-8"
    assert headers["cache-control"] == "no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "content-length" not in headers
    assert heard.changed == [("1-0", "acct_1"), ("1-0", "acct_1")]
    await eventually(lambda: len(api.live) == 0, what="both clients to be gone")


async def test_an_action_in_one_tab_is_heard_in_another(api: Served) -> None:
    heard = Heard()
    async with _follow(api) as other_tab:
        path = f"{api.url}/cases/acct_1/actions"
        body, headers = {"type": "acknowledge"}, {"if-match": "*", "origin": api.url[:-7]}
        async with api.session.post(path, json=body, headers=headers) as answer:
            assert answer.status == 200
        await _read(other_tab, heard, until=1)

    assert heard.changed == [("1-0", "acct_1")]


async def test_beyond_its_bound_the_server_refuses_streams(api: Served) -> None:
    async with contextlib.AsyncExitStack() as held:
        for _ in range(3):
            await held.enter_async_context(_follow(api))
        async with _follow(api) as answer:
            assert (answer.status, (await answer.json())["error"]) == (503, "no_room")
            assert answer.headers["retry-after"] == "2"


async def test_a_client_whose_connection_is_full_delays_nobody(api: Served) -> None:
    """The connection takes some megabytes; then the client's queue fills, and it is dropped."""
    api.live._room = 64
    many = [change("x" * 16_000) for _ in range(32)]
    heard = Heard()
    with _deaf(api.url):
        async with _follow(api) as answer:
            await eventually(lambda: len(api.live) == 2, what="both clients")
            told = 0
            while len(api.live) == 2:
                await api.view.tell(*many)
                told += len(many)
                await _read(answer, heard, until=told)
                assert told < 10_000, "nobody was dropped"
            await api.view.tell(change("acct_2"))
            await _read(answer, heard, until=told + 1)

    assert heard.changed[-1] == (f"{told + 1}-0", "acct_2")


@contextlib.contextmanager
def _deaf(url: str) -> Iterator[None]:
    """Ask for the stream and read nothing of it."""
    parts = urlsplit(url)
    with socket.socket() as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        asking.connect((parts.hostname, parts.port))
        asking.sendall(f"GET {parts.path}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        yield


async def test_a_server_that_stops_ends_its_streams_at_once(api: Served) -> None:
    async with _follow(api) as answer:
        await eventually(lambda: len(api.live) == 1, what="the client")
        api.live.close()
        api.serving.cancel()
        async with asyncio.timeout(DRAIN_SECONDS / 2):
            await asyncio.wait({api.serving})
            rest = await answer.content.read()

    assert b"event" not in rest
