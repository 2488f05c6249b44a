"""What `ebbwatch explain` says: each number, whether it agrees, and what could not be checked."""

from datetime import date
from typing import Any

import pytest

from schemas.alerts import AlertCleared, AlertRaised
from services.commands.explain import Checked, Explained, _lines, _plain
from services.commands.recounting import Recounted
from services.commands.rule_sets import RuleSets
from services.detector.compared import ABSENT, Line
from services.detector.recompute import Recomputed
from tests.unit.alerts import builders as a

RIGHT = Line("observed", 3.0, 3.0)
WRONG = Line("window.days_used", 27, 28)
LOST = Line("ratio", ABSENT, None)
DAY = Line("2026-05-14", 3.0, 3.0)
OTHER = Line("2026-05-13", 3.0, 4.0)


def checked(*lines: Line, notes: list[str] | None = None, cleared: bool = False) -> Checked:
    record = a.cleared("a") if cleared else a.raised("a")
    assert isinstance(record, AlertRaised | AlertCleared)
    return Checked(record, Recomputed(list(lines), notes or []))


def explained(*records: Checked, events: Recounted | None = None) -> Explained:
    return Explained(list(records), events)


def test_the_newest_record_is_told_line_by_line_and_of_others_what_differs() -> None:
    found = explained(checked(RIGHT, WRONG), checked(RIGHT, LOST, cleared=True))
    told = _lines(found)
    assert told[1] == "alert a, rule usage-drop, about usage"
    assert [one.split() for one in told if one.startswith("  ")] == [
        ["window.days_used", "27", "28", "DIFFERS"],
        ["observed", "3", "3", "agrees"],
        ["ratio", "absent", "none", "DIFFERS"],
    ]
    assert told[-1] == "NOT every number agrees"


@pytest.mark.parametrize(
    "found, agrees, verdict",
    [
        (explained(checked(RIGHT)), True, "every number agrees"),
        (explained(checked(RIGHT, WRONG)), False, "NOT every number agrees"),
        (explained(checked(notes=["it is gone"])), False, "nothing could be computed"),
        (
            explained(checked(RIGHT), events=Recounted([DAY], 3, 9, [])),
            True,
            "every number agrees",
        ),
        (
            explained(checked(RIGHT), events=Recounted([DAY, OTHER], 0, 9, [])),
            False,
            "NOT every number agrees",
        ),
    ],
)
def test_one_number_that_differs_is_enough(found: Explained, agrees: bool, verdict: str) -> None:
    assert (found.agrees, _lines(found)[-1], _plain(found)["agrees"]) == (agrees, verdict, agrees)


def test_what_can_only_be_read_is_named_and_no_claim_is_made_of_it() -> None:
    known, lost = checked(RIGHT), checked(RIGHT, cleared=True)
    lost = lost._replace(found=lost.found._replace(read=("peer_ratio", "metrics")))
    told = _lines(explained(known, lost, lost))[-1]
    assert told == (
        "every number that can be computed agrees; 2 could only be read: peer_ratio, metrics"
    )
    assert _plain(explained(known, lost))["only_read"] == ["peer_ratio", "metrics"]


def test_a_text_that_differs_is_told_in_full_and_one_that_agrees_is_not_repeated() -> None:
    said, other = "Usage fell by 31 % " * 5, "Usage fell by 13 % " * 5
    told = _lines(explained(checked(RIGHT, Line("text", said, said), Line("text", said, other))))
    assert [one for one in told if one.startswith("  ")] == [
        "  observed  3  3  agrees",
        "  text      in words  agrees",
        "  text      in words  DIFFERS",
        f"    stored:   {said}",
        f"    computed: {other}",
    ]


def test_days_of_the_log_are_told_with_those_that_are_gone() -> None:
    assert Recounted([DAY, OTHER], 12, 40, []).lines() == [
        "events.v1: 2 days counted once more from 40 events, 1 of them WRONG",
        "  2026-05-13: stored 3, counted 4",
        "  12 older days cannot be counted: the log keeps events for 14 days",
    ]
    assert Recounted([], 0, 0, ["it was erased"]).lines() == [
        "events.v1: no day was counted once more",
        "  not counted: it was erased",
    ]


def test_json_has_every_line_and_note() -> None:
    told = _plain(explained(checked(WRONG, notes=["why"]), events=Recounted([DAY], 1, 2, [])))
    (record,) = told["records"]
    assert record == {
        "type": "alert.raised",
        "day": date(2026, 5, 4),
        "rule_set": 1,
        "agrees": False,
        "lines": [{"name": "window.days_used", "stored": 27, "computed": 28, "agrees": False}],
        "notes": ["why"],
        "only_read": [],
    }
    assert told["events"] == {
        "agrees": True,
        "days": [{"name": "2026-05-14", "stored": 3.0, "computed": 3.0, "agrees": True}],
        "days_gone": 1,
        "events": 2,
        "notes": [],
    }


def test_a_rule_set_that_is_gone_or_cannot_be_read_is_said() -> None:
    broken: dict[str, Any] = {"n": 2, "content": "{", "applied_at": "2026-05-14T00:00:00Z"}
    import msgspec

    sets = RuleSets({2: msgspec.json.encode(broken)})
    assert (sets.get(1), sets.missing(1)) == (None, "rule set 1 is not in config.v1")
    assert sets.get(2) is None
    assert sets.missing(2).startswith("rule set 2 cannot be read by this version: ")
