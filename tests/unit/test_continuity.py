"""A snapshot and its log belong together, or nobody runs them."""

import re

import pytest

from services.continuity import CannotOwn, check, check_count, emptied, unusable
from services.snapshots import Bounds


def bounds(start: int = 0, end: int = 100, appended: int | None = 5_000) -> Bounds:
    return Bounds(start, end, appended, 8)


@pytest.mark.parametrize(
    "stamp,log",
    [
        # Nothing folded yet, and the log is whole.
        (-1, bounds(start=0, end=0, appended=None)),
        (-1, bounds(start=0, end=7, appended=None)),
        # The next message is the first that still exists: the one at the stamp is gone.
        (9, bounds(start=10, end=20, appended=None)),
        # Everything is folded.
        (99, bounds(end=100)),
        (40, bounds()),
    ],
)
def test_a_log_that_goes_on_after_the_stamp_is_taken(stamp: int, log: Bounds) -> None:
    check("alerts.v1", "cases.v1", 3, stamp, 5_000, log)


@pytest.mark.parametrize(
    "stamp,log,said",
    [
        (-1, bounds(start=1, appended=None), "begins at offset 1, but the snapshot ends at -1"),
        (8, bounds(start=10, appended=None), "begins at offset 10, but the snapshot ends at 8"),
        (100, bounds(end=100, appended=None), "ends at offset 100, but the snapshot is at 100"),
        (40, bounds(appended=6_000), "appended at 6000, the snapshot folded one appended at 5000"),
    ],
)
def test_a_log_with_a_hole_or_another_one_is_refused(stamp: int, log: Bounds, said: str) -> None:
    with pytest.raises(CannotOwn, match=re.escape(said)) as refused:
        check("alerts.v1", "cases.v1", 3, stamp, 5_000, log)
    assert str(refused.value).startswith("alerts.v1 partition 3")


def test_behind_the_newest_record_only_markers_may_have_been_deleted() -> None:
    log = bounds(start=12, end=12, appended=None)
    check("alerts.v1", "cases.v1", 3, 10, 5_000, log, reached=12)
    with pytest.raises(CannotOwn, match="begins at offset 12, but the snapshot ends at 10"):
        check("alerts.v1", "cases.v1", 3, 10, 5_000, log, reached=11)


def test_a_log_created_anew_names_the_snapshots_topic_as_the_remedy() -> None:
    with pytest.raises(CannotOwn, match=re.escape("Delete cases.v1 with it")):
        check("alerts.v1", "cases.v1", 0, 100, 5_000, bounds(appended=None))


@pytest.mark.parametrize("counts", [(8, 8, 4), (8, 4, 8), (4, 8, 8), (1, 2, 3)])
def test_three_partition_counts_that_differ_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(CannotOwn, match="EBBWATCH_PARTITIONS says") as refused:
        check_count("alerts.v1", *counts)
    assert str(refused.value).startswith(f"alerts.v1 has {counts[0]} partitions")


def test_the_same_count_everywhere_is_taken() -> None:
    check_count("alerts.v1", 8, 8, 8)


@pytest.mark.parametrize("end", [0, 7])
def test_a_snapshot_in_which_nothing_was_ever_deleted_may_be_empty(end: int) -> None:
    assert emptied(Bounds(0, end, None, 8)) is None


def test_a_snapshot_that_was_emptied_is_refused_with_what_to_do() -> None:
    fault = emptied(Bounds(7, 7, None, 8))
    assert fault == "it begins at offset 7 and has no record: what was in it was deleted"
    assert str(unusable("state.v1", 3, fault, "begin anew")) == (
        "state.v1 partition 3 cannot be used: it begins at offset 7 and has no record: what was in "
        "it was deleted. Nothing runs on a part of a snapshot: restore the topic as it was, or "
        "begin anew"
    )
