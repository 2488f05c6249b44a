"""How far the inputs are, as ticks tell it; reading them is tested with a broker."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import IllegalStateError

from schemas.config import Input
from services.ingest.formats import find
from services.ingest.forwarding import Source
from services.ingest.inputs import FUTURE_MICROS, Inputs
from services.ingest.metrics import Metrics
from services.runtime import Health
from services.topic_ids import UNKNOWN

NOW = 1_800_000_000_000_000
ZERO, ONE = TopicPartition("topic", 0), TopicPartition("topic", 1)
OTHER = TopicPartition("other", 0)
FIRST, SECOND = "01" * 16, "02" * 16
BOTH = {"topic": FIRST, "other": SECOND}


class Polled(NamedTuple):
    """What a consumer knows of a partition."""

    position: int
    end: int | None
    polled_ms: int | None


class Consumer:
    """Answers as aiokafka's does, of the partitions that it is told of."""

    def __init__(self, known: Mapping[TopicPartition, Polled]) -> None:
        self.known: dict[TopicPartition, Polled] = dict(known)
        self.unreadable: TopicPartition | None = None
        self.starts: dict[TopicPartition, int] = {}
        self.kept: dict[TopicPartition, int] = {}

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self.known)

    def highwater(self, partition: TopicPartition) -> int | None:
        return self.known[partition].end

    def last_poll_timestamp(self, partition: TopicPartition) -> int | None:
        return self.known[partition].polled_ms

    async def position(self, partition: TopicPartition) -> int:
        if partition not in self.known:
            raise IllegalStateError(f"Partition {partition} is not assigned")
        return self.known[partition].position

    async def beginning_offsets(self, partitions: Iterable[TopicPartition]) -> dict[Any, int]:
        return {each: self.starts.get(each, 0) for each in partitions}

    async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[Any, int]:
        return {each: self.known[each].end or 0 for each in partitions}

    async def committed(self, partition: TopicPartition) -> int | None:
        return self.kept.get(partition)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        self.known[partition] = self.known[partition]._replace(position=offset)

    async def getmany(self, *partitions: TopicPartition, timeout_ms: int) -> dict[Any, Any]:
        if self.unreadable in partitions:
            raise UnicodeDecodeError("utf-8", b"k\xffy", 1, 2, "invalid start byte")
        return {}


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def marked() -> dict[str, dict[int, str]]:
    """What `config.v1` tells of partitions that were read."""
    return {}


@pytest.fixture
def inputs(metrics: Metrics, health: Health, marked: dict[str, dict[int, str]]) -> Inputs:
    made = Inputs(health, metrics, "group", lambda: marked)
    configure(made, usage="topic", billing="other")
    return made


def shown(metrics: Metrics, name: str) -> dict[str, float]:
    """Return the samples of a metric by the values of their labels, but the group."""
    return {
        " ".join(value for label, value in sample.labels.items() if label != "consumergroup"): (
            sample.value
        )
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == name
    }


def configure(inputs: Inputs, **topics: str) -> None:
    form = find("cloudevents")
    assert form is not None
    inputs.configure(
        {
            name: Input(topic=topic, format="cloudevents", source=name)
            for name, topic in topics.items()
        },
        {topic: Source(name, form, name, 4, 100) for name, topic in topics.items()},
    )


@pytest.mark.parametrize(
    "polled, time, until",
    [
        # ten records wait behind the last one: as far as its time
        (Polled(5, 15, NOW // 1000), NOW - 7, NOW - 7),
        (Polled(5, 15, NOW // 1000), NOW + 7, NOW),
        # nothing waits: as far as the poll
        (Polled(5, 5, NOW // 1000 - 3), NOW - 9_000, NOW - 3_000),
        (Polled(5, 5, NOW // 1000 - 3), NOW + 10 * FUTURE_MICROS, NOW - 3_000),
        # a producer's clock is days ahead, or the record has no time
        (Polled(5, 15, NOW // 1000), NOW + FUTURE_MICROS + 1, 0),
        (Polled(5, 15, NOW // 1000), -1000, 0),
        # nobody knows the end yet
        (Polled(5, None, None), NOW - 7, NOW - 7),
    ],
)
def test_a_partition_is_as_far_as_its_last_record_or_as_now_where_nothing_waits(
    inputs: Inputs, polled: Polled, time: int, until: int
) -> None:
    assert inputs.reached(Consumer({ZERO: polled}), ZERO, 5, time, NOW) == until


def test_a_partition_that_is_owned_no_longer_is_as_far_as_its_last_record(inputs: Inputs) -> None:
    assert inputs.reached(Consumer({}), ZERO, 5, NOW - 7, NOW) == NOW - 7


def test_progress_never_goes_back_and_ends_with_the_ownership(inputs: Inputs) -> None:
    inputs.forwarded({ZERO: (5, NOW), ONE: (9, NOW - 1)})
    inputs.forwarded({ZERO: (6, NOW - 50), ONE: (10, 0)})
    assert inputs.progress() == {"usage/0": NOW, "usage/1": NOW - 1}
    inputs.release([ZERO])
    assert inputs.progress() == {"usage/1": NOW - 1}
    inputs.release(())
    assert inputs.progress() == {}


async def test_idle_partitions_are_complete_until_they_were_polled(inputs: Inputs) -> None:
    known = {
        ZERO: Polled(5, 5, NOW // 1000),
        ONE: Polled(5, 9, NOW // 1000),
        OTHER: Polled(5, 5, NOW // 1000),
    }
    # what was read of the other topic is still on its way
    await inputs.measure(Consumer(known), {OTHER})
    assert inputs.progress() == {"usage/0": NOW, "usage/1": 0, "billing/0": 0}


async def test_a_stopped_input_is_no_further_than_what_was_forwarded_of_it(
    inputs: Inputs,
) -> None:
    """All its partitions stop; what was polled meanwhile is never forwarded."""
    inputs.forwarded({ZERO: (5, NOW - 9), ONE: (5, NOW - 9), OTHER: (5, NOW - 9)})
    assert not inputs.check(ZERO, 3)
    assert (inputs.check(ONE, 5), inputs.check(OTHER, 5)) == (False, True)
    known = dict.fromkeys((ZERO, ONE, OTHER), Polled(7, 7, NOW // 1000))
    await inputs.measure(Consumer(known), ())
    assert inputs.progress() == {"usage/0": NOW - 9, "usage/1": NOW - 9, "billing/0": NOW}


def test_a_topic_that_is_given_up_says_nothing_of_an_input_of_its_name(inputs: Inputs) -> None:
    inputs.forwarded({ZERO: (5, NOW), OTHER: (5, NOW)})
    configure(inputs, topic="other")
    assert inputs.progress() == {"topic/0": NOW}


async def test_a_partition_that_moved_away_shows_no_lag_any_more(
    inputs: Inputs, metrics: Metrics
) -> None:
    known = {ZERO: Polled(5, 9, NOW // 1000), OTHER: Polled(5, 6, NOW // 1000)}
    await inputs.measure(Consumer(known), ())
    lags = [
        shown(metrics, name) for name in ("kafka_consumergroup_lag", "ebbwatch_input_lag_seconds")
    ]
    assert lags == [{"topic 0": 4, "other 0": 1}, {"usage 0": 0, "billing 0": 0}]

    inputs.release([ZERO])

    assert shown(metrics, "kafka_consumergroup_lag") == {"other 0": 1}
    assert shown(metrics, "ebbwatch_input_lag_seconds") == {"billing 0": 0}


async def test_an_input_that_was_renamed_shows_its_lag_under_one_name(
    inputs: Inputs, metrics: Metrics
) -> None:
    consumer = Consumer({ZERO: Polled(5, 9, NOW // 1000)})
    await inputs.measure(consumer, ())
    configure(inputs, calls="topic")
    await inputs.measure(consumer, ())
    assert shown(metrics, "ebbwatch_input_lag_seconds") == {"calls 0": 0}
    inputs.release(())
    assert shown(metrics, "ebbwatch_input_lag_seconds") == {}
    assert shown(metrics, "kafka_consumergroup_lag") == {}


async def test_a_partition_that_moves_away_while_it_is_measured_is_not_shown(
    inputs: Inputs, metrics: Metrics
) -> None:
    class Leaving(Consumer):
        async def position(self, partition: TopicPartition) -> int:
            place = await super().position(partition)
            self.known = {}
            return place

    await inputs.measure(Leaving({ZERO: Polled(5, 9, NOW // 1000)}), ())

    assert shown(metrics, "kafka_consumergroup_lag") == {}


def test_an_input_that_stops_is_not_up_and_one_that_is_gone_is_not_shown(
    inputs: Inputs, metrics: Metrics
) -> None:
    assert inputs.readable(BOTH) == {"topic", "other"}
    assert shown(metrics, "ebbwatch_input_up") == {"usage": 1, "billing": 1}

    inputs.forwarded({ZERO: (5, NOW)})
    assert not inputs.check(ZERO, 3)
    assert inputs.readable({"topic": FIRST}) == frozenset()
    assert shown(metrics, "ebbwatch_input_up") == {"usage": 0, "billing": 0}

    configure(inputs, usage="topic")
    assert shown(metrics, "ebbwatch_input_up") == {"usage": 0}


def test_what_keeps_all_inputs_from_being_carried_is_shown_until_it_is_over(
    inputs: Inputs, metrics: Metrics, health: Health
) -> None:
    """Its topics are still read again and again; an input's own fault says more."""
    assert inputs.readable({"topic": FIRST}) == {"topic"}
    inputs.hinder("refusals cannot be written")

    assert inputs.readable({"topic": FIRST}) == {"topic"}
    assert shown(metrics, "ebbwatch_input_up") == {"usage": 0, "billing": 0}
    own = "topic 'other' does not exist; create it, or correct inputs.toml"
    checks = health.as_json()["checks"]
    assert {name: check["detail"] for name, check in checks.items()} == {
        "input:usage": "refusals cannot be written",
        "input:billing": own,
    }
    assert not any(check["required"] for check in checks.values())

    inputs.hinder("")
    assert shown(metrics, "ebbwatch_input_up") == {"usage": 1, "billing": 0}


async def test_a_record_that_the_client_cannot_read_stops_its_input_only(
    inputs: Inputs, health: Health
) -> None:
    inputs.readable(BOTH)
    consumer = Consumer({ZERO: Polled(5, 9, 0), ONE: Polled(9, 9, 0), OTHER: Polled(5, 6, 0)})
    assert not await inputs.stop_unreadable(consumer)

    consumer.unreadable = ZERO

    assert await inputs.stop_unreadable(consumer)
    assert inputs.readable(BOTH) == {"other"}
    assert health.as_json()["checks"]["input:usage"]["detail"] == (
        "partition 0 of topic 'topic' holds, at 5 or soon after, a record with a header whose name "
        "is no UTF-8: mend its producer, delete the records up to there (`kafka-delete-records`), "
        "and restart ingest"
    )


def test_a_topic_with_another_id_than_what_was_read_stops_its_input_for_good(
    inputs: Inputs, health: Health
) -> None:
    """Also while none of its offsets looks wrong."""
    assert inputs.readable(BOTH) == {"topic", "other"}
    inputs.forwarded({ZERO: (5, NOW)})

    assert inputs.readable({"topic": SECOND, "other": FIRST}) == {"other"}
    assert inputs.readable({"topic": SECOND, "other": FIRST}) == {"other"}

    told = health.as_json()["checks"]["input:usage"]["detail"]
    assert told == (
        "topic 'topic' was deleted and created anew: `ebbwatch inputs reset usage --created-anew` "
        "reads it from its beginning"
    )


def test_a_reset_input_is_read_under_its_next_name_with_the_id_of_today(inputs: Inputs) -> None:
    assert inputs.readable(BOTH) == {"topic", "other"}
    inputs.forwarded({ZERO: (5, NOW)})
    assert inputs.readable({"topic": SECOND}) == frozenset()

    configure(inputs, **{"usage~2": "topic"})

    assert inputs.readable({"topic": SECOND}) == {"topic"}


def test_a_topic_created_anew_while_nobody_read_it_stops_its_input_at_the_start(
    inputs: Inputs, health: Health, marked: dict[str, dict[int, str]]
) -> None:
    """Whatever its offsets look like: only the marks tell by now which topic was read."""
    marked["topic"] = {0: FIRST, 1: ""}
    marked["other"] = {0: SECOND}

    assert inputs.readable({"topic": SECOND, "other": SECOND}) == {"other"}
    # not even as long as brokers of another version answer
    assert inputs.readable({"topic": UNKNOWN, "other": UNKNOWN}) == {"other"}

    assert health.as_json()["checks"]["input:usage"]["detail"] == (
        "topic 'topic' was deleted and created anew: `ebbwatch inputs reset usage --created-anew` "
        "reads it from its beginning"
    )
    # as after a reset, which deletes the marks and gives the next name
    marked.clear()
    configure(inputs, **{"usage~2": "topic"})
    assert inputs.readable({"topic": SECOND}) == {"topic"}


def test_what_a_replica_merely_saw_says_nothing_where_another_has_read(
    inputs: Inputs, marked: dict[str, dict[int, str]]
) -> None:
    assert inputs.readable({"topic": FIRST}) == {"topic"}
    # It was created anew before anybody had read it; another replica has read it since.
    marked["topic"] = {0: SECOND}
    assert inputs.readable({"topic": SECOND}) == {"topic"}


@pytest.mark.parametrize("ids", [(UNKNOWN, FIRST), (FIRST, UNKNOWN), (FIRST, UNKNOWN, FIRST)])
def test_an_id_that_a_broker_does_not_tell_says_nothing(
    inputs: Inputs, marked: dict[str, dict[int, str]], ids: tuple[str, ...]
) -> None:
    """Brokers are upgraded one by one, and answer in turns."""
    inputs.forwarded({ZERO: (5, NOW)})
    for id in ids:
        assert inputs.readable({"topic": id}) == {"topic"}
    marked["topic"] = {0: UNKNOWN, 1: ids[0]}
    for id in ids:
        assert inputs.readable({"topic": id}) == {"topic"}


def test_an_id_that_nobody_tells_for_a_while_is_not_forgotten(inputs: Inputs) -> None:
    inputs.forwarded({ZERO: (5, NOW)})
    for id in (FIRST, UNKNOWN):
        assert inputs.readable({"topic": id}) == {"topic"}
    assert inputs.readable({"topic": SECOND}) == frozenset()


def test_what_was_read_is_marked_with_its_topics_id_once_that_is_known(
    inputs: Inputs, marked: dict[str, dict[int, str]]
) -> None:
    inputs.readable({"topic": UNKNOWN, "other": SECOND})
    inputs.committed({ZERO: (5, 0), ONE: (5, 0), OTHER: (5, 0)})
    assert inputs.unmarked() == {"topic": {0: UNKNOWN, 1: UNKNOWN}, "other": {0: SECOND}}

    marked |= {"topic": {0: UNKNOWN}, "other": {0: SECOND}}
    assert inputs.unmarked() == {"topic": {1: UNKNOWN}}

    inputs.readable({"topic": FIRST, "other": SECOND})
    assert inputs.unmarked() == {"topic": {0: FIRST, 1: FIRST}}
    marked["topic"] = {0: FIRST, 1: FIRST}
    assert inputs.unmarked() == {}


def test_a_topic_that_was_created_anew_is_marked_with_the_id_of_what_was_read(
    inputs: Inputs,
) -> None:
    """The marks are left as its input stops, when its new id is known already."""
    inputs.readable({"topic": FIRST})
    inputs.committed({ZERO: (5, 0)})
    assert inputs.readable({"topic": SECOND}) == frozenset()
    assert inputs.unmarked() == {"topic": {0: FIRST}}


EXPIRED = "ebbwatch_expired_input_offsets_total"


def places(consumer: Consumer) -> dict[TopicPartition, int]:
    """Return from where each partition is read."""
    return {partition: each.position for partition, each in consumer.known.items()}


@pytest.fixture
def consumer() -> Consumer:
    """Kafka keeps 4 of the first partition, and nothing of the others; it deleted all below 7."""
    found = Consumer(dict.fromkeys((ZERO, ONE, OTHER), Polled(4, 9, NOW // 1000)))
    found.kept, found.starts = {ZERO: 4}, dict.fromkeys((ZERO, ONE), 7)
    return found


async def test_what_expired_before_a_partition_was_taken_over_counts_once_kafka_keeps_that(
    inputs: Inputs, metrics: Metrics, consumer: Consumer
) -> None:
    await inputs.take(consumer, consumer.assignment())
    assert places(consumer) == {ZERO: 7, ONE: 7, OTHER: 0}
    assert shown(metrics, EXPIRED) == {"usage 0": 0, "usage 1": 0, "billing 0": 0}

    passed = await inputs.measure(consumer, ())
    inputs.committed(passed)

    assert passed == {ZERO: (7, 0)}
    assert shown(metrics, EXPIRED) == {"usage 0": 3, "usage 1": 0, "billing 0": 0}
    assert await inputs.measure(consumer, ()) == {}


async def test_a_loss_is_not_counted_again_by_who_takes_over_behind_it(
    inputs: Inputs, metrics: Metrics, consumer: Consumer
) -> None:
    for _ in range(3):
        # Nobody could commit yet: each finds the same.
        await inputs.take(consumer, consumer.assignment())
        inputs.release(())
    await inputs.take(consumer, consumer.assignment())
    inputs.committed({ZERO: (8, 0)})
    consumer.kept = {ZERO: 8}
    inputs.release(())
    await inputs.take(consumer, consumer.assignment())
    inputs.committed({ZERO: (9, 0)})

    assert shown(metrics, EXPIRED) == {"usage 0": 3, "usage 1": 0, "billing 0": 0}


async def test_a_source_that_begins_at_what_is_left_of_it_has_lost_nothing(
    inputs: Inputs, metrics: Metrics, consumer: Consumer
) -> None:
    """Also if its oldest record expires in the moment between the look and the first fetch."""
    await inputs.take(consumer, frozenset({ONE}))
    consumer.starts[ONE] = 8

    assert await inputs.go_on(consumer, {ONE: 7})
    inputs.committed({ONE: (9, 0)})

    assert (places(consumer)[ONE], shown(metrics, EXPIRED)) == (8, {"usage 1": 0})


async def test_what_expires_while_it_is_read_counts_from_what_was_wanted_next(
    inputs: Inputs, metrics: Metrics, consumer: Consumer
) -> None:
    """Not from what was forwarded last: a transaction's marker may stand in between."""
    consumer.starts = {}
    await inputs.take(consumer, frozenset({ZERO}))
    inputs.forwarded({ZERO: (5, NOW)})
    inputs.committed({ZERO: (5, 0)})
    consumer.seek(ZERO, 6)
    consumer.starts = {ZERO: 8}

    assert await inputs.go_on(consumer, {ZERO: 6})
    # aiokafka has refused the same offset once more by then
    assert await inputs.go_on(consumer, {ZERO: 6})
    assert shown(metrics, EXPIRED) == {"usage 0": 0}
    passed = await inputs.measure(consumer, ())
    inputs.committed(passed)

    assert (passed, shown(metrics, EXPIRED)) == ({ZERO: (8, 0)}, {"usage 0": 2})
    assert inputs.check(ZERO, 8)


async def test_gaps_in_a_log_that_still_has_what_is_wanted_are_no_loss(
    inputs: Inputs, metrics: Metrics, consumer: Consumer
) -> None:
    """Markers of transactions and compaction; Kafka keeps what was passed, but not past records."""
    consumer.starts = {}
    await inputs.take(consumer, consumer.assignment())
    consumer.seek(ZERO, 9)
    assert await inputs.measure(consumer, {ZERO}) == {}
    assert inputs.check(ZERO, 8)

    passed = await inputs.measure(consumer, ())
    inputs.committed(passed)
    consumer.kept, consumer.starts = {ZERO: 9}, {ZERO: 9}
    inputs.release(())
    await inputs.take(consumer, consumer.assignment())

    assert (passed, places(consumer)[ZERO]) == ({ZERO: (9, 0)}, 9)
    assert shown(metrics, EXPIRED) == {"usage 0": 0, "usage 1": 0, "billing 0": 0}


async def test_a_log_that_ends_before_what_is_wanted_is_looked_at_anew(
    inputs: Inputs, metrics: Metrics, health: Health, consumer: Consumer
) -> None:
    """Perhaps it is another topic: nothing of it is passed over."""
    await inputs.take(consumer, frozenset({ZERO}))
    consumer.seek(ZERO, 12)
    assert not await inputs.go_on(consumer, {ZERO: 12})
    assert places(consumer)[ZERO] == 12

    consumer.kept = {ZERO: 12}
    await inputs.take(consumer, frozenset({ZERO}))

    assert health.as_json()["checks"]["input:usage"]["detail"] == (
        "partition 0 of topic 'topic' ends at 9, and was read up to 12: was the topic created "
        "anew? `ebbwatch inputs reset usage` accepts it as it is"
    )
    assert await inputs.measure(consumer, ()) == {}


async def test_an_offset_that_was_refused_says_nothing_once_another_owns_the_partition(
    inputs: Inputs, metrics: Metrics, consumer: Consumer
) -> None:
    class Leaving(Consumer):
        async def end_offsets(self, partitions: Iterable[TopicPartition]) -> dict[Any, int]:
            found = await super().end_offsets(partitions)
            self.known = {}
            return found

    consumer.starts = {}
    await inputs.take(consumer, frozenset({ZERO}))
    leaving = Leaving(consumer.known)
    leaving.starts = {ZERO: 7}

    assert await inputs.go_on(leaving, {ZERO: 4})
    inputs.committed({ZERO: (9, 0)})

    assert shown(metrics, EXPIRED) == {"usage 0": 0}
