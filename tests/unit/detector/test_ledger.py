import msgspec
import pytest

from schemas.envelope import Entry, Origin
from services.detector.ledger import (
    CLOSURE_LIMIT,
    ROOT,
    Closing,
    Ledger,
)
from tests import builders as a

HORIZON = 10


def admitted(ledger: Ledger, *entries: Entry) -> list[str | None]:
    """Take one envelope in; tell why each entry is a duplicate."""
    placed = list(enumerate(entries))
    hashes = ledger.hashes(placed)
    known = ledger.repeated(hashes, placed)
    return [
        ledger.admit(one, 0, hashed, old)
        for one, hashed, old in zip(entries, hashes, known, strict=True)
    ]


def origin(offset: int, place: int = 0, input_: str = "usage", partition: int = 0) -> Origin:
    return Origin(input_, partition, offset, place)


def stored(ledger: Ledger, before: dict[str, bytes] | None = None) -> dict[str, bytes]:
    records = dict(before or {})
    for key, raw in ledger.changes():
        if raw is None:
            records.pop(key, None)
        else:
            records[key] = raw
    return records


def test_an_event_over_http_is_known_by_source_and_id() -> None:
    one, other = a.usage(id="e", source="app"), a.usage(id="e", source="web")
    assert admitted(Ledger(1), one, other, one, other) == [None, None, "id", "id"]


def test_an_entry_from_an_input_is_known_by_its_origin_for_ever() -> None:
    ledger = Ledger(1, 1)
    first = a.usage(id="first", origin=origin(0))
    told = [a.usage(id=f"e{n}", origin=origin(n)) for n in range(1, 30)]
    assert admitted(ledger, first, *told) == [None] * 30
    assert admitted(ledger, first, told[-1]) == ["origin", "origin"]


@pytest.mark.parametrize(
    "first, second, why",
    [
        (origin(5, 3), origin(5, 3), "origin"),
        (origin(5, 3), origin(5, 2), "origin"),
        (origin(5, 3), origin(4, 9), "origin"),
        (origin(5, 3), origin(5, 4), None),
        (origin(5, 3), origin(6, 0), None),
        (origin(5, 3), origin(5, 3, partition=1), None),
        (origin(5, 3), origin(5, 3, "billing"), None),
        # an import: the run's number, then the number in the merged order
        (origin(2, 7, "import"), origin(1, 8, "import"), "origin"),
    ],
)
def test_origins_are_ordered_within_one_partition_of_one_input(
    first: Origin, second: Origin, why: str | None
) -> None:
    ledger = Ledger(1)
    found = admitted(ledger, a.usage(id="a", origin=first), a.usage(id="b", origin=second))
    assert found == [None, why]


def test_a_producer_that_repeats_itself_on_an_input_is_known_by_id_too() -> None:
    ledger = Ledger(1)
    once, again = a.usage(id="e", origin=origin(1)), a.usage(id="e", origin=origin(2))
    assert admitted(ledger, once, again, a.usage(id="e")) == [None, "id", None]


@pytest.mark.parametrize(
    "input_, why",
    [("import", None), ("repair:account:a", None), ("imports", "id"), ("important", "id")],
)
def test_what_was_sent_before_may_be_played_again(input_: str, why: str | None) -> None:
    ledger = Ledger(1)
    told = (a.usage(id="e", origin=origin(n, input_=input_)) for n in (1, 2))
    assert admitted(ledger, *told) == [None, why]


def test_a_restored_ledger_is_the_same() -> None:
    ledger = Ledger(3, HORIZON)
    admitted(ledger, *(a.usage(id=f"e{n}") for n in range(7)), a.usage(id="i", origin=origin(3)))
    ledger.sightings.see("/api/v1", 500_000)
    ledger.apply_rules(4, "four")
    ledger.record.closings.append(
        Closing(1, "UTC", 5, 4, 9, False, [3], {"m": [(2, 4)]}, (2**64 - 1, "x"))
    )
    ledger.record.stamp, ledger.record.clock, ledger.record.mode = 8, 77, "live"
    records = stored(ledger)
    restored = Ledger.restore(records, 3, HORIZON)
    assert (restored.record, restored.rule_sets) == (ledger.record, {4: "four"})
    assert stored(restored) == {ROOT: records[ROOT]}
    again = [a.usage(id="e3"), a.usage(id="e6"), a.usage(id="i", origin=origin(4)), a.usage(id="x")]
    assert admitted(restored, *again) == admitted(ledger, *again) == ["id", "id", "id", None]
    day = 500_000 // 24
    asked = ("/api/v1", "UTC", day + 2, 9)
    assert restored.sightings.dark_spans(*asked) == [(day - 6, day - 1), (day + 1, day + 2)]


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda records: records.pop(ROOT), "records but no ledger"),
        (lambda records: records.update({ROOT: _of_version(2)}), "ledger of version 2, this"),
        (lambda records: records.update({ROOT: b"\xc1"}), "MessagePack"),
    ],
)
def test_a_snapshot_that_cannot_be_read_is_refused(change: object, said: str) -> None:
    ledger = Ledger(1)
    ledger.apply_rules(1, "one")
    records = stored(ledger)
    change(records)  # type: ignore[operator]
    with pytest.raises(ValueError, match=said):
        Ledger.restore(records, 1, HORIZON)


def _of_version(version: int) -> bytes:
    return msgspec.msgpack.encode({"v": version, "partitions": 1})


def test_nothing_stored_is_a_partition_that_folded_nothing() -> None:
    assert Ledger.restore({}, 3, HORIZON).record == Ledger(3).record


def test_a_rule_set_is_kept_as_long_as_an_open_closing_asks_for_it() -> None:
    ledger = Ledger(1)
    ledger.apply_rules(1, "one")
    ledger.record.closings.append(Closing(1, "UTC", 5, 1, 9, False))
    ledger.apply_rules(2, "two")
    records = stored(ledger)
    ledger.apply_rules(3, "three")
    assert ledger.rule_sets == {1: "one", 3: "three"}
    ledger.record.closings.clear()
    ledger.drop_unasked()
    records = stored(ledger, records)
    assert sorted(records) == [ROOT, f"{ROOT}/rules/3"]


def test_closures_for_everybody_stand_once_up_to_a_bound() -> None:
    ledger = Ledger(1)
    for n in (5, 5, 3):
        assert ledger.close_for_all(a.closure_for_all(n, n + 1).event) is None  # type: ignore[arg-type]
    assert [day - a.START for day in ledger.closed_days(a.START, a.START + 5)] == [3, 4, 5]
    for n in range(CLOSURE_LIMIT - 2):
        ledger.close_for_all(a.closure_for_all(n + 10, n + 10).event)  # type: ignore[arg-type]
    more = a.closure_for_all(999, 999).event
    assert ledger.close_for_all(more) == "too_many_closures"  # type: ignore[arg-type]
