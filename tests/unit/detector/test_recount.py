"""The days of an account counted again from the log, beside what the partition has counted."""

from collections.abc import Sequence

import msgspec
import pytest

from schemas.envelope import Entry, Origin
from schemas.events import TicketOpened, UsageRecorded
from services.detector.facts import Moment, Step
from services.detector.facts.buckets import TICKETS
from services.detector.facts.profile import Profile
from services.detector.facts.tickets import KNOWN_DAYS
from services.detector.facts.usage import Usage
from services.detector.partition import Partition
from services.detector.recount import Recount
from tests import builders as a
from tests import playing
from tests.unit.detector.views import sums

ACME = "account:acme"
POISON = 13
"""The quantity on which the fold raises while the bug is there."""

FAR = 1 << 40


def recounted(messages: Sequence[playing.Message], metric: str = "usage") -> dict[int, float]:
    """Count a log to its end; units by day."""
    counting = Recount("acme", Profile(), FAR, FAR * FAR, 1)
    for one in messages:
        counting.take(*one)
    first, end = a.START - 100, a.START + 100
    counts = enumerate(counting.counts([metric], first, end), first - a.START)
    return {day: value for day, value in counts if value}


@pytest.fixture
def bug(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    fold = Usage.fold

    def folded(usage: Usage, one: Entry, at: Moment) -> Step | str | None:
        if isinstance(one.event, UsageRecorded) and one.event.quantity == POISON:
            raise ArithmeticError("thirteen")
        return fold(usage, one, at)

    monkeypatch.setattr(Usage, "fold", folded)
    return monkeypatch


def repaired(log: playing.Log, partition: Partition) -> None:
    """Repair the account, and send again all that is owed."""
    log.add(a.repaired())
    playing.play(log.messages[-1:], partition)
    again = [
        msgspec.structs.replace(
            log.entries[offset][place], origin=Origin(f"repair:{ACME}", 0, offset, place)
        )
        for offset, place in sorted(partition.accounts[ACME].owed)
    ]
    playing.play(log.add(*again).messages[-1:], partition)


def held(bug: pytest.MonkeyPatch) -> tuple[playing.Log, Partition]:
    """A log of an account that was held back, twice, and folds again; and its partition."""
    log = playing.Log().each(a.tick(10, 3), a.usage(1, day=10, hour=4))
    log.add(a.usage(POISON, day=10, hour=5), a.usage(2, day=10, hour=6), a.usage(3, day=9))
    partition = playing.play(log.each(a.usage(4, day=10, hour=7)))
    repaired(log, partition)
    assert partition.accounts[ACME].quarantine is not None
    bug.undo()
    repaired(log, partition)
    playing.play(log.each(a.usage(5, day=11)).messages[-1:], partition)
    assert sums(partition) == {9: 3, 10: 1 + POISON + 2 + 4, 11: 5}
    return log, partition


def test_what_was_held_back_and_sent_again_counts_once(bug: pytest.MonkeyPatch) -> None:
    log, partition = held(bug)
    assert recounted(log.messages) == sums(partition)


def test_what_was_sent_again_counts_where_the_log_no_longer_holds_it(
    bug: pytest.MonkeyPatch,
) -> None:
    log, _ = held(bug)
    # The first two messages have gone, of the third and fourth everything is sent again.
    assert recounted(log.messages[4:]) == {9: 3, 10: POISON + 2 + 4, 11: 5}


def test_what_no_fold_can_take_is_not_counted_and_the_rest_is(bug: pytest.MonkeyPatch) -> None:
    log = playing.Log().each(a.tick(10, 3), a.usage(1, day=10, hour=4), a.usage(POISON, day=10))
    assert recounted(log.messages) == sums(playing.play(log)) == {10: 1}


@pytest.mark.parametrize("later", [KNOWN_DAYS, KNOWN_DAYS + 1])
def test_a_ticket_is_forgotten_as_the_days_are_judged(later: int) -> None:
    """Told again when it is known no longer it counts anew, here as in the partition."""
    told = TicketOpened(ticket="t1", priority=3)
    log = playing.Log().each(a.rules(a.silent(100)), a.tick(1, 3), a.entry(told, day=1, hour=4))
    log.each(a.tick(1 + later + 1, 3), a.entry(told, day=1 + later + 1, hour=4))
    found = sums(playing.play(log), metric=TICKETS)
    assert len(found) == 1 + (later > KNOWN_DAYS)
    assert recounted(log.messages, TICKETS) == found


def test_of_an_account_that_was_erased_only_what_came_since_is_counted() -> None:
    log = playing.Log().each(a.tick(10, 3), a.usage(1, day=10, hour=4), a.erased(day=10, hour=5))
    log.each(a.usage(2, day=10, hour=4.5), a.usage(4, day=10, hour=6))
    assert recounted(log.messages) == sums(playing.play(log)) == {10: 4}
