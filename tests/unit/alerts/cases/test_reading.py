from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from schemas import cases, cloudevents
from schemas.cloudevents import Incoming
from schemas.rejects import RAW_LIMIT, Reject
from services.alerts.cases import ledger
from services.alerts.cases.partition import Partition
from services.alerts.cases.reading import ALERT_BYTES, NESTING_LIMIT, Refusal, read
from tests.unit.alerts import builders as a

RAISED = cases.encode(a.raised())


def changed(**fields: Any) -> bytes:
    return msgspec.json.encode(msgspec.json.decode(RAISED) | fields)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": value}
    return value


@pytest.mark.parametrize(
    "key, value, reason, detail",
    [
        ("acme", None, "empty", "the record has no value; this log is never compacted"),
        ("acme", b"", "unreadable", "DecodeError: Input data was truncated"),
        ("acme", b"\xff", "unreadable", "DecodeError: JSON is malformed: invalid character"),
        ("acme", b"[]", "invalid", "Expected `object`, got `array`"),
        ("acme", b"{}", "invalid", "Object missing required field `type`"),
        ("acme", changed(severity="bad"), "invalid", "Invalid enum value 'bad' - at `$.severity`"),
        ("acme", changed(alert_id=None), "invalid", "Expected `str`, got `null` - at `$.alert_id`"),
        ("acme", changed(type="case.merged"), "unknown_type", "no record of type 'case.merged'"),
        ("acme", changed(type=7), "invalid", "Expected `str`"),
        ("beta", RAISED, "key", "the record is of case 'acme', its key is 'beta'"),
        ("", changed(account=""), "key", "a case's key has 1 to 210 printable characters"),
        (ledger.KEY, changed(account=ledger.KEY), "key", "printable characters"),
        ("a\x1fb", changed(account="a\x1fb"), "key", "printable characters"),
        ("x" * 211, changed(account="x" * 211), "key", "1 to 210"),
        (
            "acme",
            b'{"type":"alert.raised","because":' + b'{"a":' * 9000 + b"1" + b"}" * 9000 + b"}",
            "unreadable",
            "RecursionError",
        ),
        (
            "acme",
            changed(because=nested(NESTING_LIMIT + 1)),
            "nested",
            "evidence is nested 32 levels deep at most",
        ),
        ("acme", changed(object="x" * 70_000), "too_large", "an alert has 65536 bytes at most"),
    ],
)
def test_what_cannot_be_folded_is_refused_with_its_reason(
    key: str, value: bytes | None, reason: str, detail: str
) -> None:
    found = read(key, value)
    assert isinstance(found, Refusal)
    assert found.reason == reason
    assert detail in found.detail


@pytest.mark.parametrize(
    "key", ["acme", "a/b c", "𝄞" * 210, "colleague:ana", "company", "..", "a~", "~", "~ledger"]
)
def test_a_key_may_have_any_printable_characters(key: str) -> None:
    assert read(key, changed(account=key)) == a.raised(account=key)


@given(st.text(min_size=1, max_size=210))
@example("~ledger")
@example("~")
@example("\x1fledger")
def test_every_account_id_that_ingest_takes_is_a_key_that_the_fold_takes(account: str) -> None:
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "crm",
        "type": "usage.recorded",
        "subject": account,
        "data": {"metric": "api_calls", "quantity": 1},
    }
    taken = isinstance(cloudevents.decode(msgspec.json.encode(event)), Incoming)
    folds = read(account, changed(account=account)) == a.raised(account=account)
    assert folds or not taken


def test_evidence_may_be_nested_so_deep() -> None:
    because = nested(NESTING_LIMIT)
    assert read("acme", changed(because=because)) == a.raised(because=because)


def test_of_an_alert_that_is_too_long_the_words_are_kept() -> None:
    words = {"headline": "Usage fell", "title": "t" * 5_000, "text": "It fell.", "play": "call"}
    value = changed(because=words | {"daily": ["x" * 1000] * 70})
    assert len(value) > ALERT_BYTES
    assert read("acme", value) == a.raised(because=words | {"title": "t" * 4_000})


def test_numbers_too_large_for_the_snapshot_of_others_are_kept_as_they_are() -> None:
    because = {"n": 1 << 70}
    partition = a.folded(a.raised(because=because))
    restored = Partition.restore(0, 1, a.store({}, partition.cut()))
    assert restored.cases["acme"].standings["a"].latest.because == because


def test_a_refused_record_is_a_reject_and_the_fold_goes_on() -> None:
    partition = Partition.begin(5, 8)
    partition.apply(7, a.us(0), "acme", b"x" * (RAW_LIMIT + 1))
    partition.apply(8, a.us(1), "acme", changed(type="case.merged"))
    partition.apply(9, a.us(2), "acme", RAISED)
    assert partition.rejects == [
        Reject(
            stage="alerts",
            reason="unreadable",
            detail="DecodeError: JSON is malformed: invalid character (byte 0)",
            raw=b"x" * RAW_LIMIT,
            source="acme",
            topic="alerts.v1",
            partition=5,
            offset=7,
        )
    ]
    assert partition.counts == {
        ("rejected", "unreadable"): 1,
        ("unknown_type",): 1,
        ("folded", "alert.raised"): 1,
        ("notice", "opened"): 1,
    }
    assert partition.stamp == 9
