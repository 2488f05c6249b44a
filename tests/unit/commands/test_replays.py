"""What was replayed: none twice, none left out, whatever is chosen, cut off and gone on with."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.commands import replays
from services.commands.replays import Part, Replays, Run

PARTITIONS = 2


def replayed(record: Replays, *offsets: int) -> Replays:
    """Replay some of the offsets 0 to 9 of partition 0, to the end."""
    tracks = replays.tracks(record, {0: offsets[0]})
    begun = replays.begin(record, tracks, {0: offsets}, 7)
    return replays.finish(begun, {0: range(offsets[0], 10)}, {0: offsets[0]})


def test_what_goes_on_stays_on_its_track_and_what_goes_back_gets_another() -> None:
    record = replayed(replayed(Replays(), 5, 6), 9)
    assert record.parts == {0: Part((9,), ((5, 6), (9, 9)))}

    record = replayed(record, 2)
    assert record.parts == {0: Part((9, 2), ((2, 2), (5, 6), (9, 9)))}
    # The second track is free from 3 on, the first from 10 on.
    assert replays.tracks(record, {0: 3}) == {0: 1}
    assert replays.tracks(record, {0: 10}) == {0: 0}
    assert replays.tracks(record, {0: 1, 1: 1}) == {0: 2, 1: 0}


def test_a_run_is_kept_until_it_has_ended() -> None:
    begun = replays.begin(Replays(), {0: 0, 1: 0}, {0: [3, 4], 1: [8]}, 7)

    assert begun.open == Run(7, {0: 0, 1: 0}, {0: [3, 4], 1: [8]})
    assert begun.open.size == 3
    assert replays.read(replays.write(begun)) == begun
    assert replays.finish(begun, {}, {0: 3, 1: 8}).open is None


@pytest.mark.parametrize(
    "kept, spans",
    [
        ([1, 4], ((1, 4),)),  # 2 and 3 are a transaction's: no refusal lies between
        ([1, 3, 4], ((1, 1), (4, 4))),  # 3 was not replayed
        ([4], ((1, 1), (4, 4))),  # read from 4 on: nobody knows what lies before
    ],
)
def test_spans_become_one_where_no_refusal_lies_between(
    kept: list[int], spans: tuple[tuple[int, int], ...]
) -> None:
    begun = replays.begin(Replays(), {0: 0}, {0: [1, 4]}, 7)
    assert replays.finish(begun, {0: kept}, {0: kept[0]}).parts[0].done == spans


def test_what_has_expired_is_forgotten_but_for_the_tracks() -> None:
    record = Replays(parts={0: Part((9,), ((1, 3), (5, 9)))})

    assert replays.forget(record, {0: 4}, {0: 12}).parts == {0: Part((9,), ((5, 9),))}
    # The topic ends before what was replayed: it was created anew, and nothing of it was.
    assert replays.forget(record, {0: 0}, {0: 9}).parts == {0: Part((9,), ())}


def test_a_record_of_another_version_is_refused() -> None:
    with pytest.raises(ValueError, match="is of version 2, this code reads 1"):
        replays.read(replays.write(Replays(v=2)))


class Model(RuleBasedStateMachine):
    """Refusals come and expire; replays choose some, and are cut off at any point."""

    def __init__(self) -> None:
        super().__init__()
        self.record = replays.write(Replays())
        self.kept: dict[int, list[int]] = {number: [] for number in range(PARTITIONS)}
        self.ends = dict.fromkeys(range(PARTITIONS), 0)
        self.detector: dict[tuple[int, int], int] = {}
        self.counted: Counter[tuple[int, int]] = Counter()
        self.promised: set[tuple[int, int]] = set()

    @rule(number=st.integers(0, PARTITIONS - 1), gap=st.integers(0, 2), many=st.integers(1, 4))
    def refuse(self, number: int, gap: int, many: int) -> None:
        begin = self.ends[number] + gap
        self.kept[number] += range(begin, begin + many)
        self.ends[number] = begin + many

    @rule(number=st.integers(0, PARTITIONS - 1), many=st.integers(1, 3))
    def expire(self, number: int, many: int) -> None:
        del self.kept[number][:many]

    @rule(
        since=st.integers(0, 20),
        wanted=st.sets(st.integers(0, 2), min_size=1),
        cut=st.sampled_from(["begun", "sent some", "sent", "never", "never"]),
        late=st.booleans(),
    )
    def replay(self, since: int, wanted: set[int], cut: str, late: bool) -> None:
        self._replay(since, wanted, cut, late)

    @rule()
    def go_on(self) -> None:
        run = self._open()
        if run is not None:
            self._finish(run, 0)

    @invariant()
    def nothing_counts_twice(self) -> None:
        assert set(self.counted.values()) <= {1}
        assert set(self.counted) <= self.promised

    def teardown(self) -> None:
        """In the end everything that has not expired is sent, half of it each time."""
        self.go_on()
        rounds = 0
        while self._replay(0, {0, 1, 2}, "never", False):
            rounds += 1
            assert rounds < 30, "what was replayed is replayed again"
        left = {(n, o) for n, some in self.kept.items() for o in some} - set(self.counted)
        assert left == set()

    def _replay(self, since: int, wanted: set[int], cut: str, late: bool) -> bool:
        """Replay some; return whether there was anything to send."""
        before = self._open()
        if before is not None:
            self._finish(before, 0)
        record = replays.read(self.record)
        begins = {
            n: next((o for o in some if o >= since), self.ends[n]) for n, some in self.kept.items()
        }
        record = replays.forget(record, self._starts(), self.ends)
        chosen = {
            n: [o for o in some if o >= since and o % 3 in wanted and not record.done(n, o)]
            for n, some in self.kept.items()
        }
        offsets = {n: some for n, some in chosen.items() if some}
        if not offsets:
            return False
        tracks = replays.tracks(record, {n: some[0] for n, some in offsets.items()})
        # Some of what was chosen is refused again: only the rest is noted, and sent.
        sendable = {n: some[::2] for n, some in offsets.items()}
        self.record = replays.write(replays.begin(record, tracks, sendable, 7))
        self.promised |= {(n, o) for n, some in sendable.items() for o in some}
        run = self._open()
        assert run is not None
        if cut == "never":
            self._finish(run, since, begins)
        elif cut != "begun":
            self._send(run, half=cut == "sent some")
        if late:
            # Whoever was frozen goes on later: it counts nothing, and its note is refused.
            self._send(run)
        return True

    def _open(self) -> Run | None:
        return replays.read(self.record).open

    def _starts(self) -> dict[int, int]:
        return {n: some[0] if some else self.ends[n] for n, some in self.kept.items()}

    def _send(self, run: Run, *, half: bool = False) -> None:
        for number, offsets in run.offsets.items():
            there: Sequence[int] = [one for one in offsets if one in self.kept[number]]
            for offset in there[: len(there) // 2] if half else there:
                track = (run.tracks[number], number)
                if offset > self.detector.get(track, -1):
                    self.detector[track] = offset
                    self.counted[number, offset] += 1

    def _finish(self, run: Run, since: int, begins: dict[int, int] | None = None) -> None:
        self._send(run)
        kept = {n: [o for o in some if o >= since] for n, some in self.kept.items()}
        read_from = begins or self._starts()
        self.record = replays.write(replays.finish(replays.read(self.record), kept, read_from))


TestModel = Model.TestCase
