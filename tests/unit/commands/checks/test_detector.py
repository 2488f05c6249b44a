"""What the doctor says of the detector."""

from typing import Any

import pytest

from services.commands.checks import detector
from services.commands.checks.detector import Detector, Part
from services.commands.checks.finding import ok
from services.commands.kafka_facts import Group, Range
from services.detector.ledger import LedgerRecord
from tests.unit.commands.checks.builders import DAY, NOW, NOW_US, SECOND_US, WORKING, wrong


def part(**changes: Any) -> Part:
    """A partition that is folded to its end at offset 9."""
    record = {"v": 1, "partitions": 2, "stamp": 9, "appended": 7, "rules": 3, "clock": NOW_US}
    known = {name: changes.pop(name) for name in tuple(changes) if name in record}
    fields = {"held": Range(4, 10), "at_stamp": 7, "waiting": None}
    ledger = LedgerRecord(**{**record, **known})
    return Part(**{**fields, "ledger": ledger, **changes})


def worker(*parts: Part, **changes: Any) -> Detector:
    fields = {"group": WORKING, "partitions": 2, "rules": 3, "live": True, "retention": 14 * DAY}
    return Detector(parts=dict(enumerate(parts or (part(), part()))), **{**fields, **changes})


def test_a_detector_that_is_as_it_should_be() -> None:
    assert detector.judge(worker(), NOW) == [
        ok("workers", "2 detectors on 2 partitions"),
        ok("partitions", "2, in the topics, the snapshot and the setting"),
        ok("log", "holds all that the snapshot has not folded"),
        ok("rules", "rule set 3 is in force in every partition"),
        ok("lag", "everything is folded"),
        ok("clock", "the newest tick is 0 seconds old"),
    ]


def waiting(seconds: float, **changes: Any) -> Part:
    """A partition with three messages that wait, the oldest for so long."""
    return part(held=Range(4, 13), waiting=NOW_US - round(seconds * SECOND_US), **changes)


@pytest.mark.parametrize(
    "one, found",
    [
        (worker(group=Group("Empty", 0)), [("FAIL", "workers", None)]),
        (
            worker(group=Group("PreparingRebalance", 2)),
            [
                (
                    *("warn", "workers"),
                    "2 detectors; the partitions are being shared out (PreparingRebalance)",
                )
            ],
        ),
        (
            worker(partitions=3),
            [
                (
                    *("FAIL", "partitions"),
                    "events.v1 has 2 partitions, the snapshot was made with 2, EBBWATCH_PARTITIONS "
                    "says 3: an account stays on the partition where its history is",
                )
            ],
        ),
        (
            worker(part(held=Range(11, 13)), part()),
            [
                (
                    *("FAIL", "log"),
                    "events.v1 partition 0 begins at offset 11, but the snapshot ends at 9: the "
                    "messages between were deleted unread",
                )
            ],
        ),
        (
            worker(part(), part(held=Range(0, 5), at_stamp=None)),
            [
                (
                    *("FAIL", "log"),
                    "events.v1 partition 1 ends at offset 5, but the snapshot is at 9: the topic "
                    "was created anew",
                )
            ],
        ),
        (worker(part(), part(rules=2)), [("warn", "rules", None)]),
        (worker(rules=0), [("warn", "rules", "no rule set is applied")]),
        # A snapshot may be 30 s old: what came since is no lag.
        (worker(part(), waiting(80)), []),
        (worker(part(), waiting(100)), [("warn", "lag", None)]),
        (worker(part(), waiting(700)), [("FAIL", "lag", None)]),
        (worker(part(), waiting(8 * DAY)), [("warn", "log", None), ("FAIL", "lag", None)]),
        (worker(part(), part(clock=NOW_US - 170 * SECOND_US)), []),
        (
            worker(part(), part(clock=NOW_US - 240 * SECOND_US)),
            [("FAIL", "clock", "stands for 4 minutes (partition 1)")],
        ),
        (
            worker(part(), waiting(700, clock=NOW_US - 240 * SECOND_US)),
            [
                ("FAIL", "lag", None),
                ("warn", "clock", "stands for 4 minutes, because the detector is behind"),
            ],
        ),
        # The first snapshot is not written yet: whether it folds shows within the next minute.
        (
            worker(part(), Part(Range(0, 3), None, None, NOW_US - 10 * SECOND_US), rules=0),
            [
                ("warn", "rules", None),
                (
                    *("warn", "clock"),
                    "no tick was ever folded (partition 1): the first snapshot comes within 30 s "
                    "of a start",
                ),
            ],
        ),
        (
            worker(part(), Part(Range(0, 3), None, None, NOW_US - 700 * SECOND_US), rules=0),
            [
                ("warn", "rules", None),
                ("FAIL", "lag", None),
                ("warn", "clock", "no tick was ever folded, because the detector is behind"),
            ],
        ),
        (
            worker(part(), part(clock=0)),
            [("FAIL", "clock", "no tick was ever folded (partition 1)")],
        ),
        # History is played, or there is none yet: its clock is not the wall's.
        (worker(part(), part(clock=0), live=False), []),
    ],
)
def test_a_detector_that_is_not(one: Detector, found: list[tuple[str, str, str | None]]) -> None:
    told = wrong(detector.judge(one, NOW))
    assert [each[:2] for each in told] == [each[:2] for each in found]
    for (*_, text), (*_, wanted) in zip(told, found, strict=True):
        assert wanted is None or text == wanted


def test_a_detector_that_hangs_is_among_what_is_to_be_looked_at() -> None:
    hanging = worker(part(), part(clock=NOW_US - 240 * SECOND_US), group=Group("Empty", 0))
    found = {one.name: one for one in detector.judge(hanging, NOW)}
    assert found["workers"].text == "no detector is running, or it hangs: look at its /livez"
    remedy = found["clock"].remedy
    assert remedy.endswith("or the detector that folds it hangs: look at its /livez")


def test_a_partition_that_was_never_folded_is_read_from_its_beginning() -> None:
    never = Part(Range(0, 3), None, None, NOW_US - SECOND_US)
    assert (never.stamp, never.lag) == (-1, 3)
    found = detector.judge(worker(never, never, rules=0, live=False), NOW)
    assert wrong(found) == [("warn", "rules", "no rule set is applied")]
