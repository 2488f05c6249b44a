"""What a figure says of the machine and of the processes that it measured."""

import os
import platform
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
USER_TICKS: Final = 11
"""Place of `utime` behind the name in /proc/<pid>/stat; `stime` follows. Source: proc(5)."""

Cpu = dict[str, float]
"""CPU seconds by process."""


def cpu_seconds(pids: Mapping[str, int]) -> Cpu:
    """Return the CPU that each process has used since its start, children not counted."""
    return {name: _used(pid) for name, pid in pids.items()}


def spent(before: Cpu, after: Cpu) -> Cpu:
    """Return what was used between two looks, to the hundredth of a second."""
    return {name: round(after[name] - before[name], 2) for name in after}


def described() -> dict[str, object]:
    """Return commit, cores and Python; without a git history the commit is None."""
    return {
        "commit": _commit(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def _used(pid: int) -> float:
    # The name before the last parenthesis may hold anything.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    ticks = int(fields[USER_TICKS]) + int(fields[USER_TICKS + 1])
    return ticks / os.sysconf("SC_CLK_TCK")


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
