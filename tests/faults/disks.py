"""A disk that is so small that it can be full."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from tests.faults.scenario import NotRun

FILLER = "filler"
CHUNK = 4096


@contextlib.asynccontextmanager
async def small_disk(folder: Path, megabytes: int) -> AsyncIterator[Path]:
    """Mount a tmpfs as long as the block lasts.

    Args:
        folder: Where; it is made.
        megabytes: Its size.

    Raises:
        NotRun: This machine does not let us mount one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    await _run("mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0777", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        # Lazily: a process that is about to end may have a file open.
        await _run("umount", "--lazy", str(folder))


def fill(folder: Path) -> None:
    """Fill a disk to its last byte."""
    place = os.open(folder / FILLER, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        with contextlib.suppress(OSError):
            while True:
                os.write(place, bytes(CHUNK))
    finally:
        os.close(place)


def free(folder: Path) -> None:
    """Take away what it was filled with."""
    (folder / FILLER).unlink(missing_ok=True)


async def _run(*argv: str) -> None:
    done = await asyncio.to_thread(
        subprocess.run, argv, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise NotRun(f"`{argv[0]}` is not allowed here: {done.stderr.strip()}")
