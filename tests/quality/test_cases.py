import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.quality import cases, folder, silence, sources, tickets
from tests.quality.injecting import DROPS, clairvoyance, inject, steady_weeks
from tests.quality.sources import History


@pytest.fixture(scope="module")
def made() -> list[cases.Case]:
    return cases.make()


def test_the_same_seed_makes_the_same_cases(made: list[cases.Case]) -> None:
    # As the recipe makes them; another version of numpy or of `holidays` may change them.
    digest = 0
    for case in made:
        digest = zlib.crc32(
            f"{case[:9]}{case.start}".encode(), zlib.crc32(case.counts.tobytes(), digest)
        )
    assert (len(made), digest) == (1896, 65181421)


def test_cases_come_back_from_disk(made: list[cases.Case], tmp_path: Path) -> None:
    some = [*made[:12], *made[-6:]]
    folder.write(some, tmp_path)
    for case, read in zip(some, folder.load(tmp_path), strict=True):
        np.testing.assert_array_equal(read.counts, case.counts)
        assert read[:9] == case[:9]
        assert read[10:13] == case[10:13]
        np.testing.assert_equal(read.z_oracle, case.z_oracle)


def test_most_of_a_drawn_fleet_is_healthy_and_every_change_is_among_the_rest(
    made: list[cases.Case],
) -> None:
    drawn = [case.scenario for case in made if case.tier == "A"]
    assert drawn.count("control") / len(drawn) == 5 / 8
    assert set(DROPS) < set(drawn)


def test_a_real_account_changes_in_one_of_its_four_fleets_at_most(made: list[cases.Case]) -> None:
    changed: dict[str, int] = {}
    for case in made:
        if case.tier == "B":
            key = f"{case.source}{case.source_account}"
            changed[key] = changed.get(key, 0) + (case.scenario != "control")
    assert set(changed.values()) <= {0, 1}


def test_a_step_takes_its_share_from_its_day_on() -> None:
    counts = np.full(200, 1000)
    fallen, onset, end = inject(np.random.default_rng(1), counts, "step30", 100, lumpy=False)
    assert (onset, end, fallen[:100].tolist()) == (100, 200, [1000] * 100)
    assert fallen[100:].mean() == pytest.approx(700, abs=5)


def test_an_unknown_scenario_is_refused() -> None:
    with pytest.raises(KeyError, match="step99"):
        inject(np.random.default_rng(1), np.zeros(10, dtype=np.int64), "step99", 1, lumpy=False)


def test_what_a_clairvoyant_sees_of_a_step() -> None:
    # weeks of 60 and 80: mean 70, standard deviation 10.954 over four; .5 * 8 * 70 / (it * root 8)
    weeks = np.array([[60, 0, 0, 0, 0, 0, 0], [80, 0, 0, 0, 0, 0, 0]] * 2)
    assert clairvoyance("step50", weeks) == pytest.approx(280 / (133.3333**0.5 * 8**0.5))
    assert np.isnan(clairvoyance("control", weeks))


def test_too_short_a_history_has_no_steady_weeks() -> None:
    short = History("hotel", "a", cases.FIRST, np.full(55, 3))
    assert steady_weeks(short) is None


def test_each_source_is_read() -> None:
    found = {one.source for one in sources.histories()}
    assert found == {"fhv", "retail", "hotel", "station", "contrib"}


def test_tickets_and_silent_lives_are_as_the_benchmarks_make_them() -> None:
    located = tickets.make()
    assert (len(located), sum(int(case.counts.sum()) for case in located)) == (174, 45359)
    gaps = silence.gaps(silence.lives())
    assert (len(gaps), sum(gap.gone for gap in gaps)) == (12451, 338)
