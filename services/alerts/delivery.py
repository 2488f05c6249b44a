"""What follows an attempt to deliver: the next one, or nothing any more. Pure."""

import math
from datetime import datetime, timedelta

SCHEDULE = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Wait before each attempt, counted from the end of the one before: ten attempts, some three days.

Source: formats.md, Webhook retries, after the schedule that Standard Webhooks recommends.
"""

JITTER_SHARE = 0.2
"""At most so much of a wait is added by chance: who failed together does not come back together."""

RETRY_AFTER_LIMIT = timedelta(days=1)
"""The longest wait that a receiver may ask for."""


def next_attempt(
    attempt: int,
    now: datetime,
    jitter: float,
    scale: float = 1.0,
    retry_after: float | None = None,
) -> datetime | None:
    """Return when to try again after a failed attempt.

    Args:
        attempt: The one that has just failed, from 1 on.
        now: When it failed, aware.
        jitter: Chance, 0 <= jitter < 1.
        scale: Factor on the schedule, 0 < scale <= 1, so that tests need not wait.
        retry_after: Seconds that the receiver asked for; it may make a wait longer, never shorter,
            is not scaled, and counts as a day at most. What is no positive number is passed over.

    Returns:
        The instant, or None if this attempt was the last one.
    """
    if attempt >= len(SCHEDULE):
        return None
    wait = SCHEDULE[attempt] * scale * (1 + JITTER_SHARE * jitter)
    if retry_after is not None and not math.isnan(retry_after):
        limit = RETRY_AFTER_LIMIT.total_seconds()
        wait = max(wait, timedelta(seconds=min(max(retry_after, 0.0), limit)))
    return now + wait
