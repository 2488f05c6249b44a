"""Runs scenarios, each in a world of its own, on servers that they share where they can."""

import asyncio
import contextlib
import itertools
import shutil
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random

import pytest

from tests.faults.brokers import Broker, Redis
from tests.faults.disks import small_disk
from tests.faults.nursery import Nurseries
from tests.faults.proxy import Proxy
from tests.faults.receiver import receiving
from tests.faults.scenario import Needs, NotExact, NotRun, Scenario
from tests.faults.verifying import require_struck
from tests.faults.world import World

Step = Callable[[], Awaitable[None]]


@dataclass(frozen=True)
class Outcome:
    """What came of one run.

    Attributes:
        scenario: Its name.
        seed: Its seed.
        seconds: How long it took.
        differences: Empty if everything was exact.
        told: What is worth telling of it, such as `caught up 4`.
        not_run: Why it did not run, or None.
        folder: Where its logs are, if something was not exact.
    """

    scenario: str
    seed: int
    seconds: float
    differences: tuple[str, ...] = ()
    told: str = ""
    not_run: str | None = None
    folder: Path | None = None

    def line(self) -> str:
        """Return the outcome in one line."""
        if self.not_run is not None:
            return f"--  {self.scenario}  not run: {self.not_run}"
        mark = "NOT EXACT" if self.differences else "ok"
        return f"{mark}  {self.scenario}  seed {self.seed}  {self.seconds:.1f} s  {self.told}"


class Servers:
    """A broker and a Valkey that scenarios share, and what starts their services.

    Args:
        folder: Takes their data.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._broker: Broker | None = None
        self._redis: Redis | None = None
        self.nurseries = Nurseries(folder)
        self.nurseries.open()

    async def broker(self) -> Broker:
        """Return the shared broker."""
        if self._broker is None:
            made = Broker(self._folder / "kafka")
            await made.start()
            self._broker = made
        return self._broker

    async def redis(self) -> Redis:
        """Return the shared Valkey."""
        if self._redis is None:
            made = Redis(self._folder / "valkey")
            await made.start()
            self._redis = made
        return self._redis

    def stop(self) -> None:
        """End all of them."""
        self.nurseries.close()
        for server in (self._broker, self._redis):
            if server is not None:
                server.stop()


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[Servers]:
    """Share servers as long as the block lasts."""
    servers = Servers(folder)
    try:
        yield servers
    finally:
        servers.stop()


async def run(scenario: Scenario, seed: int, servers: Servers, folder: Path) -> Outcome:
    """Run a scenario once, and verify what came of it.

    Args:
        scenario: What to run.
        seed: Decides everything that it leaves to chance.
        servers: Shared ones.
        folder: Takes the world's logs; removed unless something is not exact.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if scenario.needs.broker == "shared":
        await servers.broker()
    begun = time.monotonic()
    differences: list[str] = []
    told = ""
    try:
        async with asyncio.timeout(scenario.needs.within):
            rng = Random(f"{scenario.name} {seed}")
            async with (
                _disk(scenario.needs, folder),
                _world(scenario, servers, folder, rng) as world,
            ):
                world.seed, world.ends = seed, scenario.ends
                at = [time.monotonic()]
                for step in _steps(scenario, world, rng):
                    await step()
                    at.append(time.monotonic())
                told = _told(world)
                took = [f"{b - a:.1f}" for a, b in itertools.pairwise([begun, *at])]
                told += f"  ({' + '.join(took)})"
    except NotRun as why:
        return Outcome(scenario.name, seed, time.monotonic() - begun, not_run=str(why))
    except NotExact as found:
        differences = found.differences
    except TimeoutError:
        differences = [f"the run took more than {scenario.needs.within:g} s"]
    except (AssertionError, pytest.fail.Exception) as failed:
        differences = [str(failed) or repr(failed)]
    except BaseExceptionGroup as group:
        differences = [repr(one) for one in group.exceptions]
    except Exception:
        # A fault of the scenario's own; the other ones run all the same.
        differences = traceback.format_exc().splitlines()
    if not differences:
        shutil.rmtree(folder)
    seconds = time.monotonic() - begun
    return Outcome(scenario.name, seed, seconds, tuple(differences), told, folder=folder)


def _steps(scenario: Scenario, world: World, rng: Random) -> list[Step]:
    steps: list[Step] = [partial(scenario.run, world, rng), world.settle]
    return [*steps, world.verify if scenario.recounted else partial(require_struck, world)]


def _disk(needs: Needs, folder: Path) -> contextlib.AbstractAsyncContextManager[object]:
    if needs.disk is None:
        return contextlib.nullcontext()
    return small_disk(folder / "kafka" / "data", needs.disk)


@contextlib.asynccontextmanager
async def _world(
    scenario: Scenario, servers: Servers, folder: Path, rng: Random
) -> AsyncIterator[World]:
    needs = scenario.needs
    own: list[Broker | Redis] = []
    try:
        if needs.broker == "own":
            broker = Broker(folder / "kafka")
            own.append(broker)
            await broker.start()
        else:
            broker = await servers.broker()
        redis = None
        if needs.redis == "own":
            redis = Redis(folder / "valkey")
            own.append(redis)
            await redis.start()
        elif needs.redis == "shared":
            redis = await servers.redis()
        async with _opened(broker, redis, servers.nurseries, folder, rng, needs) as world:
            yield world
    finally:
        for server in own:
            server.stop()


@contextlib.asynccontextmanager
async def _opened(
    broker: Broker,
    redis: Redis | None,
    nurseries: Nurseries,
    folder: Path,
    rng: Random,
    needs: Needs,
) -> AsyncIterator[World]:
    """Make a world that runs as long as the block."""
    world = World(broker, redis, nurseries, folder, rng, needs)
    async with receiving() as world.receiver, Proxy(broker.proxied, broker.behind) as world.proxy:
        try:
            await world.start()
            yield world
        except BaseException:
            world.ask()
            raise
        finally:
            await world.stop()


def _told(world: World) -> str:
    ends: dict[str, int] = {}
    for one in world.exits:
        if not one.wanted:
            key = f"{one.name} {one.code}"
            ends[key] = ends.get(key, 0) + 1
    ended = ", ".join(f"{key} x{count}" for key, count in sorted(ends.items()))
    told: list[tuple[str, float]] = [*world.told.items(), *world.figures.items()]
    counts = ", ".join(f"{figure:.6g} {name}" for name, figure in told)
    return f"{counts}  caught up {world.caught_up}" + (f"  ended: {ended}" if ended else "")
