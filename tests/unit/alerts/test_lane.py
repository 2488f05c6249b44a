"""Each job when it is due, so many at once, and none held up by another lane."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from services.alerts.lane import Lane
from tests.platform import eventually


class Jobs:
    """Jobs that end when the test says so."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.ends: dict[str, asyncio.Event] = {}

    def job(self, name: str) -> Callable[[], Coroutine[Any, Any, None]]:
        self.ends[name] = asyncio.Event()

        async def work() -> None:
            self.begun.append(name)
            await self.ends[name].wait()

        return work


@contextlib.asynccontextmanager
async def running(lane: Lane) -> AsyncIterator[None]:
    task = asyncio.ensure_future(lane.run())
    yield
    task.cancel()
    await asyncio.wait({task})


def lane(width: int = 2) -> Lane:
    return Lane(width, asyncio.get_running_loop().time)


async def test_no_more_jobs_run_at_once_than_the_lane_is_wide() -> None:
    jobs, two = Jobs(), lane()
    for name in "abc":
        two.put(0.0, jobs.job(name))
    async with running(two):
        await eventually(lambda: len(jobs.begun) == 2)
        assert (jobs.begun, len(two.working)) == (["a", "b"], 2)
        jobs.ends["a"].set()
        await eventually(lambda: jobs.begun == ["a", "b", "c"])


async def test_what_is_due_earlier_goes_first_whenever_it_was_put() -> None:
    jobs, one = Jobs(), lane(1)
    one.put(0.05, jobs.job("late"))
    one.put(0.01, jobs.job("early"))
    for end in jobs.ends.values():
        end.set()
    async with running(one):
        await eventually(lambda: jobs.begun == ["early", "late"])


async def test_a_job_that_comes_while_a_later_one_is_waited_for_does_not_wait_for_that() -> None:
    jobs, one = Jobs(), lane(1)
    one.put(60.0, jobs.job("in a minute"))
    async with running(one):
        one.put(0.0, jobs.job("now"))
        await eventually(lambda: jobs.begun == ["now"])


async def test_a_cleared_lane_forgets_what_waits_and_keeps_what_runs() -> None:
    jobs, one = Jobs(), lane(1)
    one.put(0.0, jobs.job("runs"))
    one.put(0.0, jobs.job("waits"))
    async with running(one):
        await eventually(lambda: jobs.begun == ["runs"])
        one.clear()
        jobs.ends["runs"].set()
        await eventually(lambda: not one.working)
        one.put(0.0, jobs.job("after it"))
        await eventually(lambda: jobs.begun == ["runs", "after it"])


async def test_a_paused_lane_begins_nothing_until_the_pause_is_over_or_ended() -> None:
    jobs, two = Jobs(), lane()
    two.pause(3600.0)
    # A shorter one does not end a longer one.
    two.pause(0.0)
    two.put(0.0, jobs.job("a"))
    async with running(two):
        two.put(0.0, jobs.job("b"))
        two.resume()
        await eventually(lambda: jobs.begun == ["a", "b"])
        jobs.ends["a"].set()
        begun = asyncio.get_running_loop().time()
        two.pause(0.2)
        two.put(0.0, jobs.job("c"))
        await eventually(lambda: jobs.begun == ["a", "b", "c"])
        assert asyncio.get_running_loop().time() - begun >= 0.2


async def test_a_lane_that_ends_ends_its_jobs() -> None:
    jobs, one = Jobs(), lane(1)
    one.put(0.0, jobs.job("runs"))
    async with running(one):
        await eventually(lambda: jobs.begun == ["runs"])
        (work,) = one.working
    await asyncio.wait({work}, timeout=1)
    assert work.cancelled()
