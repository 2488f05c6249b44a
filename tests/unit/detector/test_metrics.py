"""What /metrics says of a worker's partitions."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import msgspec
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from schemas.config import Input, RuleSetContent
from schemas.envelope import Entry
from schemas.events import ClockTicked, RulesApplied
from services.detector.facts.usage import Usage
from services.detector.metrics import LEDGER_BYTES, PERSON_BYTES, PartitionCollector
from services.detector.partition import Partition
from services.detector.pending import Cut
from services.detector.recent import ID_BYTES
from services.detector.sending import Outgoing
from services.detector.store import Store
from services.footprint import Footprint
from services.log_sizes import LogSizes
from tests import builders as a
from tests import playing
from tests.unit.alerts.test_metrics import told

PLACE = 'partition="3",topic="events.v1"'
STATE_PLACE = 'partition="3",topic="state.v1"'
NOW = a.at(20) / 1e6


class Written(Store):
    """A store that counts what is written, as the real one does."""

    def __init__(self) -> None:
        self.footprint = Footprint({})

    def put(self, cut: Cut) -> None:
        self.footprint.note(cut.records)


class Unheard:
    """A publisher whose Kafka never acknowledges."""

    partitions = 8

    async def publish(self, _: object) -> None:
        await asyncio.Event().wait()


@dataclass
class Held:
    partition: Partition
    store: Store
    outgoing: Outgoing


@dataclass
class Worker:
    """A worker that owns partition 3."""

    partition: Partition = field(default_factory=lambda: Partition.begin(3, 8))
    store: Written = field(default_factory=Written)
    outgoing: Outgoing = field(default_factory=lambda: Outgoing(Unheard(), print))
    rebalances: int = 2
    counted: Counter[tuple[str, ...]] = field(default_factory=Counter)
    remaining: dict[int, int] = field(default_factory=dict)
    sizes: LogSizes = field(default_factory=lambda: LogSizes("nowhere:1", "t.state.v1"))
    now: float = NOW

    @property
    def owned(self) -> Mapping[int, Any]:
        return {3: Held(self.partition, self.store, self.outgoing)}

    def __post_init__(self) -> None:
        self.registry = CollectorRegistry()
        self.registry.register(
            PartitionCollector(self, lambda *_: 7, self.sizes, lambda: self.now, "t.detector")
        )

    def told(self, *names: str) -> dict[str, float]:
        return told(self.registry, *names)


def broken(fold: Any) -> Any:
    """Return a fold that raises on a quantity of thirteen."""

    def folded(usage: Usage, one: Any, at: Any) -> Any:
        if getattr(one.event, "quantity", 0) == 13:
            raise ArithmeticError("thirteen")
        return fold(usage, one, at)

    return folded


def test_a_quarantined_subject_is_shown_until_it_is_repaired(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    name = "ebbwatch_quarantined_subjects"
    log = playing.Log().each(a.tick(20, 3), a.usage(day=20), a.usage(day=20, account="beta"))
    worker = Worker(playing.apply(Partition.begin(3, 8), log))
    assert worker.told(name) == {f"{name}{{{PLACE}}}": 0}
    monkeypatch.setattr(Usage, "fold", broken(Usage.fold))
    playing.apply(worker.partition, log.add(a.usage(13, day=20, id="x")).messages[-1:])
    assert worker.told(name) == {f"{name}{{{PLACE}}}": 1}
    playing.apply(worker.partition, log.add(a.repaired()).messages[-1:])
    assert worker.told(name) == {f"{name}{{{PLACE}}}": 0}


def test_a_rule_that_is_off_for_accounts_is_shown_until_the_next_rule_set() -> None:
    name = "ebbwatch_rules_off"
    log = playing.Log().each(a.rules(a.silent(3)), a.usage(day=20), a.usage(day=20, account="beta"))
    worker = Worker(playing.apply(Partition.begin(3, 8), log))
    assert worker.told(name) == {}
    for account in worker.partition.accounts.values():
        account.off["silent"] = 1
    assert worker.told(name) == {
        f'{name}{{partition="3",rule="silent",topic="events.v1"}}': 2,
    }
    playing.apply(worker.partition, log.add(a.rules(a.silent(4), n=2)).messages[-1:])
    assert set(worker.told(name).values()) == {0}


def test_a_clock_that_stands_still_grows_old_also_when_no_tick_ever_came() -> None:
    name = "ebbwatch_watermark_lag_seconds"
    worker = Worker()
    assert worker.told(name) == {f"{name}{{{PLACE}}}": 0}
    worker.now += 90
    assert worker.told(name) == {f"{name}{{{PLACE}}}": 90}
    mode = "ebbwatch_mode_info"
    assert worker.told(mode) == {f'{mode}{{mode="new",{PLACE}}}': 1}
    playing.apply(worker.partition, playing.Log().add(a.tick(20, 11)).messages)
    assert worker.told(name) == {f"{name}{{{PLACE}}}": 90 + 3600}
    worker.now += 60
    assert worker.told(name) == {f"{name}{{{PLACE}}}": 150 + 3600}
    assert worker.told(mode) == {f'{mode}{{mode="live",{PLACE}}}': 1}


def test_the_snapshot_is_measured_as_it_is_written_and_beside_its_bounds() -> None:
    worker = Worker()
    log = playing.Log().each(a.tick(20, 3), *(a.usage(day=20, account=f"a{n}") for n in range(9)))
    playing.apply(worker.partition, log)
    cut = worker.partition.cut()
    worker.store.put(cut)
    written = {key: value for key, value in cut.records if value is not None}
    size = sum(len(key.encode()) + len(value) for key, value in written.items())
    names = ("ebbwatch_state_records", "ebbwatch_state_bytes", "ebbwatch_state_log_bytes")
    assert worker.told(*names) == {
        f"ebbwatch_state_records{{{STATE_PLACE}}}": len(written),
        f"ebbwatch_state_bytes{{{STATE_PLACE}}}": size,
    }
    worker.sizes.bytes, worker.sizes.segment = {3: 5000, 4: 1}, 1 << 20
    assert worker.told("ebbwatch_state_log_bytes", "ebbwatch_state_log_bound_bytes") == {
        f"ebbwatch_state_log_bytes{{{STATE_PLACE}}}": 5000,
        f"ebbwatch_state_log_bound_bytes{{{STATE_PLACE}}}": 3 * size + 2 * (1 << 20),
    }


def test_a_busy_account_takes_a_small_part_of_what_is_allowed_for_one() -> None:
    worker = Worker()
    log = playing.Log().add(a.rules(a.silent(30)), a.tick(1, 3))
    for day in range(1, 211):
        log.add(*(a.usage(n + day, day=day, metric=f"m{n % 4}", person=f"u{n}") for n in range(20)))
        log.add(a.tick(day + 1, 3))
    playing.apply(worker.partition, log)
    playing.settle(worker.partition)
    cut = worker.partition.cut()
    taken = sum(len(v or b"") for key, v in cut.records if key.startswith("account:"))
    bound = worker.told("ebbwatch_state_bound_bytes")
    without = Worker().told("ebbwatch_state_bound_bytes")
    allowed = sum(bound.values()) - sum(without.values())
    assert (len(worker.partition.accounts), allowed) == (1, 64 * 1024)
    assert taken < allowed / 10


def test_persons_who_wait_or_have_joined_stay_within_what_is_allowed() -> None:
    worker = Worker()
    log, ids = playing.Log(), [str(UUID(int=n)) for n in range(3_000)]
    log.add(*(a.about(a.joined(one, id=f"j{one}"), f"person:{one}") for one in ids))
    for who in ids[:20]:
        log.add(
            *(
                a.of_person(a.usage(source="s" * 120, id=f"{who}{n:0200}"), f"w{who}")
                for n in range(1_000)
            )
        )
    playing.apply(worker.partition, log)
    cut = worker.partition.cut()
    assert worker.partition.waiting > 10_000
    taken = sum(len(key.encode()) + len(v or b"") for key, v in cut.records if "person" in key)
    joined = sum(len(key) + len(v or b"") for key, v in cut.records if key.endswith(tuple(ids)))
    bound = sum(worker.told("ebbwatch_state_bound_bytes").values())
    horizons = sum(6 * ID_BYTES * one.size for one in worker.partition.ledger.ids.values())
    # beside what other records are allowed
    assert taken <= bound - LEDGER_BYTES - horizons
    assert joined <= len(ids) * PERSON_BYTES / 4


def test_what_is_left_of_a_load_is_shown_while_it_lasts() -> None:
    name = "ebbwatch_recovery_remaining_records"
    worker = Worker(remaining={5: 1200})
    assert worker.told(name) == {f'{name}{{partition="5",topic="state.v1"}}': 1200}
    worker.remaining.clear()
    assert worker.told(name) == {}


def test_replayed_messages_and_the_duplicate_horizon_are_shown() -> None:
    names = (
        "ebbwatch_replayed_total",
        "ebbwatch_duplicates_total",
        "ebbwatch_duplicate_horizon_ids",
        "ebbwatch_duplicate_horizon_seconds",
    )
    log = playing.Log().each(a.usage(day=20, hour=3, id="e1"), a.usage(day=20, hour=4, id="e1"))
    worker = Worker(playing.apply(Partition.begin(3, 8), log), counted=Counter({REPLAYED: 4}))
    playing.apply(worker.partition, log.messages[:1])
    horizon = {
        f'{names[3]}{{channel="http",{PLACE}}}': NOW - log.messages[0].appended / 1e6,
    }
    assert worker.told(*names) == {
        'ebbwatch_replayed_total{reason="offset"}': 5,
        'ebbwatch_duplicates_total{reason="id"}': 1,
        f'{names[2]}{{channel="http",{PLACE}}}': 1,
        f'{names[2]}{{channel="inputs",{PLACE}}}': 0,
        **horizon,
    }


REPLAYED = ("replayed", "offset")


def test_what_take_overs_had_to_catch_up_with_is_counted() -> None:
    name = "ebbwatch_caught_up_messages_total"
    worker = Worker(counted=Counter({("caught_up",): 12}))
    assert worker.told(name) == {f'{name}{{topic="events.v1"}}': 12}


def test_days_that_wait_for_an_input_are_shown_and_inputs_for_which_none_does() -> None:
    name = "ebbwatch_days_waiting"
    inputs = {one: Input(topic=one, format="cloudevents", source=one) for one in ("crm", "usage")}
    content = msgspec.json.encode(RuleSetContent(rules=[], inputs=inputs)).decode()
    rules = Entry("", "ebbwatch", 0, (), RulesApplied(n=1, content=content))
    told = ClockTicked(at=a.at(20, 3), mode="live", complete_until={"crm/0": a.at(20, 3)})
    log = playing.Log().each(rules, a.tick(19, 3), a.usage(day=19))
    log.add(Entry("", "ebbwatch", 0, (), told), appended=a.at(20, 3))
    worker = Worker(playing.apply(Partition.begin(3, 8), log))
    assert worker.told(name) == {
        f'{name}{{input="crm",{PLACE}}}': 0,
        f'{name}{{input="usage",{PLACE}}}': 1,
    }


def test_stamp_lag_and_rebalances_are_shown() -> None:
    worker = Worker()
    group = 'consumergroup="t.detector"'
    assert worker.told(
        "kafka_consumergroup_lag", "ebbwatch_stamp", "ebbwatch_rebalances_total"
    ) == {
        f"kafka_consumergroup_lag{{{group},{PLACE}}}": 7,
        f"ebbwatch_stamp{{{PLACE}}}": -1,
        "ebbwatch_rebalances_total": 2,
    }


def test_every_metric_has_a_help_text() -> None:
    lines = generate_latest(Worker().registry).decode().splitlines()
    texts = [line.split(" ", 3)[3] for line in lines if line.startswith("# HELP")]
    assert all(text.endswith(".") for text in texts)
    assert len(texts) > 20
