"""How old what is known of a partition is, and an assignment that fails."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka import TopicPartition

from services.alerts import consumer as module
from services.alerts.consumer import Consumer
from services.alerts.ownership import Ownership
from services.alerts.settings import AlertsSettings
from services.runtime import Health
from services.settings import load_settings

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
