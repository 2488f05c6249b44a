from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from services.detector.recent import CHUNK, GENERATIONS, RecentIds, digest

Store = dict[tuple[int, int], bytes]


def envelope(ids: RecentIds, hashes: list[int]) -> list[bool]:
    """Ask and add one envelope's hashes, as the ledger does; tell which are new."""
    known = ids.known(hashes)
    return [not old and ids.add(one) for one, old in zip(hashes, known, strict=True)]


def saved(ids: RecentIds, store: Store) -> Store:
    for generation, chunk, value in ids.changes():
        if value is None:
            store.pop((generation, chunk), None)
        else:
            store[generation, chunk] = value
    return store


def restored(store: Store, horizon: int) -> RecentIds:
    ids = RecentIds(horizon)
    ids.restore(store)
    return ids


def add(ids: RecentIds, hashes: Iterable[int]) -> None:
    for one in hashes:
        envelope(ids, [one])


def test_an_identity_is_source_and_id() -> None:
    assert digest("a", "bc") != digest("ab", "c")
    assert digest("", "") == digest("", "")


@given(st.lists(st.lists(st.integers(1, 30), max_size=12)), st.integers(1, 12), st.randoms())
def test_nothing_is_forgotten_within_the_horizon_whatever_is_saved_and_restored(
    envelopes: list[list[int]], horizon: int, random: object
) -> None:
    ids, store = RecentIds(horizon), Store()
    new: list[int] = []
    for n, hashes in enumerate(envelopes):
        for one, is_new in zip(hashes, envelope(ids, hashes), strict=True):
            if one in new[-horizon:]:
                assert not is_new
            elif one not in new:
                assert is_new
            if is_new:
                new.append(one)
        if n % 3 == 0:
            saved(ids, store)
        if n % 6 == 0:
            ids = restored(store, horizon)


@given(st.lists(st.lists(st.integers(1, 40), max_size=9)), st.integers(1, 12), st.integers(1, 5))
def test_a_restored_memory_answers_as_the_one_that_was_never_lost(
    envelopes: list[list[int]], horizon: int, every: int
) -> None:
    undisturbed, disturbed, store = RecentIds(horizon), RecentIds(horizon), Store()
    for n, hashes in enumerate(envelopes):
        assert envelope(disturbed, hashes) == envelope(undisturbed, hashes)
        if n % every == 0:
            disturbed = restored(saved(disturbed, store), horizon)
            assert len(disturbed) == len(undisturbed)
    assert saved(disturbed, store) == saved(undisturbed, {})


def test_a_repetition_within_one_envelope_is_found_across_a_generation_border() -> None:
    # a generation holds two: it is full after b
    ids = RecentIds(2 * GENERATIONS)
    assert envelope(ids, [1, 2, 1, 3, 2]) == [True, True, False, True, False]


def test_a_generation_is_dropped_whole_and_its_records_are_deleted() -> None:
    ids, store = RecentIds(GENERATIONS), Store()
    add(ids, range(1, 3))
    saved(ids, store)
    assert sorted(store) == [(0, 0), (1, 0)]
    add(ids, range(3, 9))
    saved(ids, store)
    # the open one and five closed ones are kept: of 8 generations the first two have gone
    assert sorted(store) == [(generation, 0) for generation in range(2, 8)]
    # asking closes the full one: five are left, as many as the horizon
    assert ids.known([3, 4]) == [False, True]


def test_only_the_last_chunk_is_written_again() -> None:
    ids = RecentIds(GENERATIONS * 3 * CHUNK)
    add(ids, range(1, CHUNK + 11))
    assert [(g, c, len(v or b"")) for g, c, v in ids.changes()] == [
        (0, 0, 8 * CHUNK),
        (0, 1, 8 * 10),
    ]
    add(ids, range(CHUNK + 11, CHUNK + 13))
    assert [(g, c, len(v or b"")) for g, c, v in ids.changes()] == [(0, 1, 8 * 12)]
    assert list(ids.changes()) == []
