"""What is left of single features, beside a fall of all usage (detection.md §6)."""

from typing import Any

from services.detector.primitives import baseline, record
from services.detector.primitives.arrays import settled
from services.detector.primitives.baseline import LAG
from services.detector.primitives.day import Series

WORSE_RATIO = 0.85
"""Ratio at or below which a feature has fallen (detection.md §1.6)."""


def fallen(old: Series) -> list[dict[str, Any]]:
    """Return of each feature what is left of it in 28 days, nothing where it has not fallen.

    Args:
        old: Features that have a baseline.
    """
    base = baseline.measure(old)
    ratio = settled(base.ratio(LAG))
    low = baseline.tellable(base) & (ratio <= WORSE_RATIO)
    return [
        {
            "observed": record.plain(base.observed[LAG, i]),
            "expected": record.plain(base.expected[LAG, i]),
            "ratio": record.plain(ratio[i]),
        }
        if low[i]
        else {}
        for i in range(len(ratio))
    ]
