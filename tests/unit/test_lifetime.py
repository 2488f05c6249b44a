"""What runs as long as a service does, and how it ends."""

import asyncio
import contextlib

import aiohttp
import pytest
from fastapi import FastAPI

from services import lifetime
from services.runtime import serve
from tests.platform import eventually, free_port


class Deaf:
    """Loses the first cancellations, as a library does."""

    def __init__(self, times: int) -> None:
        self.heard = 0
        self._times = times

    async def run(self) -> None:
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                self.heard += 1
                if self.heard > self._times:
                    raise


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lifetime, "CANCEL_AGAIN_SECONDS", 0.02)


async def test_a_cancellation_that_is_lost_is_sent_again() -> None:
    deaf = Deaf(3)
    task = asyncio.ensure_future(deaf.run())
    await asyncio.sleep(0)
    await lifetime.insist(task)
    assert (task.cancelled(), deaf.heard) == (True, 4)


async def test_also_in_a_group_which_cancels_once() -> None:
    deaf = Deaf(3)

    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(lifetime.lasting("deaf", deaf.run(), lambda: True))

    running = asyncio.ensure_future(run())
    await asyncio.sleep(0.01)
    async with asyncio.timeout(5):
        await lifetime.end(running)
    assert deaf.heard == 4


async def test_what_ends_before_the_service_does_is_an_error_and_says_its_name() -> None:
    with pytest.raises(RuntimeError, match="clock has ended"):
        await lifetime.lasting("clock", asyncio.sleep(0), lambda: False)
    await lifetime.lasting("clock", asyncio.sleep(0), lambda: True)


async def test_what_one_of_its_own_tasks_cancels_is_an_error() -> None:
    async def cancelled() -> None:
        raise asyncio.CancelledError

    with pytest.raises(RuntimeError, match="clock was cancelled by one of its own tasks"):
        await lifetime.lasting("clock", cancelled(), lambda: False)


async def test_an_error_of_it_is_its_own() -> None:
    async def broken() -> None:
        raise KeyError("x")

    with pytest.raises(KeyError):
        await lifetime.lasting("clock", broken(), lambda: False)


async def test_a_request_under_way_is_answered_though_the_service_ends() -> None:
    app, begun, may_end = FastAPI(), asyncio.Event(), asyncio.Event()

    @app.get("/slow")
    async def slow() -> str:
        begun.set()
        await may_end.wait()
        return "done"

    port = free_port()
    serving = asyncio.ensure_future(serve(app, "127.0.0.1", port))
    async with aiohttp.ClientSession() as client:

        async def ask() -> int:
            while True:
                with contextlib.suppress(aiohttp.ClientConnectorError):
                    async with client.get(f"http://127.0.0.1:{port}/slow") as answer:
                        return answer.status

        asking = asyncio.ensure_future(ask())
        await eventually(begun.is_set)
        ending = asyncio.ensure_future(lifetime.end(serving))
        # Several times the wait after which `insist` would cancel again.
        await asyncio.sleep(lifetime.CANCEL_AGAIN_SECONDS * 5)
        may_end.set()
        assert await asking == 200
        await ending
