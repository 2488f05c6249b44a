"""Inputs: the names under which they are counted, how they stand, when one is reset."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, Literal

import msgspec
import pytest
from aiokafka import TopicPartition

from schemas.config import Input, RuleSetContent, RuleSetRecord
from schemas.topics import STATE
from services.commands import input_reset, inputs
from services.commands.config import next_rules
from services.commands.input_lives import Life, continued, lives
from services.commands.input_reset import Decision, Evidence, NotReset, Resetting, decide
from services.commands.input_state import InputState, PartState, judge, states
from services.commands.kafka_facts import Asking, Copies, Range
from services.commands.ledgers import counted
from services.config_log import ConfigLog
from services.detector.ledger import ROOT, LedgerRecord
from services.ingest.markers import Marker
from services.settings import ServiceSettings

NOW = datetime(2026, 5, 14, 12, tzinfo=UTC)


def reads(topic: str, format: str = "cloudevents") -> Input:
    return Input(topic=topic, format=format, source="/api")


def content(**topics: str) -> RuleSetContent:
    """A rule set's inputs; two underscores stand for `~`."""
    named = {name.replace("__", "~"): reads(topic) for name, topic in topics.items()}
    return RuleSetContent(rules=[], inputs=named)


def applied(*contents: RuleSetContent) -> dict[str, bytes]:
    found = {}
    for n, each in enumerate(contents, 1):
        text = msgspec.json.encode(each, order="sorted").decode()
        record = RuleSetRecord(n=n, content=text, applied_at=NOW)
        found[f"rules/{n}"] = msgspec.json.encode(record)
    return found


def test_a_new_input_is_counted_under_its_own_name() -> None:
    assert continued(content(usage="u"), {}) == content(usage="u")
    assert continued(content(usage="u"), applied(content(other="o"))) == content(usage="u")


def test_an_input_that_reads_another_topic_begins_a_new_life() -> None:
    found = applied(content(usage="u", crm="c"))
    assert continued(content(usage="v", crm="c"), found) == content(usage__2="v", crm="c")

    found = applied(content(usage="u"), content(usage__2="v"))
    assert continued(content(usage="v"), found) == content(usage__2="v")
    assert continued(content(usage="u"), found) == content(usage__3="u")


def test_an_input_that_was_left_out_meanwhile_goes_on_with_its_life() -> None:
    found = applied(content(usage="u"), content(usage__2="v"), content())
    assert lives(found) == {"usage": Life(2, "v")}
    assert continued(content(usage="v"), found) == content(usage__2="v")


def test_more_than_nine_lives_are_told_apart_by_number() -> None:
    found = applied(content(usage__10="u"), content(usage__9="v"))
    assert lives(found) == {"usage": Life(10, "u")}


def test_files_that_say_the_same_make_no_new_rule_set() -> None:
    found = applied(content(usage="u"), content(usage__2="v"))
    assert next_rules(found, content(usage="v"), NOW)[1] is False
    record, new = next_rules(found, content(usage="w"), NOW)
    assert (record.n, new, '"usage~3"' in record.content) == (3, True, True)


ID = "0a" * 16
NEVER = PartState(0, 0)
READ = PartState(0, 5, 5, True)


@pytest.mark.parametrize(
    "parts, lag, expired, fault",
    [
        ({0: NEVER, 1: PartState(3, 9)}, 6, 0, ""),
        ({0: READ, 1: PartState(2, 9, 4, True)}, 5, 0, ""),
        ({0: PartState(7, 9, 4, True)}, 2, 3, ""),
        (
            {0: READ, 1: PartState(0, 5, None, True)},
            5,
            0,
            "partition 1 was read before, and Kafka has forgotten up to where",
        ),
        (
            {0: PartState(0, 5, 9, True)},
            0,
            0,
            "partition 0 ends at 5, and was read up to 9",
        ),
        ({}, 0, 0, "topic 'u' does not exist"),
    ],
)
def test_how_an_input_stands(
    parts: Mapping[int, PartState], lag: int, expired: int, fault: str
) -> None:
    state = judge("usage", reads("u"), parts)
    assert (state.lag, state.expired, state.fault) == (lag, expired, fault)


def mark(number: int, id: str = "") -> dict[str, bytes]:
    marker = Marker(topic="u", partition=number, id=id)
    return {f"inputs/u/{number}": msgspec.json.encode(marker)}


class Growing(Asking):
    """A topic to which a record is written, and read, between every two questions."""

    def __init__(self) -> None:
        """Begin with nine records."""
        self.end = 9

    async def topics(self) -> dict[str, dict[int, Copies]]:
        """Return the topic."""
        return {"u": {0: Copies(1, 1, 1)}}

    async def topic_ids(self, names: Iterable[str]) -> dict[str, str]:
        """Return an id."""
        return dict.fromkeys(names, ID)

    async def offsets(self, parts: Iterable[TopicPartition]) -> dict[TopicPartition, Range]:
        """Return its end."""
        self.end += 1
        return dict.fromkeys(parts, Range(0, self.end))

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return its end, for ingest reads at once."""
        self.end += 1
        return {TopicPartition("u", 0): self.end}

    async def read(
        self, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> AsyncIterator[tuple[TopicPartition, Any]]:
        """Yield nothing."""
        for _ in ():
            yield _


async def test_an_input_that_is_read_while_it_is_looked_at_is_not_stopped() -> None:
    (state,) = await states(Growing(), applied(content(usage="u")), "")
    assert (state.fault, state.lag) == ("", 1)


@pytest.mark.parametrize(
    "marks, fault",
    [
        (mark(0, ID) | mark(1), ""),
        (mark(0) | mark(1, "0b" * 16), "topic 'u' was deleted and created anew"),
    ],
)
async def test_an_input_whose_topic_is_another_one_by_its_id_is_stopped(
    marks: dict[str, bytes], fault: str
) -> None:
    (state,) = await states(Growing(), applied(content(usage="u")) | marks, "")
    assert (state.fault, state.another) == (fault, bool(fault))


def test_an_unknown_format_stops_an_input_first_of_all() -> None:
    state = judge("usage", reads("u", "no_such"), {0: PartState(0, 5, 9, True)})
    assert state.fault == "format 'no_such' is unknown"
    assert state.remedy == "take one of cloudevents"


def test_an_input_is_shown_with_the_partitions_that_matter() -> None:
    noon_ms = round(NOW.timestamp() * 1000)
    parts = {0: READ, 1: PartState(0, 9, 7, True, noon_ms), 2: PartState(4, 6)}
    state = judge("usage", reads("u"), parts)

    assert inputs.lines(state) == [
        "usage  topic u, format cloudevents, 3 partitions, 4 records behind, newest "
        "2026-05-14 12:00:00 UTC",
        "    partition 1: holds 0 to 9, read up to 7",
        "    partition 2: holds 4 to 6, read up to nowhere yet",
    ]
    stopped = inputs.lines(judge("usage", reads("u"), {}))
    assert stopped[1] == (
        "    STOPPED: topic 'u' does not exist; create it, or correct inputs.toml"
    )


def test_what_is_counted_of_an_input_is_the_newest_of_all_partitions() -> None:
    found = {
        0: LedgerRecord(v=1, partitions=2, origins={"usage": {0: (7, 0), 1: (3, 0)}}),
        1: LedgerRecord(v=1, partitions=2, origins={"usage": {0: (9, 2)}, "usage~2": {0: (1, 0)}}),
    }
    assert counted(found, "usage") == {0: 9, 1: 3}
    assert counted(found, "crm") == {}


FORGOTTEN: InputState = judge("usage", reads("u"), {0: PartState(0, 5, None, True)})
WELL: InputState = judge("usage", reads("u"), {0: READ})
ANOTHER: InputState = judge("usage", reads("u"), {0: READ}, another=True)


@pytest.mark.parametrize(
    "state, counted, told, kind",
    [
        (FORGOTTEN, {0: 4}, "same", "same"),  # ends at 5, counted up to 4: may be the same
        (FORGOTTEN, {0: 4}, "anew", "anew"),
        (FORGOTTEN, {0: 5}, None, "anew"),  # counted up to 5, which it does not hold
        (FORGOTTEN, {3: 0}, None, "anew"),  # it had a partition that it has no more
        (WELL, {0: 4}, "anew", "anew"),
        (ANOTHER, {0: 4}, None, "anew"),  # its id tells
        (ANOTHER, {0: 4}, "same", "same"),  # as of a copy that has kept the offsets
    ],
)
def test_the_evidence_or_the_person_decides(
    state: InputState,
    counted: dict[int, int],
    told: Literal["anew", "same"] | None,
    kind: str,
) -> None:
    decision = decide(Evidence(state, counted, "usage~2"), told)
    assert isinstance(decision, Decision)
    assert decision.kind == kind
    assert ("usage~2" in decision.plan) == (kind == "anew")


@pytest.mark.parametrize(
    "state, counted, told, word",
    [
        (WELL, {0: 4}, None, "nothing was done to 'usage': it is read as it should be"),
        (judge("usage", reads("u", "no_such"), {0: READ}), {}, None, "format 'no_such'"),
        (FORGOTTEN, {0: 4}, None, "(partition 0 holds 0 to 5, counted up to 4)"),
        (FORGOTTEN, {}, None, "counted up to nothing"),
        (FORGOTTEN, {0: 5}, "same", "it is not the same topic; say --created-anew"),
    ],
)
def test_nothing_is_done_on_doubtful_evidence(
    state: InputState,
    counted: dict[int, int],
    told: Literal["anew", "same"] | None,
    word: str,
) -> None:
    with pytest.raises(NotReset) as refused:
        decide(Evidence(state, counted, "usage~2"), told)
    assert word in str(refused.value)


class Counting(Growing):
    """A topic that the detector counts as fast as it is written to, while it is looked at."""

    async def committed(self, group: str) -> dict[TopicPartition, int]:
        """Return nothing, for Kafka has forgotten it."""
        return {}

    async def read(
        self, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
    ) -> AsyncIterator[tuple[TopicPartition, Any]]:
        """Yield the ledger, which has counted all that there is by now."""
        for part in begins:
            if part.topic.endswith(STATE.name):
                self.end += 1
                record = LedgerRecord(1, 1, origins={"usage": {0: (self.end - 1, 0)}})
                raw = msgspec.msgpack.encode(record)
                yield part, SimpleNamespace(key=ROOT.encode(), value=raw, timestamp=0)


async def test_a_topic_that_grows_while_it_is_looked_at_is_not_taken_for_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marked = {**applied(content(usage="u")), **mark(0)}

    @contextlib.asynccontextmanager
    async def connected(_: str) -> AsyncIterator[Asking]:
        yield Counting()

    async def read(_: ConfigLog) -> dict[str, bytes]:
        return marked

    monkeypatch.setattr(input_reset, "asking", connected)
    monkeypatch.setattr(ConfigLog, "read", read)
    found = await Resetting(ServiceSettings(partitions=1)).look("usage")

    assert (list(found.counted), found.beyond) == ([0], None)
