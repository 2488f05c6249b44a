"""The arithmetic of what expired unread: what counts, when, and how it is said."""

import pytest
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from services.ingest.expiry import REMEDY, Expiry
from services.ingest.metrics import Metrics

ZERO, ONE = TopicPartition("topic", 0), TopicPartition("topic", 1)


@pytest.fixture
def metrics() -> Metrics:
    return Metrics()


@pytest.fixture
def expiry(metrics: Metrics) -> Expiry:
    made = Expiry(metrics)
    for partition in (ZERO, ONE):
        made.begin("usage", partition)
    return made


def counted(metrics: Metrics) -> list[float]:
    """Return how many offsets are counted, by partition."""
    value = metrics.registry.get_sample_value
    name = "ebbwatch_expired_input_offsets_total"
    found = [value(name, {"input": "usage", "partition": part}) for part in ("0", "1")]
    return [each for each in found if each is not None]


@pytest.mark.parametrize(
    "wanted, start, lost",
    [
        (0, 0, 0),
        (5, 0, 0),
        # the log begins just where reading goes on
        (5, 5, 0),
        (5, 6, 1),
        (0, 6, 6),
        # all of it is gone, and the marker behind it as well
        (4, 9, 5),
    ],
)
def test_what_lies_between_the_next_record_and_the_oldest_one_is_lost(
    expiry: Expiry, metrics: Metrics, wanted: int, start: int, lost: int
) -> None:
    assert expiry.note(ZERO, wanted, start) == (lost > 0)
    expiry.tell("usage", ZERO, max(wanted, start))
    assert counted(metrics) == [lost, 0]


def test_a_loss_counts_once_and_not_before_kafka_keeps_an_offset_behind_it(
    expiry: Expiry, metrics: Metrics
) -> None:
    """The commit of what was read before it may land later."""
    expiry.note(ZERO, 4, 7)
    expiry.note(ZERO, 9, 11)
    seen = []
    for kept in (4, 6, 7, 8, 10, 11, 12):
        expiry.tell("usage", ZERO, kept)
        seen.append(counted(metrics)[0])
    assert seen == [0, 0, 3, 3, 3, 5, 5]


def test_who_takes_a_partition_over_again_finds_anew_what_kafka_does_not_keep_yet(
    expiry: Expiry, metrics: Metrics
) -> None:
    expiry.note(ZERO, 4, 7)
    expiry.note(ONE, 1, 2)
    expiry.begin("usage", ZERO)
    expiry.note(ZERO, 4, 8)
    expiry.tell("usage", ZERO, 8)
    expiry.tell("usage", ONE, 2)
    assert counted(metrics) == [4, 1]


def test_the_log_names_input_partition_offsets_and_remedy_in_one_line(expiry: Expiry) -> None:
    expiry.note(ZERO, 4, 7)
    with capture_logs() as lines:
        expiry.tell("usage", ZERO, 7)
        expiry.tell("usage", ZERO, 9)
    assert lines == [
        {
            "event": "records expired unread",
            "log_level": "error",
            "input": "usage",
            "topic": "topic",
            "partition": 0,
            "first_offset": 4,
            "last_offset": 6,
            "offsets": 3,
            "remedy": REMEDY,
        }
    ]
