"""Which answers of a service may be while its broker is away."""

import os

import pytest

from tests.faults.asking import EVENTS, Answer, cpu_seconds, is_wrong, resident_bytes, was_taken

DEADLINE = 3.0


def answer(path: str, status: int, took: float = 0.1, retry_after: str | None = None) -> Answer:
    return Answer("ingest-0", path, 100.0, took, status, retry_after)


@pytest.mark.parametrize(
    "good",
    [
        answer(EVENTS, 200),
        answer(EVENTS, 200, took=5.9),
        answer(EVENTS, 503, retry_after="5"),
        answer(EVENTS, 0),
        answer("/livez", 200),
        answer("/livez", 0),
        answer("/readyz", 200),
        answer("/readyz", 503),
    ],
)
def test_a_service_may_be_closed_or_gone(good: Answer) -> None:
    assert not is_wrong(good, DEADLINE)


@pytest.mark.parametrize(
    "bad",
    [
        answer(EVENTS, 503),
        answer(EVENTS, 503, retry_after="soon"),
        answer(EVENTS, 500, retry_after="5"),
        answer(EVENTS, 401),
        answer(EVENTS, 503, took=6.1, retry_after="5"),
        answer(EVENTS, 0, took=30.0),
        answer("/livez", 503),
        answer("/livez", 200, took=6.1),
        answer("/readyz", 500),
    ],
)
def test_it_must_not_fail_be_late_or_leave_the_client_without_a_time(bad: Answer) -> None:
    assert is_wrong(bad, DEADLINE)


def test_only_what_was_sent_and_answered_within_the_outage_counts_as_taken() -> None:
    assert was_taken(answer(EVENTS, 200), 100.0, 101.0)
    assert not was_taken(answer(EVENTS, 200), 100.05, 101.0)
    assert not was_taken(answer(EVENTS, 200), 99.0, 100.05)
    assert not was_taken(answer(EVENTS, 503), 99.0, 101.0)
    assert not was_taken(answer("/readyz", 200), 99.0, 101.0)


def test_what_a_process_takes_is_measured() -> None:
    begun = cpu_seconds(os.getpid())
    while cpu_seconds(os.getpid()) - begun < 0.02:
        sum(range(10_000))
    assert resident_bytes(os.getpid()) > 1024 * 1024
