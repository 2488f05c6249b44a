"""Wall clocks that are wrong: libfaketime's, of a whole service, and what a service shows."""

import glob
import platform
import sysconfig
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

import aiohttp
import pytest

from tests.faults.scenario import NotExact, NotRun
from tests.platform import eventually

if TYPE_CHECKING:
    from tests.faults.world import World

NAME = "libfaketimeMT.so.1"
REMEDY = (
    "libfaketime is missing, without which no clock can be moved: deploy/setup.sh tests, or on "
    "Debian apt-get install libfaketime"
)
LEEWAY = timedelta(seconds=60)
"""For a service that is slow to answer; clocks are moved by minutes and days."""

NOTICED_SECONDS = 15.0


def library(system: str = "/usr") -> str:
    """Return the path of libfaketime for programs of this machine.

    Args:
        system: Where libraries are installed.

    Raises:
        NotRun: It is not installed: the loader would take no notice of a preload that is missing.
    """
    # Of several architectures' libraries only the programs' own may be taken.
    names = [sysconfig.get_config_var("MULTIARCH"), f"{platform.machine()}-*"]
    places = [f"lib/{name}/faketime" for name in names if name]
    for place in (*places, "lib64/faketime", "lib/faketime", "local/lib/faketime"):
        if found := sorted(glob.glob(f"{system}/{place}/{NAME}")):
            return found[0]
    raise NotRun(REMEDY)


def faketime(**variables: str) -> dict[str, str]:
    """Return the environment of a process whose wall clock alone is libfaketime's.

    Args:
        variables: What libfaketime takes, such as `FAKETIME="+3d"`.

    Raises:
        NotRun: It is not installed.
    """
    return {"LD_PRELOAD": library(), "FAKETIME_DONT_FAKE_MONOTONIC": "1", **variables}


async def require_skewed(world: "World", name: str, by: timedelta) -> None:
    """Require that a service shows a wall clock which is wrong by so much.

    Args:
        world: The world.
        name: Of the service, which answers.
        by: How far it is ahead; negative for behind.

    Raises:
        NotExact: It shows another time: its clock was not moved, and nothing is shown.
    """
    seen: list[timedelta] = []

    async def skewed() -> bool:
        seen.append(await _wrong_by(world, name))
        return abs(seen[-1] - by) <= LEEWAY

    # An answer's date is up to a second old, and libfaketime looks for a new offset once in one.
    try:
        await eventually(skewed, within=NOTICED_SECONDS)
    except (AssertionError, pytest.fail.Exception):
        told = f"the clock of {name} was to be wrong by {by}, and is by {seen[-1]}"
        raise NotExact([told]) from None


async def _wrong_by(world: "World", name: str) -> timedelta:
    async with (
        aiohttp.ClientSession() as client,
        client.get(f"{world.url(name)}/livez") as answer,
    ):
        return parsedate_to_datetime(answer.headers["Date"]) - datetime.now(UTC)


def delta(offset: str) -> timedelta:
    """Return how far an offset of libfaketime's moves a clock.

    Args:
        offset: Such as `+3d`, `-5h` or `+200`, seconds.

    >>> delta("-3d")
    datetime.timedelta(days=-3)
    """
    units = {"d": timedelta(days=1), "h": timedelta(hours=1)}
    unit = units.get(offset[-1])
    return float(offset[:-1]) * unit if unit is not None else timedelta(seconds=float(offset))
