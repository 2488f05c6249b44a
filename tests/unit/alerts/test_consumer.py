"""How old what is known of a partition is, and an assignment that fails."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from aiokafka import TopicPartition

from services.alerts import consumer as module
from services.alerts.accounts import Accounts
from services.alerts.cases import alarms
from services.alerts.cases.partition import Partition
from services.alerts.cases.timeline import Entry
from services.alerts.consumer import Consumer
from services.alerts.ownership import Owned, Ownership
from services.alerts.settings import AlertsSettings
from services.runtime import Health
from services.settings import load_settings
from tests.unit.alerts import builders as a

ROOT = Path(__file__).parents[3]
LOG = TopicPartition("alerts.v1", 0)


async def reading() -> Consumer:
    """A consumer that does not read."""
    settings = load_settings(AlertsSettings, {"EBBWATCH_SECRET_KEY": "k"})
    unused: Any = None
    owner = Ownership(settings, Health(), unused, unused, unused)
    made = Consumer(settings, "here", owner, Health(), unused, unused)
    await made._consumer.stop()
    return made


class Told:
    """What the broker told when, by the wall clock."""

    def __init__(self) -> None:
        self.polled: int | None = None

    def last_poll_timestamp(self, _: TopicPartition) -> int | None:
        return self.polled


@pytest.mark.parametrize("step", [0.0, -3600.0, 3600.0])
async def test_a_clock_that_is_set_makes_nothing_look_newer_than_it_is(
    monkeypatch: pytest.MonkeyPatch, step: float
) -> None:
    wall, steady = 1_800_000_000.0, 50.0
    clock = SimpleNamespace(time=lambda: wall, monotonic=lambda: steady)
    monkeypatch.setattr(module, "time", clock)
    consumer, told = await reading(), Told()
    monkeypatch.setattr(consumer, "_consumer", told)
    assert consumer._age(LOG) is None
    told.polled = round(wall * 1000)
    assert consumer._age(LOG) == 0.0
    wall, steady = wall + 7 + step, steady + 7
    assert consumer._age(LOG) == 7.0 + max(step, 0.0)
    # The next answer of the broker is as new as it is, whatever the clock says.
    told.polled = round(wall * 1000)
    assert consumer._age(LOG) == 0.0


async def test_what_was_told_before_a_freeze_is_as_old_as_the_freeze_was_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = SimpleNamespace(time=lambda: 1_800_000_020.0, monotonic=lambda: 70.0)
    monkeypatch.setattr(module, "time", clock)
    consumer, told = await reading(), Told()
    monkeypatch.setattr(consumer, "_consumer", told)
    told.polled = 1_800_000_000_000
    assert consumer._age(LOG) == 20.0


class Noting:
    """What stands in the place of a projection: it notes what it is told."""

    def __init__(self) -> None:
        self.cases: dict[str, list[str]] = {}

    def note_cases(self, changed: Mapping[str, Sequence[Entry]], _: object) -> None:
        self.cases |= {case: [one.type for one in lines] for case, lines in changed.items()}


async def test_what_raised_before_is_tried_by_whoever_takes_the_partition_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def take(*_: object) -> None:
        raise ArithmeticError("a bug")

    with monkeypatch.context() as broken:
        broken.setattr(alarms, "take", take)
        stored = a.store({}, a.folded(a.raised()).cut())
    consumer, view, told = await reading(), Noting(), list[str]()
    monkeypatch.setattr(consumer, "_folded", lambda _, cases: told.extend(one.id for one in cases))
    unused: Any = None
    partition, projection = Partition.restore(0, 1, stored), cast(Any, view)
    consumer._try_held(Owned(partition, unused, Accounts(), projection, partition.stamp))
    assert (partition.held, view.cases, told) == (0, {"acme": ["alert.raised"]}, ["acme"])


FAILING = """
import asyncio
from aiokafka import TopicPartition
from tests.unit.alerts.test_consumer import reading

async def main():
    # Nothing is assigned, as far as this consumer knows.
    await (await reading()).on_partitions_assigned([TopicPartition("alerts.v1", 0)])

asyncio.run(main())
"""


def test_an_assignment_that_fails_ends_the_process() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FAILING],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )
    assert (ended.returncode, "assignment" in ended.stdout) == (70, True)
