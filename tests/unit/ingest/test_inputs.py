"""How far the inputs are, as ticks tell it; reading them is tested with a broker."""

from collections.abc import Mapping
from typing import NamedTuple

import pytest
from aiokafka import TopicPartition

from schemas.config import Input
from services.ingest.formats import find
from services.ingest.forwarding import Source
from services.ingest.inputs import FUTURE_MICROS, Inputs
from services.ingest.metrics import Metrics
from services.runtime import Health

NOW = 1_800_000_000_000_000
ZERO, ONE = TopicPartition("topic", 0), TopicPartition("topic", 1)
OTHER = TopicPartition("other", 0)


class Polled(NamedTuple):
    """What a consumer knows of a partition."""

    position: int
    end: int | None
    polled_ms: int | None


class Consumer:
    """Answers as aiokafka's does, of the partitions that it is told of."""

    def __init__(self, known: Mapping[TopicPartition, Polled]) -> None:
        self.known = known

    def assignment(self) -> frozenset[TopicPartition]:
        return frozenset(self.known)

    def highwater(self, partition: TopicPartition) -> int | None:
        return self.known[partition].end

    def last_poll_timestamp(self, partition: TopicPartition) -> int | None:
        return self.known[partition].polled_ms

    async def position(self, partition: TopicPartition) -> int:
        return self.known[partition].position


@pytest.fixture
def inputs() -> Inputs:
    made = Inputs(Health(), Metrics(), "group", dict)
    configure(made, usage="topic", billing="other")
    return made


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
    assert inputs.progress() == {"usage/0": NOW}


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
