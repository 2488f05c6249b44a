import numpy as np
import pytest

from services.detector.primitives.record import interval90


@pytest.mark.parametrize(
    "a, b, odds, ends",
    [
        # 8 of 8 expected, of a baseline of 800: quantiles of scipy.stats.betaprime, over the odds
        (8.5, 800.5, 0.01, [0.54058, 1.729895]),
        # next to nothing was counted in the baseline: any ratio above the lower end may be
        (20.5, 1e-9, 0.01, [None, None]),
        # nothing is usual: there is no ratio
        (0.5, 0.501, 0.0, [None, None]),
    ],
)
def test_an_interval_has_an_end_only_where_there_is_a_number_to_tell(
    a: float, b: float, odds: float, ends: list[float | None]
) -> None:
    assert interval90(*(np.array([one]) for one in (a, b, odds))) == ends
