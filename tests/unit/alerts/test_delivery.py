import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.alerts.delivery import SCHEDULE, next_attempt
from tests.unit.alerts import builders as a

NOW = a.at(0)
DAY = 86_400.0


@pytest.mark.parametrize(
    "attempt, jitter, scale, retry_after, seconds",
    [
        (1, 0.0, 1.0, None, 5),
        (2, 0.0, 1.0, None, 300),
        (3, 0.0, 1.0, None, 1_800),
        (4, 0.0, 1.0, None, 7_200),
        (5, 0.0, 1.0, None, 18_000),
        (6, 0.0, 1.0, None, 36_000),
        (7, 0.0, 1.0, None, 50_400),
        (8, 0.0, 1.0, None, 72_000),
        (9, 0.0, 1.0, None, 86_400),
        (10, 0.0, 1.0, None, None),
        (11, 0.0, 1.0, 5.0, None),
        (1, 0.5, 1.0, None, 5.5),  # half of a fifth of 5 s on top
        (2, 0.5, 0.01, None, 3.3),  # 300 s x 0.01 x 1.1
        (1, 0.0, 1.0, 60.0, 60),
        (2, 0.0, 1.0, 60.0, 300),  # never sooner than the schedule
        (1, 0.0, 0.01, 60.0, 60),  # what the receiver asks for is not scaled
        (1, 0.0, 1.0, 10 * DAY, DAY),
        (1, 0.0, 1.0, math.inf, DAY),
        (9, 0.5, 1.0, 10 * DAY, 95_040),  # a day and a tenth: the schedule's own wait is longer
        (1, 0.0, 1.0, -3.0, 5),
        (1, 0.0, 1.0, math.nan, 5),
    ],
)
def test_when_it_is_tried_again(
    attempt: int, jitter: float, scale: float, retry_after: float | None, seconds: float | None
) -> None:
    found = next_attempt(attempt, NOW, jitter, scale, retry_after)
    assert found == (None if seconds is None else NOW + timedelta(seconds=seconds))


@given(
    st.integers(1, len(SCHEDULE) - 1),
    st.floats(0, 1, exclude_max=True),
    st.none() | st.floats(allow_nan=True),
)
def test_it_is_never_sooner_than_the_schedule_nor_later_than_a_fifth_more_than_a_day(
    attempt: int, jitter: float, retry_after: float | None
) -> None:
    found = next_attempt(attempt, NOW, jitter, 1.0, retry_after)
    assert found is not None
    assert SCHEDULE[attempt] <= found - NOW <= timedelta(days=1.2)
