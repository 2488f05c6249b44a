from datetime import UTC, datetime
from functools import reduce

import msgspec
import pytest

from schemas.config import ApiKey, Input, ModeRecord, RuleSetContent, RuleSetRecord
from services.ingest.config import Configuration, fold
from services.ingest.markers import Marker

AT = datetime(2026, 1, 1, tzinfo=UTC)
KEY = ApiKey(id="k1", hash="0", source="/api", created_at=AT)
USAGE = Input(topic="usage", format="cloudevents", source="gateway")


def rules(n: int, **inputs: Input) -> RuleSetRecord:
    content = msgspec.json.encode(RuleSetContent(rules=[], inputs=inputs)).decode()
    return RuleSetRecord(n=n, content=content, applied_at=AT)


def folded(*records: tuple[str, object]) -> Configuration:
    encoded = [
        (key, None if value is None else msgspec.json.encode(value)) for key, value in records
    ]
    return reduce(lambda known, each: fold(known, *each), encoded, Configuration())


def test_a_deployment_begins_new_without_rules_and_keys() -> None:
    assert folded() == Configuration("new", None, {}, {})


def test_the_newest_records_hold() -> None:
    found = folded(
        ("mode", ModeRecord(mode="importing", at=AT)),
        ("rules/1", rules(1)),
        ("keys/k1", KEY),
        ("rules/2", rules(2, usage=USAGE)),
        ("import", {"anything": True}),
        ("person/ana", {"name": "Ana"}),
        ("mode", ModeRecord(mode="live", at=AT)),
    )

    assert found == Configuration("live", rules(2, usage=USAGE), {"usage": USAGE}, {"k1": KEY})
    assert found.sources == {"/api", "gateway"}


def test_compaction_may_bring_an_older_rule_set_after_a_newer_one() -> None:
    assert folded(("rules/2", rules(2, usage=USAGE)), ("rules/1", rules(1))).inputs == {
        "usage": USAGE
    }


def test_a_deleted_key_is_gone_and_a_revoked_one_stays() -> None:
    revoked = msgspec.structs.replace(KEY, id="k2", revoked_at=AT)

    found = folded(("keys/k1", KEY), ("keys/k2", revoked), ("keys/k1", None))

    assert found.keys == {"k2": revoked}


@pytest.mark.parametrize("key", ["mode", "keys/k1", "rules/1"])
def test_an_unreadable_record_changes_nothing(key: str) -> None:
    before = folded(("mode", ModeRecord(mode="live", at=AT)))

    with pytest.raises(msgspec.MsgspecError):
        fold(before, key, b"{}")


def test_an_input_partition_is_marked_until_the_mark_is_deleted() -> None:
    marks = [(f"inputs/usage/{n}", Marker(topic="usage", partition=n)) for n in range(3)]
    known = ("inputs/usage/2", Marker(topic="usage", partition=2, id="0f"))

    found = folded(*marks, known, ("inputs/usage/1", None), ("inputs/other/7", None))

    assert found.marked == {"usage": {0: "", 2: "0f"}, "other": {}}


def test_a_mark_of_an_earlier_version_tells_of_no_id() -> None:
    raw = b'{"topic":"usage","partition":4}'
    assert fold(Configuration(), "inputs/usage/4", raw).marked == {"usage": {4: ""}}
