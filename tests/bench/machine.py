"""What a figure says of the machine and of the processes that it measured."""

import os
import platform
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
USER_TICKS: Final = 11
"""Place of `utime` behind the name in /proc/<pid>/stat; `stime` follows. Source: proc(5)."""
IDLE_COLUMNS: Final = (3, 4)
"""Columns `idle` and `iowait` of a processor in /proc/stat."""
BUSY_COLUMNS: Final = 8
"""Up to `steal`; what follows stands in the first columns already."""
MACHINE: Final = "machine"

Cpu = dict[str, float]
"""CPU seconds by process."""


def cpu_seconds(pids: Mapping[str, int]) -> Cpu:
    """Return the CPU that processes have used so far.

    Args:
        pids: By name.

    Returns:
        Seconds by name, children not counted; beside them `bench`, which is this process, and
        `machine`, which is everything on all cores.
    """
    used = {name: _used(pid) for name, pid in pids.items()}
    return used | {"bench": time.process_time(), MACHINE: _busy()}


def spent(before: Cpu, after: Cpu) -> Cpu:
    """Return what was used between two looks, to the hundredth of a second.

    Returns:
        By process; `others` is what the machine did beside them, by which a figure of a disturbed
        run can be told.
    """
    used = {name: after[name] - before[name] for name in after}
    others = used.pop(MACHINE)
    used["others"] = max(0.0, others - sum(used.values()))
    return {name: round(seconds, 2) for name, seconds in used.items()}


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


def _busy() -> float:
    processors = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
    ticks = sum(
        int(column)
        for place, column in enumerate(processors[:BUSY_COLUMNS])
        if place not in IDLE_COLUMNS
    )
    return ticks / os.sysconf("SC_CLK_TCK")


def _commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "describe", "--always", "--dirty"], cwd=ROOT, capture_output=True, text=True
        )
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None
