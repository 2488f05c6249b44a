"""The model test with half a year behind it: accounts fall alone, and all of them at once.

What judges falls takes 112 known days, and 28 more until it is known what is ordinary of all. They
are folded once; every story goes on from what was stored then.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, rule

from schemas.alerts import AlertRaised
from schemas.envelope import Entry
from schemas.events import IncidentJudged
from services.detector.incident import HASH
from tests import builders as a
from tests import playing
from tests.unit.detector import contents, stories
from tests.unit.detector.stories import WHO, Stories
from tests.unit.detector.test_model import HORIZON, NO_RULES_KEEP, PARTITIONS, PartitionModel
from tests.unit.detector.workers import Worker

PAST = 150
FALLEN = 40
HISTORY = 210 + 28
"""What `drop` asks for, and 28 days for corrections."""

EVERYBODY = (*WHO, *(f"other{n}" for n in range(10)))
HOMES = {f"account:other{n}": n % PARTITIONS for n in range(10)}

WHO_FALLS = st.sampled_from([EVERYBODY, EVERYBODY, EVERYBODY[:2], EVERYBODY[4:6]])

DROP = a.rule("drop", "usage-drop", params={"metric": "@meaningful"})
RULE_SETS: tuple[tuple[int, Sequence[Any], dict[str, Any]], ...] = (
    (HISTORY, (DROP, a.silent(4), a.unpaid(2)), {}),
    (HISTORY, (DROP,), {"overrides": [{"rule": "common-fall", "shadow": True}]}),
)


@dataclass(frozen=True)
class Past:
    """A partition's log that was folded before, and what was stored of it."""

    messages: tuple[playing.Message, ...]
    entries: tuple[list[Entry], ...]
    stored: dict[str, bytes]


class Grown(Worker):
    """A partition that goes on from its past.

    Args:
        number: The partition.
        past: What it was.
    """

    def __init__(self, number: int, past: Past) -> None:
        super().__init__(number, PARTITIONS, HORIZON)
        self.log.messages, self.log.entries = list(past.messages), list(past.entries)
        self._past = past
        self.stored = dict(past.stored)
        self.crash()

    def fresh(self) -> Any:
        """Return the partition as its past has left it."""
        now, self.stored = self.stored, dict(self._past.stored)
        partition = self.restored()
        self.stored = now
        return partition


class FallModel(PartitionModel):
    """Two logs as before, of more customers, whose usage has been the same for half a year."""

    rule_sets = RULE_SETS
    at_once = 50
    portions = (50,)

    @initialize(fallen=WHO_FALLS, days=st.integers(8, 24), crashing=st.integers(0, 47))
    def begins(self, fallen: Sequence[str], days: int, crashing: int) -> None:
        self.go_on_from_the_past()
        self.append_days_on_which_some_have_fallen(fallen, days, crashing, prompt=True)

    def go_on_from_the_past(self) -> None:
        self.patch.setattr(stories, "_HOMES", stories._HOMES | HOMES)
        self.kept_days = {0: NO_RULES_KEEP, 1: HISTORY}
        self.workers = [Grown(number, past) for number, past in enumerate(_past())]

    @rule(
        fallen=WHO_FALLS,
        days=st.integers(4, 12),
        crashing=st.integers(0, 47),
        prompt=st.booleans(),
    )
    def append_days_on_which_some_have_fallen(
        self, fallen: Sequence[str], days: int, crashing: int, prompt: bool
    ) -> None:
        for day in range(days):
            self._append(_used(self.now, fallen))
            self.append_a_tick(1, 0, None)
            if prompt:
                for worker in self.workers:
                    self._proceed(worker)
            if day == crashing // PARTITIONS:
                self.workers[crashing % PARTITIONS].crash()

    def stored_before(self, number: int) -> dict[str, bytes]:
        return dict(_past()[number].stored)

    def said(self, log: playing.Log, number: int) -> dict[str, Entry]:
        since = playing.Log()
        since.entries = log.entries[len(_past()[number].entries) :]
        found = contents.said(since, number)
        for one in (one for entries in since.entries for one in entries):
            if isinstance(one.event, IncidentJudged) and number == HASH % PARTITIONS:
                # Whoever takes over says it again, and nothing else.
                assert found.setdefault(one.id, one) == one
        return found


def _used(now: int, fallen: Sequence[str] = ()) -> list[Entry]:
    return [a.usage(FALLEN if who in fallen else 100, account=who, time=now) for who in EVERYBODY]


@lru_cache
def _past() -> list[Past]:
    """Return half a year of partitions that nothing disturbs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stories, "_HOMES", stories._HOMES | HOMES)
        model = PartitionModel()
        model.patch.undo()
        model.now = a.at(100 - PAST, 3)
        model.stories = Stories()
        _, declared, beside = RULE_SETS[0]
        for worker in model.workers:
            rules = a.rules(*declared, n=1, **beside)
            worker.log.add(rules, a.tick(100 - PAST, 3), appended=model.now)
        for _ in range(PAST):
            told = [
                msgspec.structs.replace(one, id=f"past-{model.now}-{n}")
                for n, one in enumerate(_used(model.now))
            ]
            model._append(told)
            model.append_a_tick(1, 0, None)
            for worker in model.workers:
                while model._proceed(worker):
                    pass
        for worker in model.workers:
            model._proceed(worker)
            worker.commit(model._deliver)
        return [
            Past(tuple(one.log.messages), tuple(one.log.entries), one.stored)
            for one in model.workers
        ]


def test_the_story_has_falls_of_one_and_of_all_in_it() -> None:
    model = FallModel()
    model.go_on_from_the_past()
    for fallen in (EVERYBODY[:2], EVERYBODY[:2], EVERYBODY[:2], EVERYBODY, EVERYBODY):
        model.append_days_on_which_some_have_fallen(fallen, 7, 3, prompt=True)
    model.go_on(sent=True)
    model.teardown()
    raised = {
        (one.rule, one.account)
        for worker in model.workers
        for one in worker.alerts
        if isinstance(one, AlertRaised)
    }
    assert raised == {
        ("usage-drop", "acme"),
        ("usage-drop", "beta"),
        ("common-fall", "company"),
    }


FallModel.TestCase.settings = settings(
    max_examples=12,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


class TestFallModel(FallModel.TestCase):  # type: ignore[misc,valid-type]
    """Hypothesis runs it; on a failure it prints the shortest story it found."""

    pytestmark = pytest.mark.timeout(120)
