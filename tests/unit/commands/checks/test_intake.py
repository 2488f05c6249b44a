"""What the doctor says of what comes in."""

from collections import Counter
from collections.abc import Mapping

import msgspec
import pytest

from schemas.config import ApiKey, ModeRecord
from services.commands.checks import intake
from services.commands.checks.finding import Finding, fail, ok, warn
from services.commands.input_state import PartState, judge
from services.commands.kafka_facts import Group
from tests.unit.commands.checks.builders import NOON, NOW_US, SECOND_US, WORKING
from tests.unit.commands.test_inputs import reads


def test_the_mode_says_which_command_is_awaited() -> None:
    record = msgspec.json.encode(ModeRecord(mode="live", at=NOON))
    assert intake.mode({"mode": record}) == ok("mode", "live")
    assert intake.mode({}) == warn(
        "mode",
        "new: there is no history yet",
        "run `ebbwatch import FILE...`, or `ebbwatch live` to skip it",
    )


def test_without_a_key_in_force_nobody_sends_over_http() -> None:
    key = ApiKey(id="k", hash="", source="*", created_at=NOON)
    revoked = msgspec.structs.replace(key, revoked_at=NOON)
    keys = {f"keys/{n}": msgspec.json.encode(one) for n, one in enumerate((key, key, revoked))}

    assert intake.keys(keys) == ok("keys", "2 API keys in force")
    assert intake.keys({"keys/2": keys["keys/2"]}).verdict == "warn"


OLD_MS = (NOW_US - 600 * SECOND_US) // 1000


@pytest.mark.parametrize(
    "parts, group, found",
    [
        ({0: PartState(0, 5, 5)}, WORKING, [ok("inputs", "usage 0 behind")]),
        (
            {0: PartState(0, 5, 3, True, OLD_MS)},
            WORKING,
            [
                warn(
                    *("inputs", "usage: 2 records wait, the newest 10 minutes old"),
                    "look at ingest's log and /readyz",
                ),
                ok("inputs", "usage 2 behind"),
            ],
        ),
        (
            {0: PartState(0, 5, 5)},
            Group("Empty", 0),
            [fail("inputs", "nobody reads them", "start ingest: `ebbwatch serve ingest`")],
        ),
        (
            {0: PartState(0, 5, None, True)},
            Group("Empty", 0),
            [
                fail(
                    "inputs",
                    "usage: partition 0 was read before, and Kafka has forgotten up to where",
                    "was the topic created anew? `ebbwatch inputs reset usage` accepts it as it is",
                )
            ],
        ),
        (
            {},
            WORKING,
            [
                fail(
                    *("inputs", "usage: topic 'u' does not exist"),
                    "create it, or correct inputs.toml",
                )
            ],
        ),
    ],
)
def test_inputs(parts: Mapping[int, PartState], group: Group, found: list[Finding]) -> None:
    states = [judge("usage", reads("u"), parts)]
    assert list(intake.inputs(states, group, NOON)) == found


def test_refusals_are_told_by_reason() -> None:
    assert intake.judge_refused(Counter()).verdict == "ok"
    told = intake.judge_refused(Counter({"ingest invalid": 1_200, "detector future": 1}))
    assert told.text == "1,201 within the last hour: ingest invalid 1,200, detector future 1"
