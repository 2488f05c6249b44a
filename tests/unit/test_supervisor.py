import asyncio
from collections.abc import Sequence

import pytest

from services.supervisor import supervise


class Script:
    """Processes that live as long and end as a script says, on a clock that only they move."""

    def __init__(self, **lives: Sequence[tuple[float, int]]) -> None:
        self.lives = {name: list(life) for name, life in lives.items()}
        self.now = 0.0
        self.waits: list[float] = []
        self.said: list[tuple[str, str]] = []
        self.ended: list[str] = []
        self.stop = asyncio.Event()

    async def launch(self, name: str, _argv: Sequence[str]) -> int:
        try:
            if not self.lives[name]:
                await asyncio.Event().wait()
            seconds, code = self.lives[name].pop(0)
            self.now += seconds
            return code
        finally:
            if not self.lives[name]:
                self.ended.append(name)

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    async def run(self) -> int:
        commands = {name: ["a-command"] for name in self.lives}
        return await supervise(
            commands,
            self.launch,
            lambda name, line: self.said.append((name, line)),
            self.stop,
            clock=lambda: self.now,
            sleep=self.sleep,
        )


async def test_a_crash_loop_waits_longer_each_time_up_to_half_a_minute() -> None:
    script = Script(detector=[(5, 70)] * 8 + [(5, 78)])
    assert await script.run() == 78
    assert script.waits == [0, 1, 2, 4, 8, 16, 30, 30]


async def test_a_process_that_was_healthy_for_a_minute_starts_again_at_once() -> None:
    script = Script(detector=[(5, -9), (5, 75), (60, -11), (59, 70), (1, 0)])
    assert await script.run() == 0
    assert script.waits == [0, 1, 0, 1]
    assert script.said == [
        ("detector", "ended by SIGKILL; starting again at once"),
        ("detector", "ended by exit 75; starting again in 1 s"),
        ("detector", "ended by SIGSEGV; starting again at once"),
        ("detector", "ended by exit 70; starting again in 1 s"),
        ("detector", "ended with exit 0; ending everything"),
    ]


@pytest.mark.parametrize("code", [0, 1, 2, 78])
async def test_a_final_exit_of_one_ends_all_and_is_returned(code: int) -> None:
    script = Script(ingest=[], detector=[(5, code)])
    assert await script.run() == code
    assert sorted(script.ended) == ["detector", "ingest"]
    assert script.said == [("detector", f"ended with exit {code}; ending everything")]


async def test_a_stop_from_outside_ends_all_and_is_no_failure() -> None:
    script = Script(ingest=[], detector=[])
    running = asyncio.create_task(script.run())
    await asyncio.sleep(0)
    script.stop.set()
    assert await running == 0
    assert sorted(script.ended) == ["detector", "ingest"]
    assert script.said == []
