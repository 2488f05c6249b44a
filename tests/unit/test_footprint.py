from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as some

from services import footprint
from services.footprint import BLANK, FRESH_LIMIT, FRESH_SHARE, Footprint

KEYS = some.sampled_from([f"account:{n}" for n in range(12)])
WRITES = some.lists(some.tuples(KEYS, some.none() | some.binary(max_size=5)), max_size=60)


@given(snapshot=some.dictionaries(KEYS, some.binary(max_size=5)), writes=WRITES)
def test_it_holds_what_a_compacted_topic_would(
    snapshot: dict[str, bytes], writes: list[tuple[str, bytes | None]]
) -> None:
    held = Footprint(snapshot)
    for write in writes:
        held.note([write])
    left = {key: value for key, value in {**snapshot, **dict(writes)}.items() if value is not None}
    assert (held.records, held.bytes) == (
        len(left),
        sum(len(key) + len(value) for key, value in left.items()),
    )


@given(
    snapshot=some.dictionaries(KEYS, some.binary(max_size=5)),
    writes=WRITES,
    kept=some.integers(0, 5),
)
def test_however_few_are_kept_apart_all_are_counted_and_sealed_alike(
    snapshot: dict[str, bytes], writes: list[tuple[str, bytes | None]], kept: int
) -> None:
    apart = Footprint(snapshot)
    for write in writes:
        apart.note([write])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(footprint, "FRESH_LIMIT", kept)
        sorted_in = Footprint(snapshot)
        for write in writes:
            sorted_in.note([write])
    assert len(sorted_in._fresh) <= kept
    assert (sorted_in.records, sorted_in.bytes) == (apart.records, apart.bytes)
    assert sorted_in.seal([("a", b"1")]) == apart.seal([("a", b"1")])
    assert sorted_in._sum == apart._sum
    assert list(sorted_in._hashes) == sorted(set(sorted_in._hashes))


def test_no_flush_waits_long_until_its_keys_are_sorted_in() -> None:
    """While it does nothing else runs: 800,000 records must not stop their owner for a second."""
    count = 200_000
    held = Footprint({f"account:{n:06}": b"12345" for n in range(count)})
    kept = count // FRESH_SHARE
    held.note([(f"account:{n:06}", b"1") for n in range(kept)])
    assert len(held._fresh) == kept
    began = process_time()
    held.note([("account:new", b"1")])
    assert held._fresh == {}
    # Measured: 9 ms, and 180 ms where all keys are made a dict and sorted anew.
    assert process_time() - began < 0.08


def test_many_keys_are_kept_in_few_bytes_and_still_told_apart() -> None:
    count = 5 * FRESH_LIMIT
    held = Footprint({f"account:{n:06}": b"12345" for n in range(count)})
    assert (held.records, held.bytes) == (count, count * (len("account:000000") + 5))
    assert held._fresh == {}
    held.note((f"account:{n:06}", None) for n in range(count - 1))
    held.note([("account:new", b"")])
    assert (held.records, held.bytes) == (2, len("account:000000") + 5 + len("account:new"))


LEDGER = "~ledger"
SNAPSHOTS = some.dictionaries(KEYS, some.binary(max_size=5), min_size=1)


def ledger(told: str, seal: str = BLANK) -> bytes:
    return f"v 1, seal {seal}, {told} {BLANK}".encode()


def seal_of(raw: bytes) -> str:
    return raw.decode().split()[3].rstrip(",")


def written(
    held: Footprint, stored: dict[str, bytes], records: list[tuple[str, bytes | None]]
) -> dict[str, bytes]:
    """Return what a compacted topic holds after a transaction that ends with its ledger."""
    after: dict[str, bytes | None] = {**stored}
    after.update(held.seal([*records, (LEDGER, ledger(f"after {len(records)}"))]))
    return {key: value for key, value in after.items() if value is not None}


def fault(stored: dict[str, bytes]) -> str | None:
    """Return what whoever loads a snapshot finds wrong with it."""
    return Footprint(stored, LEDGER).fault(stored, seal_of(stored[LEDGER]))


@given(first=WRITES, second=WRITES)
def test_what_was_written_bears_a_seal_that_fits_whoever_wrote_it(
    first: list[tuple[str, bytes | None]], second: list[tuple[str, bytes | None]]
) -> None:
    stored = written(Footprint({}, LEDGER), {}, first)
    assert fault(stored) is None
    after = written(Footprint(stored, LEDGER), stored, second)
    assert (fault(after), seal_of(after[LEDGER])[:10]) == (None, f"{len(after):010d}")


@given(stored=SNAPSHOTS, chosen=some.data())
def test_a_record_that_is_missing_changed_or_added_does_not_fit_the_seal(
    stored: dict[str, bytes], chosen: some.DataObject
) -> None:
    whole = written(Footprint({}, LEDGER), {}, list(stored.items()))
    key = chosen.draw(some.sampled_from(sorted(stored)))
    without = {name: value for name, value in whole.items() if name != key}
    count = len(whole)
    assert fault(without) == f"{count - 1} records are there, and {count} were written"
    assert (
        fault({**whole, "strange": b""})
        == f"{count + 1} records are there, and {count} were written"
    )
    other = chosen.draw(some.binary(max_size=5).filter(lambda one: one != stored[key]))
    changed = f"its {count} records are not those that were written with its ledger"
    assert fault({**whole, key: other}) == changed
    assert fault({**whole, LEDGER: whole[LEDGER].replace(b"after", b"before")}) == changed


def test_two_records_whose_values_changed_places_do_not_fit_the_seal() -> None:
    stored = written(Footprint({}, LEDGER), {}, [("a", b"1"), ("b", b"2")])
    assert fault({**stored, "a": b"2", "b": b"1"}) is not None


def test_a_snapshot_of_before_there_were_seals_is_believed() -> None:
    assert Footprint({LEDGER: b"v 1"}, LEDGER).fault({LEDGER: b"v 1"}, "") is None
