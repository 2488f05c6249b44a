"""Accounts told in a line: stretches of equal days, oldest first, ending with the judged day.

And what a primitive says of them, in a word or whole.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from schemas.alerts import SEVERITIES
from services.detector.primitives.day import SWING_WEEKS, Bools, Series, Verdicts

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
        known=np.array(lengths if known is None else [known] * len(accounts), dtype=np.int64),
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


def sparse_series(seed: int, accounts: int = 40) -> Series:
    """Return random accounts with few events, many of them with a spike at the end."""
    judged, rng = random_series(seed, accounts), np.random.default_rng(seed)
    shape = accounts, WIDTH
    level = rng.choice([0.02, 0.1, 0.5, 3.0], (accounts, 1)) * rng.gamma(1.0, 1.0, shape)
    counts = rng.poisson(level).astype(np.float64)
    counts[:, -rng.integers(1, 8) :] += rng.integers(0, 4, (accounts, 1))
    return replace(judged, counts=np.where(_known(judged), counts, 0.0), memo={})


def random_seats(seed: int, accounts: int = 60) -> Series:
    """Return accounts of all sizes whose people and seats change now and then."""
    rng, base = np.random.default_rng(seed), random_series(seed, accounts)
    bought = rng.integers(0, 30, (accounts, 1)).astype(float) * np.ones((1, WIDTH))
    for row in range(0, accounts, 3):
        bought[row, -rng.integers(1, 60) :] = rng.integers(0, 40)
    level = bought[:, -1:] * rng.choice([0.3, 0.58, 0.62, 0.66, 0.7, 0.83, 0.92], (accounts, 1))
    people = np.rint(level + rng.normal(0, 1.5, (accounts, WIDTH))).clip(0)
    whole = replace(base, counts=bought, memo={})
    return replace(base, counts=np.where(_known(base), people, 0.0), whole=whole, memo={})


def random_features(seed: int, accounts: int) -> Series:
    """Return random features beside the usage of their accounts."""
    features, usage = random_series(seed, accounts), random_series(seed + 1, accounts)
    return replace(features, whole=replace(usage, day=features.day), memo={})


def _known(judged: Series) -> Bools:
    known: Bools = np.arange(WIDTH) >= WIDTH - judged.known[:, np.newaxis]
    return known


def word(said: Verdicts, row: int = 0) -> str:
    """Return one row in a word: its severity if it fires, else what is said."""
    fires, clears, told = (bool(one[row]) for one in (said.fires, said.clears, said.told))
    assert not (fires and clears)
    if not told:
        assert not fires
        assert not clears
        return "cannot tell"
    if fires:
        return SEVERITIES[int(said.severity[row])]
    return "clears" if clears else "quiet"


def everything(said: Verdicts) -> list[Any]:
    """Return all that is said of every row, the evidence as JSON; a severity only where it fires.

    Raises:
        ValueError: A number is none that JSON knows.
    """
    severity = np.where(said.fires, said.severity, 0)
    columns = np.stack([said.fires, said.clears, said.told, severity], axis=1).tolist()
    ratios = np.full(len(columns), np.nan) if said.ratio is None else said.ratio
    return [
        [*row, repr(float(ratio)), json.dumps(said.because(place), allow_nan=False)]
        for place, (row, ratio) in enumerate(zip(columns, ratios, strict=True))
    ]
