"""Accounts told in a line: stretches of equal days, oldest first, ending with the judged day."""

from collections.abc import Iterable, Sequence

import numpy as np

from services.detector.primitives.day import SWING_WEEKS, Series

DAY = 20_589
"""2026-05-16, a Saturday."""
WIDTH = 210


def days(*stretches: tuple[int, float]) -> list[float]:
    """Return (how many days, count of each) as daily counts."""
    return [each for length, each in stretches for _ in range(length)]


def series(
    *accounts: Sequence[float],
    masked: Iterable[int] = (),
    known: int | None = None,
    swing: float = np.nan,
    width: int = WIDTH,
    active: int = 0,
) -> Series:
    """Return accounts as a `Series`; `masked` holds lags, and a longer account loses its start.

    `active` counts active days that may have left the columns.
    """
    counts, mask = np.zeros((len(accounts), width)), np.zeros((len(accounts), width), dtype=bool)
    lengths = [min(width, len(account)) for account in accounts]
    for row, (account, length) in enumerate(zip(accounts, lengths, strict=True)):
        counts[row, width - length :] = account[len(account) - length :]
    mask[:, [width - 1 - lag for lag in masked]] = True
    return Series(
        day=DAY,
        counts=counts,
        masked=mask,
        known=np.array(lengths if known is None else [known] * len(accounts)),
        swings=np.full((len(accounts), SWING_WEEKS), swing),
        active=np.full(len(accounts), active),
    )


def random_series(seed: int, accounts: int, width: int = WIDTH) -> Series:
    """Return accounts of all volumes, rhythms, ages, holidays and swings, many of them falling."""
    rng = np.random.default_rng(seed)
    level = rng.lognormal(1.5, 1.6, accounts)[:, np.newaxis]
    weekday = rng.gamma(2.0, 0.5, (accounts, 7))[:, np.arange(width) % 7]
    onset = width - rng.integers(0, 70, accounts)[:, np.newaxis]
    left = rng.choice([0.0, 0.05, 0.4, 0.7, 1.0], accounts)[:, np.newaxis]
    shape = np.where(np.arange(width) >= onset, left, 1.0)
    counts = rng.poisson(level * weekday * shape * rng.gamma(5.0, 0.2, (accounts, width)))
    known = rng.choice([5, 60, 111, 112, 120, 160, 203, width, width], accounts)
    unknown = np.arange(width) < width - known[:, np.newaxis]
    swings = rng.normal(0.003, 0.01, (accounts, SWING_WEEKS))
    swings[rng.random(swings.shape) < 0.2] = np.nan
    return Series(
        day=DAY + int(rng.integers(0, 7)),
        counts=np.where(unknown, 0.0, counts / rng.choice([1.0, 1000.0], (accounts, 1))),
        masked=rng.random((accounts, width)) < rng.choice([0, 0.05, 0.4], accounts)[:, np.newaxis],
        known=known,
        swings=swings,
        active=np.zeros(accounts, dtype=np.int64),
    )
