"""A fault that did not strike is a difference, and so is a death that nobody had asked for."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from services import failpoints
from tests.faults.arming import VARIABLE, Arming, Strike
from tests.faults.keeper import Exit, Keeper
from tests.faults.nursery import Child
from tests.faults.striking import missed, unexpected
from tests.platform import eventually

NAME = "detector-0"
ON = {"detector.fold": "detector.fold=kill@3", "snapshot.cut": "snapshot.cut=kill@1"}


class Sleepers:
    """Starts processes that do nothing; the next ones end with these codes at once."""

    def __init__(self, *codes: int) -> None:
        self.codes = list(codes)

    async def start(
        self, argv: Sequence[str], environ: Mapping[str, str], folder: Path, log: Path
    ) -> Child:
        code = self.codes.pop(0) if self.codes else None
        doing = "import time; time.sleep(600)" if code is None else f"raise SystemExit({code})"
        return await asyncio.create_subprocess_exec(sys.executable, "-S", "-c", doing)


class Kept:
    """What is held against each other of a world with one service."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.exits: list[Exit] = []
        self.ends: tuple[str, ...] = ()
        self.arming = Arming(folder)
        self.nurseries = Sleepers()
        environ = lambda: self.arming.environ(NAME, {})  # noqa: E731
        nurseries: Any = self.nurseries
        self.keeper = Keeper(NAME, environ, folder, self.exits.append, nurseries)
        self.keepers = {NAME: self.keeper}

    def strikes(self, place: str) -> None:
        """Let the log say what a process at a failpoint does."""
        [(_, armed)] = failpoints.parse(ON[place]).items()
        line: dict[str, object] = {
            "event": failpoints.STRIKES,
            "place": place,
            "logger": "services.failpoints",
        }
        line |= {"action": armed.action, "time": armed.time}
        with (self.folder / f"{NAME}.log").open("ab") as log:
            log.write(msgspec.json.encode(line) + b"\n")

    def told(self) -> list[str]:
        """Return every difference."""
        world: Any = SimpleNamespace(**vars(self))
        return [*unexpected(world), *missed(world)]


@pytest.fixture
async def kept(tmp_path: Path) -> AsyncIterator[Kept]:
    made = Kept(tmp_path)
    yield made
    await made.keeper.end(signal.SIGKILL)


async def runs(kept: Kept, starts: int) -> None:
    """Wait until so many processes were started, the last of which runs."""
    await eventually(lambda: kept.keeper.starts == starts and kept.keeper.running)


def test_what_is_armed_is_left_until_the_log_says_that_it_struck(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    kept.arming.add(NAME, ON.values())
    fold, cut = Strike("detector.fold", "kill", 3), Strike("snapshot.cut", "kill", 1)
    assert kept.arming.left(NAME) == [fold, cut]
    assert kept.arming.environ(NAME, {"A": "1"}) == {"A": "1", VARIABLE: ON["detector.fold"]}
    assert kept.arming.left(NAME) == [fold, cut]
    kept.strikes("detector.fold")
    assert kept.arming.left(NAME) == [cut]
    assert kept.told() == [
        f"{NAME} was armed with snapshot.cut=kill@1, which never struck: nothing was shown by it"
    ]
    kept.arming.environ(NAME, {})
    kept.strikes("snapshot.cut")
    assert (kept.told(), kept.arming.deaths(NAME)) == ([], 2)


def test_every_start_that_is_armed_must_strike_anew(tmp_path: Path) -> None:
    kept = Kept(tmp_path)
    always = {VARIABLE: ON["snapshot.cut"]}
    for _ in range(2):
        kept.arming.environ(NAME, always)
    kept.strikes("snapshot.cut")
    assert kept.arming.left(NAME) == [Strike("snapshot.cut", "kill", 1)]


async def test_each_kill_takes_a_process_of_its_own_even_where_none_runs_just_now(
    kept: Kept,
) -> None:
    kept.keeper.start()
    await runs(kept, 1)
    for _ in range(3):
        kept.keeper.kill()
    await runs(kept, 4)
    assert [(one.code, one.killed) for one in kept.exits] == [(-9, True)] * 3
    assert kept.told() == []


async def test_a_kill_that_came_too_late_is_told(kept: Kept) -> None:
    kept.keeper.start()
    await runs(kept, 1)
    await kept.keeper.end()
    kept.exits.clear()
    kept.keeper.kill()
    assert kept.told() == [
        f"{NAME} was to be killed 1 times, and 0 processes died of it",
    ]


async def test_an_end_that_the_scenario_does_not_name_is_told_whatever_came_of_it(
    kept: Kept,
) -> None:
    kept.nurseries.codes = [70, 75]
    kept.keeper.start()
    await runs(kept, 3)
    kept.ends = ("detector 75", "alerts 70")
    [told] = kept.told()
    assert told.startswith(f"{NAME} ended with 70 after ")
    kept.ends = ("detector 75", "detector 70")
    assert kept.told() == []


async def test_a_service_that_ends_with_0_by_itself_is_told(kept: Kept) -> None:
    kept.nurseries.codes = [0]
    kept.keeper.start()
    await eventually(lambda: kept.keeper.over)
    [told] = kept.told()
    assert told.endswith("and nobody had asked it to")


async def test_a_process_that_somebody_else_has_killed_is_told_unless_it_did_so_itself(
    kept: Kept,
) -> None:
    kept.keeper.start()
    await runs(kept, 1)
    assert kept.keeper.send(signal.SIGKILL)
    await runs(kept, 2)
    assert kept.told() == [
        f"1 processes of {NAME} were killed by somebody else (out of memory?)",
    ]
    kept.strikes("snapshot.cut")
    assert kept.told() == []
