import tracemalloc
from collections.abc import Iterable
from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.detector import recent
from services.detector.recent import CHUNK, GENERATIONS, HORIZON, RUN, RecentIds, digest

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


runs = st.sampled_from([1, 2, 5, RUN])


@given(st.lists(st.lists(st.integers(1, 30), max_size=12)), st.integers(1, 12), runs)
def test_nothing_is_forgotten_within_the_horizon_whatever_is_saved_and_restored(
    envelopes: list[list[int]], horizon: int, run: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "RUN", run)
        _nothing_is_forgotten(envelopes, horizon)


def _nothing_is_forgotten(envelopes: list[list[int]], horizon: int) -> None:
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


@given(
    st.lists(st.lists(st.integers(1, 90), max_size=9)),
    st.integers(1, 60),
    st.integers(1, 5),
    runs,
)
def test_a_restored_memory_answers_as_the_one_that_was_never_lost(
    envelopes: list[list[int]], horizon: int, every: int, run: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent, "RUN", run)
        _restored_answers_alike(envelopes, horizon, every)


def _restored_answers_alike(envelopes: list[list[int]], horizon: int, every: int) -> None:
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


def test_an_open_generation_answers_from_its_runs() -> None:
    """Hundreds of envelopes, so that runs are merged; no generation is full."""
    ids = RecentIds(GENERATIONS * 5 * RUN)
    told = [digest("app", str(n)) for n in range(4 * RUN + 100)]
    for begin in range(0, len(told), 500):
        assert all(envelope(ids, told[begin : begin + 500]))
    assert (len(ids), ids.closed) == (len(told), {})
    assert not any(envelope(ids, told[::7]))
    assert envelope(ids, [digest("web", "0"), told[0]]) == [True, False]


@pytest.mark.parametrize("horizon", [2_000, HORIZON])
@pytest.mark.parametrize("saved_every", [None, 100_000])
def test_memory_stays_within_32_bytes_per_id_of_the_horizon_and_2_mb(
    horizon: int, saved_every: int | None
) -> None:
    ids, numbers, more = RecentIds(horizon), iter(range(1, 1 << 40)), horizon * 13 // 10
    tracemalloc.start()
    try:
        for added in range(0, more, 500):
            # Odd multiples of a large number are spread over all 64 bits, each once.
            envelope(ids, [n * 0x9E3779B97F4A7C15 % 2**64 for n in islice(numbers, 500)])
            if saved_every is not None and added % saved_every == 0:
                list(ids.changes())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(ids) >= horizon
    assert peak < 32 * horizon + 2_000_000
