import numpy as np
import pytest
from numpy.testing import assert_allclose
from pydantic import ValidationError

from services.detector.primitives import baseline, fall
from services.detector.primitives.baseline import MetricParams
from services.detector.primitives.drop import weekly_swing
from tests.unit.detector.primitives.reference import Reference, account
from tests.unit.detector.primitives.stories import days, random_series, series


@pytest.mark.parametrize("seed", range(6))
def test_every_statistic_agrees_with_the_scalar_formulas(seed: int) -> None:
    _, batch = baseline.learned(random_series(seed, accounts=40))
    base, drift = baseline.measure(batch), baseline.drift(batch)
    usable = np.flatnonzero(baseline.tellable(base))
    assert len(usable) > 10
    for row in usable:
        reference = Reference(account(batch, int(row)))
        windows = [length for length in (28, 21) if reference.expected(length) > 0]
        ours = [
            base.total[row],
            base.days[row],
            base.dispersion[row],
            base.cap[row],
            base.patience[row],
            drift[row],
            baseline.swing(base)[row],
            fall.lead(base)[row],
            *(base.observed[length, row] for length in (7, 21, 28, 56)),
            *(base.expected[length, row] for length in (7, 21, 28, 56)),
            *(base.open_days[length, row] for length in (7, 21, 28, 56)),
            *(fall.below(1.0, *fall.posterior(base, drift, n))[row] for n in windows),
        ]
        theirs = [
            reference.bsum,
            len(reference.baseline),
            reference.phi,
            reference.cap,
            reference.q,
            reference.tau2,
            reference.d(),
            reference.lead(),
            *(reference.observed(length) for length in (7, 21, 28, 56)),
            *(reference.expected(length) for length in (7, 21, 28, 56)),
            *(len(reference.open_days(length)) for length in (7, 21, 28, 56)),
            *(reference.probability(length) for length in windows),
        ]
        assert_allclose(ours, theirs, rtol=1e-9, atol=1e-9)


def test_only_the_own_history_counts() -> None:
    # 112 known days of 10; what stands in the columns before them must not be seen
    alone = baseline.measure(series(days((112, 10))))
    hidden = baseline.measure(series(days((98, 999), (112, 10)), known=112))
    assert_allclose(hidden.total, alone.total)
    assert (alone.total[0], alone.days[0], alone.expected[28, 0]) == (840.0, 84.0, 280.0)


def test_a_weekday_that_was_always_masked_falls_back_to_the_mean_of_all() -> None:
    # every lag that is 2 modulo 7 is masked in the baseline: its weekday has no mean of its own
    base = baseline.measure(series(days((210, 10)), masked=range(30, 210, 7)))
    assert_allclose(base.usual[:, 0], [10.0] * 7)
    assert base.days[0] == 182 - 26


def test_the_weekly_swing_is_the_squared_deviation_that_noise_does_not_explain() -> None:
    # 6 / (4 + 26) = .2, so phi is its floor .5; O = 1400, E = 2800, B = 18200; ln(1400.5/2800.5)
    half = series(days((182, 100), (28, 50)))
    expected = np.log(1400.5 / 2800.5) ** 2 - 0.5 / 1400.25 - 0.5 / 18200.25
    assert_allclose(weekly_swing(half), [expected], rtol=1e-12)


def test_a_swing_is_undefined_for_a_young_account_and_for_a_masked_baseline() -> None:
    assert np.isnan(weekly_swing(series(days((111, 5)), days((60, 5))))).all()
    assert np.isnan(weekly_swing(series(days((210, 5)), masked=range(28, 210)))).all()


def test_drift_reads_the_swings_of_8_to_41_weeks_ago_and_clamps_their_sum() -> None:
    judged = series(days((210, 1)), days((210, 1)), days((210, 1)))
    swings = judged.swings
    swings[:] = 9.0
    swings[0, 8:] = np.nan  # nothing yet: the prior alone
    swings[1, 8:] = -1.0  # quieter than noise
    swings[2, 8:] = 0.04  # 34 weeks of +-20 %
    weight = 6 + 34 / 4
    expected = np.array([0.0025, 0.015 / weight, (0.015 + 34 * 0.04 / 4) / weight])
    assert_allclose(baseline.drift(judged), expected, rtol=1e-12)


def test_states_say_why_an_account_cannot_be_judged() -> None:
    judged = series(
        days((210, 100)),
        days((111, 100)),
        days((210, 0.25)),  # 7 expected in 28 days
        days((27, 0), (1, 30)) * 8,  # 30 at once every four weeks: no drop could be seen
        [],
    )
    told = ["ok", "warming_up", "too_little_volume", "too_little_volume", "warming_up"]
    assert baseline.states(judged).tolist() == told


def test_states_wait_out_a_long_holiday() -> None:
    account_ = days((210, 100))
    assert baseline.states(series(account_, masked=range(3, 17))).tolist() == ["ok"]
    assert baseline.states(series(account_, masked=range(3, 18))).tolist() == ["holiday"]
    assert baseline.states(series(account_, masked=range(40, 200))).tolist() == ["warming_up"]


def test_the_smallest_drop_is_what_can_be_seen_but_no_less_than_is_told_at_all() -> None:
    # phi = .5, tau2 = .0025; 1 a day: v = .5/28.25 + .5/182.25, 1 - exp(-2.9 sqrt(v + tau2)) = .356
    # 10,000 a day: .135, and a fall by less than 15 % is told by nobody
    judged = series(days((210, 1)), days((210, 10_000)), days((111, 100)), days((210, 0)))
    assert baseline.smallest_drops(judged).tolist() == [36, 15, 0, 0]


def test_a_flag_that_nobody_can_set_is_refused_with_those_that_exist() -> None:
    assert MetricParams(metric="@core").metric == "@core"
    with pytest.raises(ValidationError, match="'@cores' is no flag: use one of @meaningful, @core"):
        MetricParams(metric="@cores")
