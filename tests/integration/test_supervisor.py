import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.platform import eventually

SUPERVISE = (
    "import json, os, sys; from services.supervisor import run; "
    "say = lambda name, line: print(name, line, flush=True); "
    "sys.exit(run(json.loads(sys.argv[1]), dict(os.environ), say))"
)
PID = "import os; print('pid', os.getpid(), flush=True); "
WAIT = "import signal; signal.pause()"
DEAF = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); "


@dataclass
class Supervised:
    """A supervisor in a process of its own, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    log: Path

    def lines(self) -> list[str]:
        return self.log.read_text().splitlines()

    async def pids(self, count: int) -> list[int]:
        """Return the pids that its commands have told, when there are that many."""

        def told() -> list[int]:
            return [int(line.split()[2]) for line in self.lines() if " pid " in line]

        await eventually(lambda: len(told()) >= count, what=f"{count} pids in {self.lines()}")
        return told()

    async def ends(self, within: float) -> int:
        await eventually(
            lambda: self.process.poll() is not None, within=within, what="the supervisor's end"
        )
        return int(self.process.returncode)


Supervise = Callable[..., Supervised]


@pytest.fixture
def supervise(tmp_path: Path) -> Iterator[Supervise]:
    """Start a supervisor of Python snippets, by name; it is gone when the test ends."""
    started: list[Supervised] = []

    def start(**snippets: str) -> Supervised:
        commands = {name: [sys.executable, "-c", code] for name, code in snippets.items()}
        argv = [sys.executable, "-c", SUPERVISE, json.dumps(commands)]
        log = tmp_path / f"log-{len(started)}"
        with log.open("w") as out:
            process = subprocess.Popen(argv, stdout=out, stderr=out, cwd=Path(__file__).parents[2])
        started.append(Supervised(process, log))
        return started[-1]

    yield start
    for each in started:
        each.process.kill()
        each.process.wait()


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return True
    # Dead, and nobody has asked for its status yet.
    return state in "ZX"


async def test_a_killed_process_is_back_at_once(supervise: Supervise) -> None:
    running = supervise(detector=PID + WAIT)
    [first] = await running.pids(1)
    os.kill(first, signal.SIGKILL)
    _, second = await running.pids(2)
    assert second != first
    assert running.lines() == [
        f"detector pid {first}",
        "detector ended by SIGKILL; starting again at once",
        f"detector pid {second}",
    ]


async def test_a_wrong_configuration_ends_all_with_78(supervise: Supervise) -> None:
    running = supervise(ingest=PID + WAIT, detector="import sys; print('bad'); sys.exit(78)")
    assert await running.ends(within=10) == 78
    for pid in await running.pids(0):
        assert is_gone(pid)
    assert [line for line in running.lines() if line.startswith("detector")] == [
        "detector bad",
        "detector ended with exit 78; ending everything",
    ]


async def test_ctrl_c_ends_everything_and_is_no_failure(supervise: Supervise) -> None:
    running = supervise(ingest=PID + WAIT, detector=PID + WAIT)
    pids = await running.pids(2)
    running.process.send_signal(signal.SIGINT)
    assert await running.ends(within=10) == 0
    assert [is_gone(pid) for pid in pids] == [True, True]


async def test_a_stop_ends_even_a_deaf_process_within_ten_seconds(supervise: Supervise) -> None:
    running = supervise(ingest=PID + WAIT, detector=DEAF + PID + "\nwhile True: signal.pause()")
    pids = await running.pids(2)
    sent_at = time.monotonic()
    running.process.terminate()
    assert await running.ends(within=15) == 0
    assert time.monotonic() - sent_at < 10
    assert [is_gone(pid) for pid in pids] == [True, True]


async def test_processes_die_with_a_killed_supervisor(supervise: Supervise) -> None:
    running = supervise(ingest=PID + WAIT, detector=DEAF + PID + "\nwhile True: signal.pause()")
    pids = await running.pids(2)
    running.process.kill()
    await eventually(lambda: all(map(is_gone, pids)), what="the end of the orphans")


async def test_a_crashed_process_takes_its_own_children_along(supervise: Supervise) -> None:
    child = f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {PID + WAIT!r}])"
    running = supervise(detector=f"{child}; {PID}{WAIT}")
    first = await running.pids(2)
    [detector] = [pid for pid in first if os.getsid(pid) == pid]
    os.kill(detector, signal.SIGKILL)
    await running.pids(4)
    await eventually(lambda: all(map(is_gone, first)), what="the end of the first two")


async def test_a_line_of_two_megabytes_and_bytes_that_are_no_text_pass(
    supervise: Supervise,
) -> None:
    code = r"import sys; sys.stdout.buffer.write(b'x' * (2 << 20) + b'\n\xff'); sys.exit(1)"
    running = supervise(detector=code)
    assert await running.ends(within=10) == 1
    *long, odd, last = [line.removeprefix("detector ") for line in running.lines()]
    assert "".join(long) == "x" * (2 << 20)
    assert (odd, last) == ("�", "ended with exit 1; ending everything")
