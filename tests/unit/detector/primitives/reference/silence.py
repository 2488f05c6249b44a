"""`silence` for one account, written from detection.md §3 as developed, one number at a time."""

import math

from tests.unit.detector.primitives.reference.account import Account

SIGHT = 210


def days_active(one: Account) -> list[int]:
    return [d for d in sorted(one.counts) if d > one.t - SIGHT and one.counts[d] > 0]


def rhythm_limit(one: Account, life: int = 0) -> float:
    """Return the unrounded limit for a pace of 20; `life`: active days ever, if more are known."""
    active = days_active(one)
    last = active[-1]
    q = len([d for d in active if d > last - 56]) / 56
    first = max(min(one.counts), one.t - SIGHT + 1)
    known = math.ceil((last - first + 1) / 7)
    in_sight = (last - (one.t - SIGHT)) // 7
    weeks = max(1, min(26, known, in_sight))
    busy = len({(last - d) // 7 for d in active if (last - d) // 7 < weeks})
    doubt = 1 + 8 / max(life, len(active))
    return 20 / math.sqrt(max(q, 0.35)) * math.pow(weeks / busy, 0.3) * doubt


def silence(one: Account, life: int = 0) -> tuple[bool, bool]:
    """Return whether it can be told, and whether it fires."""
    active = days_active(one)
    if not active or max(life, len(active)) < 5 or one.t in one.masked:
        return False, False
    limit = min(150.0, max(5.0, rhythm_limit(one, life)))
    q = len([d for d in active if d > active[-1] - 56]) / 56
    silent = [d for d in range(active[-1] + 1, one.t + 1) if q < 0.35 or d not in one.masked]
    return True, len(silent) >= round(limit, 9)
