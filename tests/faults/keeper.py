"""Keeps one service running as `ebbwatch run` does, and notes how each of its processes ended."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from services.supervisor import Backoff, asks_for_restart
from tests.faults.nursery import Child, Nurseries

IMPATIENCE = 0.05
"""Factor on the supervisor's waits: a run has seconds for what takes a deployment minutes."""

STOP_SECONDS = 10.0
"""Every stop takes less. Source: issue 3, point 3."""


@dataclass(frozen=True, slots=True)
class Exit:
    """How a process ended.

    Attributes:
        name: Such as `detector-0`.
        code: Exit code, or minus the number of the signal that ended it.
        lived: Seconds that it ran.
        wanted: Whether the scenario had asked for its end.
        killed: Whether the suite has sent it kill -9.
    """

    name: str
    code: int
    lived: float
    wanted: bool
    killed: bool


class Keeper:
    """One service that is started again when it asks for it.

    Args:
        name: Such as `detector-0`.
        environ: Makes the environment of each start.
        folder: Where it runs; its output goes into `<name>.log` there.
        ended: Takes each end.
        nurseries: Start its processes.

    Attributes:
        starts: How many processes of it there were.
        kills: How many of them were to die of kill -9.
        exits: How they ended.
    """

    def __init__(
        self,
        name: str,
        environ: Callable[[], Mapping[str, str]],
        folder: Path,
        ended: Callable[[Exit], None],
        nurseries: Nurseries,
    ) -> None:
        self.name = name
        self.starts = 0
        self.kills = 0
        self.exits: list[Exit] = []
        self._environ = environ
        self._folder = folder
        self._told = ended
        self._nurseries = nurseries
        self._process: Child | None = None
        self._task: asyncio.Task[None] | None = None
        self._wanted = False
        self._killed = False
        self._doomed = 0

    @property
    def running(self) -> bool:
        """Whether a process of it runs now."""
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        """The id of its process, which must run."""
        assert self._process is not None, f"{self.name} was never started"
        return self._process.pid

    @property
    def frozen(self) -> bool:
        """Whether its process stands still."""
        if not self.running:
            return False
        try:
            told = Path(f"/proc/{self.pid}/stat").read_text(encoding="utf-8")
        except (FileNotFoundError, ProcessLookupError):
            # It has ended, and nobody has heard of it yet.
            return False
        # The name, which may hold anything, stands in brackets before the state. Source: proc(5).
        return told.rpartition(")")[2].split()[0] == "T"

    @property
    def over(self) -> bool:
        """Whether it has ended for good."""
        return self._task is not None and self._task.done()

    def start(self) -> None:
        """Keep it running from now on."""
        assert self._task is None or self._task.done(), f"{self.name} runs already"
        self._wanted = False
        self._task = asyncio.create_task(self._keep())

    def send(self, number: signal.Signals) -> bool:
        """Send its process a signal; tells whether there was one."""
        with contextlib.suppress(ProcessLookupError):
            if self.running:
                os.kill(self.pid, number)
                return True
        return False

    def kill(self) -> None:
        """Kill -9; where no process of it runs just now, the next one as soon as it does."""
        self.kills += 1
        if self._killed or not self._strike():
            self._doomed += 1

    def _strike(self) -> bool:
        self._killed = self.send(signal.SIGKILL)
        return self._killed

    def freeze(self) -> None:
        """Let its process stand still."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let its process go on."""
        self.send(signal.SIGCONT)

    def ask(self) -> None:
        """Let its process write into its log what every task of it waits for."""
        self.send(signal.SIGUSR2)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int | None:
        """End it for good; it has ten seconds.

        Returns:
            Its exit code; None if no process of it ran.

        Raises:
            AssertionError: It did not end in time, and was killed.
        """
        self._wanted = True
        ran = self.running
        if ran:
            self.send(signal.SIGCONT)
            self.send(number)
            await self._land()
        elif self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        return self.exits[-1].code if ran else None

    async def _land(self) -> None:
        assert self._task is not None
        _, late = await asyncio.wait({self._task}, timeout=STOP_SECONDS)
        if late:
            self._strike()
            await asyncio.wait({self._task})
            raise AssertionError(f"{self.name} took more than {STOP_SECONDS:g} s to stop")

    async def _keep(self) -> None:
        backoff = Backoff()
        while True:
            begun = time.monotonic()
            code = await self._run()
            lived = time.monotonic() - begun
            self.exits.append(Exit(self.name, code, lived, self._wanted, self._killed))
            self._told(self.exits[-1])
            if self.exits[-1].wanted or not asks_for_restart(code):
                return
            await asyncio.sleep(backoff.wait_after(lived) * IMPATIENCE)

    async def _run(self) -> int:
        service, _, number = self.name.partition("-")
        self.starts += 1
        self._killed = False
        self._process = await self._nurseries.start(
            ["serve", service, "--number", number],
            self._environ(),
            self._folder,
            self._folder / f"{self.name}.log",
        )
        if self._doomed and self._strike():
            self._doomed -= 1
        return await self._process.wait()
