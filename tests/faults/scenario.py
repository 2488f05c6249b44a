"""What a scenario of the fault suite is, and what it asks of the machine."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tests.faults.world import World

Run = Callable[["World", Random], Awaitable[None]]


class NotExact(AssertionError):
    """What the log says and what came of it differ.

    Args:
        differences: In words a person can act on.
    """

    def __init__(self, differences: list[str]) -> None:
        self.differences = differences
        super().__init__("\n".join(differences))


class NotRun(Exception):
    """This machine does not allow the scenario; the message says why."""


@dataclass(frozen=True, slots=True)
class Needs:
    """What a scenario's world is made of.

    Attributes:
        broker: `own` for a scenario that kills, freezes or fills its broker.
        redis: `own` likewise; `none` for a view that is nowhere.
        proxied: Services that reach Kafka through `world.proxy`.
        settings: Variables of every service, by name, beside those of the world.
        disk: Megabytes of the disk that an own broker writes to; None for the machine's.
        partitions: Partition count of the deployment.
        starts: What runs when the scenario begins.
        live: False for a deployment in mode `new`, which an import takes live.
        within: Seconds that a run may take, all in all.
    """

    broker: Literal["shared", "own"] = "shared"
    redis: Literal["shared", "own", "none"] = "shared"
    proxied: tuple[str, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    disk: int | None = None
    partitions: int = 4
    starts: tuple[str, ...] = ("ingest-0", "detector-0", "alerts-0")
    live: bool = True
    within: float = 150.0


@dataclass(frozen=True, slots=True)
class Scenario:
    """One fault, or a family of them, under load; afterwards everything must be exact.

    Attributes:
        name: What `SCENARIO=` takes, in words joined by `-`.
        rows: Lines of the table in the promise that it covers, such as `kill -9 detector`.
        run: Feeds the world and breaks it; the runner settles and verifies it afterwards.
        random: False for one that is the same with every seed: it runs once.
        needs: What its world is made of.
        recounted: False for one that compares by itself what came of it: its log is older than
            the oracle.
        ends: Service and exit code with which a process may end of its fault, such as `detector
            70`; beside these only 0, when asked to end, and the suite's own kill -9.
    """

    name: str
    rows: tuple[str, ...]
    run: Run
    random: bool = True
    needs: Needs = Needs()
    recounted: bool = True
    ends: tuple[str, ...] = ()
