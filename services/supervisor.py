"""Runs services as processes, restarts one that asks for it, and ends all together."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RESTART_CODES = frozenset({70, 75})
"""A bug or a lost broker, and no progress. Source: formats.md, exit codes."""
GRACE_SECONDS = 7.5
"""From SIGTERM to SIGKILL: everything has ended within 10 s of Ctrl-C (issue 3, point 3)."""
LONGEST_WAIT_SECONDS = 30.0
HEALTHY_SECONDS = 60.0
LONGEST_LINE_BYTES = 1 << 20

OnLine = Callable[[str, str], None]
Launch = Callable[[str, Sequence[str]], Awaitable[int]]


@dataclass(slots=True)
class Backoff:
    """How long a process that ended waits for its next start.

    Args:
        failures: Ends in a row since it last ran for `HEALTHY_SECONDS`.
    """

    failures: int = 0

    def wait_after(self, lived: float) -> float:
        """Count an end and return the seconds to wait: 0 at first, then 1, 2, 4 … 30.

        Args:
            lived: Seconds that the process ran, >= 0.

        Returns:
            Seconds, 0..30.

        Example:
            >>> backoff = Backoff()
            >>> [backoff.wait_after(lived) for lived in (5, 5, 5, 5, 60, 5)]
            [0.0, 1.0, 2.0, 4.0, 0.0, 1.0]
        """
        if lived >= HEALTHY_SECONDS:
            self.failures = 0
        self.failures += 1
        if self.failures == 1:
            return 0.0
        return min(LONGEST_WAIT_SECONDS, 2.0 ** min(self.failures - 2, 10))


def asks_for_restart(code: int) -> bool:
    """Return whether a process that ended so is started again.

    Args:
        code: Exit code 0..255, or minus the number of the signal that ended it.

    Example:
        >>> [code for code in (0, 1, 2, 70, 75, 78, -9, -15) if asks_for_restart(code)]
        [70, 75, -9, -15]
    """
    return code < 0 or code in RESTART_CODES


def run(
    commands: Mapping[str, Sequence[str]],
    env: Mapping[str, str],
    on_line: OnLine,
) -> int:
    """Run commands until one ends for good or this process gets SIGINT or SIGTERM.

    Every command runs in a session of its own, so Ctrl-C reaches this process alone, and the
    kernel ends it when this process ends, however that happens.

    Args:
        commands: Program and arguments by the name that people see.
        env: The whole environment of the commands.
        on_line: Takes name and text of each line that a command writes, standard error included,
            and what this supervisor has to say of that command.

    Returns:
        The exit code of the command that ended for good, such as 78 for a wrong configuration;
        0 after SIGINT or SIGTERM.
    """
    return asyncio.run(_run_until_signal(commands, env, on_line))


async def supervise(
    commands: Mapping[str, Sequence[str]],
    launch: Launch,
    on_line: OnLine,
    stop: asyncio.Event,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> int:
    """Keep commands running until one ends for good or `stop` is set; then end the others.

    Args:
        commands: Program and arguments by name.
        launch: Runs one to its end and returns its code; ends it first when it is cancelled.
        on_line: Takes name and text of what there is to say.
        stop: Set from outside to end everything.
        clock: Seconds that only go forward.
        sleep: Waits that many seconds.

    Returns:
        The code that is final, or 0 after `stop`.
    """

    async def keep(name: str, argv: Sequence[str]) -> int:
        backoff = Backoff()
        while True:
            started = clock()
            code = await launch(name, argv)
            if not asks_for_restart(code):
                on_line(name, f"ended with {_told(code)}; ending everything")
                return code
            wait = backoff.wait_after(clock() - started)
            on_line(name, f"ended by {_told(code)}; starting again {_when(wait)}")
            await sleep(wait)

    keepers = [asyncio.create_task(keep(name, argv)) for name, argv in commands.items()]
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopped, *keepers], return_when=asyncio.FIRST_COMPLETED)
        # Taken now: what ends while the others are ended is not the reason.
        codes = [keeper.result() for keeper in keepers if keeper.done()]
    finally:
        for task in (stopped, *keepers):
            task.cancel()
        await asyncio.gather(stopped, *keepers, return_exceptions=True)
    return 0 if stop.is_set() else max(codes, default=0)


async def _run_until_signal(
    commands: Mapping[str, Sequence[str]], env: Mapping[str, str], on_line: OnLine
) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signal_number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(signal_number, stop.set)

    async def launch(name: str, argv: Sequence[str]) -> int:
        return await _run_one(argv, env, lambda line: on_line(name, line))

    return await supervise(commands, launch, on_line, stop)


async def _run_one(
    argv: Sequence[str], env: Mapping[str, str], on_line: Callable[[str], None]
) -> int:
    tether = (sys.executable, "-I", "-S", str(Path(__file__).with_name("tether.py")))
    process = await asyncio.create_subprocess_exec(
        *(*tether, str(os.getpid()), *argv),
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    assert process.stdout is not None
    # In a group: when a line cannot be passed on (`ebbwatch run | head`), the command ends too.
    async with asyncio.TaskGroup() as group:
        lines = group.create_task(_forward(process.stdout, on_line))
        try:
            await _exited(process.pid)
        finally:
            await _end(process)
            await lines
    return await process.wait()


async def _end(process: asyncio.subprocess.Process) -> None:
    # Its session as a whole: a grandchild left behind would keep port and pipe.
    with contextlib.suppress(ProcessLookupError, TimeoutError):
        os.killpg(process.pid, signal.SIGTERM)
        async with asyncio.timeout(GRACE_SECONDS):
            await _exited(process.pid)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


async def _exited(pid: int) -> None:
    # `Process.wait` also waits for whoever holds the pipe, so a crash might go unnoticed.
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _forward(stream: asyncio.StreamReader, on_line: Callable[[str], None]) -> None:
    pending = b""
    while chunk := await stream.read(1 << 16):
        *lines, pending = (pending + chunk).split(b"\n")
        if len(pending) > LONGEST_LINE_BYTES:
            lines, pending = [*lines, pending], b""
        for line in lines:
            on_line(line.decode(errors="replace"))
    if pending:
        on_line(pending.decode(errors="replace"))


def _told(code: int) -> str:
    return f"exit {code}" if code >= 0 else signal.Signals(-code).name


def _when(wait: float) -> str:
    return f"in {wait:g} s" if wait else "at once"
