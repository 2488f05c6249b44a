"""Processes that a figure starts: each writes into a file, and none outlives the bench."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from services import tether
from tests.bench.figure import BenchError
from tests.bench.machine import ROOT

END_SECONDS: Final = 12.0
"""A service promises to end within ten."""
LAST_LINES: Final = 15


@dataclass(frozen=True, slots=True)
class Process:
    """One running process and where it writes.

    Attributes:
        name: For messages.
        child: The process; its pid is the pid of the program itself.
        output: What it has written to stdout.
        log: What it has written to stderr.
    """

    name: str
    child: "subprocess.Popen[bytes]"
    output: Path
    log: Path

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.child.pid

    def require_running(self) -> None:
        """Pass if it runs.

        Raises:
            BenchError: It has ended; shows its last lines.
        """
        code = self.child.poll()
        if code is not None:
            raise BenchError(f"{self.name} ended with {code}:\n{self.last_lines()}")

    def last_lines(self) -> str:
        """Return the end of what it has written."""
        text = self.output.read_text(errors="replace") + self.log.read_text(errors="replace")
        return "\n".join(text.splitlines()[-LAST_LINES:])

    async def end(self) -> None:
        """Ask it to end, and kill it if it does not."""
        if self.child.poll() is None:
            self.child.terminate()
            try:
                await asyncio.to_thread(self.child.wait, END_SECONDS)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()


def start(name: str, arguments: Sequence[str], environ: Mapping[str, str], folder: Path) -> Process:
    """Run Python with some arguments in the work tree.

    Args:
        name: For messages and files.
        arguments: What follows `python`.
        environ: The whole environment.
        folder: Takes what it writes.
    """
    output, log = folder / f"{name}.out", folder / f"{name}.log"
    tethered = (sys.executable, "-I", "-S", str(tether.__file__), str(os.getpid()))
    with output.open("wb") as out, log.open("wb") as err:
        child = subprocess.Popen(
            [*tethered, sys.executable, *arguments],
            cwd=ROOT,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
    return Process(name, child, output, log)


def plain_environment() -> dict[str, str]:
    """Return this environment without a setting of ours: no shell shall steer a figure."""
    return {name: value for name, value in os.environ.items() if not name.startswith("EBBWATCH_")}
