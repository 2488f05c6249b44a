from hypothesis import given
from hypothesis import strategies as some

from services.footprint import FRESH_LIMIT, Footprint

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


def test_many_keys_are_kept_in_few_bytes_and_still_told_apart() -> None:
    count = 5 * FRESH_LIMIT
    held = Footprint({f"account:{n:06}": b"12345" for n in range(count)})
    assert (held.records, held.bytes) == (count, count * (len("account:000000") + 5))
    assert held._fresh == {}
    held.note((f"account:{n:06}", None) for n in range(count - 1))
    held.note([("account:new", b"")])
    assert (held.records, held.bytes) == (2, len("account:000000") + 5 + len("account:new"))
