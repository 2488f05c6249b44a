"""Alerts against the truth of the cases: false alarms, recall, delay, nuisance.

Rules, the same for every detector:

* The first 84 days of a case are warm-up and do not count.
* Alerts of one account less than 28 days after the last form one episode; episodes are counted.
* A drop or silence is found if an alert comes between its onset and 56 days after it is complete.
* An episode in a case without a change, or before the onset of one, is a false alarm.
* A dip, Christmas or spike recovers by itself: an alert within 56 days of its begin is a nuisance.
* Detectable is what a clairvoyant would see with four standard deviations; the rest is noise.
* Alarms on real histories last if the next 28 days stay at or below 85 % of the eight weeks before
  the window, and 90 % after division by the same ratio of the year before, where there is one.
"""

import csv
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from tests.quality.cases import Case
from tests.quality.injecting import CONTROL, DROPS, HARMLESS, RAMPS
from tests.quality.sources import Ints

WARM_UP, EPISODE, CREDIT = 84, 28, 56
MONTH: Final = 30.44
DETECTABLE: Final = 4.0
RESAMPLES: Final = 300
NOTHING: Final = float("nan")


class Alert(NamedTuple):
    """What a detector said: of whom, when (the judged day), and what."""

    account: str
    on: date
    kind: str


class Scored(NamedTuple):
    """How a detector did on one case.

    Attributes:
        case: The case.
        false: False alarms, in episodes.
        months: In which a false alarm could have come.
        found: Whether the drop was found; None where there was none.
        delay: Days from onset to the first alert; None where none came.
        nuisance: Whether it fired on what recovers; None where nothing of the kind happened.
        lasting: Of the false alarms on a real history, how many lasted.
        judged: How many could be judged by what came after.
    """

    case: Case
    false: int
    months: float
    found: bool | None
    delay: int | None
    nuisance: bool | None
    lasting: int
    judged: int


def read_alerts(path: Path) -> list[Alert]:
    """Return the alerts of a CSV file with account_id, fired_at and kind."""
    with path.open(newline="", encoding="utf-8") as lines:
        return [
            Alert(row["account_id"], date.fromisoformat(row["fired_at"][:10]), row["kind"])
            for row in csv.DictReader(lines)
        ]


def episodes(days: Iterable[int]) -> list[int]:
    """Return the days on which an episode begins.

    >>> episodes([100, 120, 147, 176])
    [100, 176]
    """
    begun: list[int] = []
    last = -EPISODE
    for day in days:
        if day - last >= EPISODE:
            begun.append(day)
        last = day
    return begun


def score(
    cases: Sequence[Case], alerts: Iterable[Alert], kinds: Sequence[str] = ("usage_drop",)
) -> dict[str, float]:
    """Return the figures of a detector.

    Args:
        cases: All cases.
        alerts: What it said; other accounts and kinds are left out.
        kinds: Kinds that say that an account falls.

    Returns:
        By name: rates per 100 account-months, shares in 0..1, delays in days; NaN where there was
        nothing to measure.
    """
    fired: dict[str, list[date]] = defaultdict(list)
    for alert in alerts:
        if alert.kind in kinds:
            fired[alert.account].append(alert.on)
    return _figures([judge(case, fired.get(case.account_id, ())) for case in cases if case.scored])


def judge(case: Case, fired: Iterable[date]) -> Scored:
    """Return how a detector did on one case.

    Args:
        case: The case.
        fired: Days on which it said that the account falls, in any order.
    """
    days = sorted(d for on in fired if (d := (on - case.start).days) >= WARM_UP)
    # What was done to an account ends the time in which an alert is false, also what is harmless.
    changes = case.scenario in (*DROPS, *HARMLESS, "growth50")
    limit = case.onset if changes else len(case.counts)
    false = [day for day in episodes(days) if day < limit]
    found, delay = None, None
    if case.scenario in DROPS and case.onset >= WARM_UP:
        last = case.onset + RAMPS.get(case.scenario, (0.0, 0))[1] + CREDIT
        hits = [day for day in days if case.onset <= day <= last]
        found, delay = bool(hits), hits[0] - case.onset if hits else None
    nuisance = None
    if case.scenario in (*HARMLESS, "growth50"):
        nuisance = any(case.onset <= day <= case.onset + CREDIT for day in days)
    real = case.tier == "B" and case.scenario == CONTROL
    lasted = [lasts(case.counts, day) for day in false] if real else []
    told = [one for one in lasted if one is not None]
    months = max(0, limit - WARM_UP) / MONTH
    return Scored(case, len(false), months, found, delay, nuisance, sum(told), len(told))


def lasts(counts: Ints, day: int) -> bool | None:
    """Tell whether the four weeks after an alarm stayed low; None where they are not all known.

    Args:
        counts: Shape (days,).
        day: The day of the alarm.
    """
    if day + 29 > len(counts) or day < WARM_UP:
        return None
    before, after = counts[day - 83 : day - 27].mean(), counts[day + 1 : day + 29].mean()
    if before <= 0:
        return None
    ratio = after / before
    low = ratio <= 0.85
    if day - 83 - 364 >= 0 and (base := counts[day - 447 : day - 391].mean()) > 0:
        ago = counts[day - 363 : day - 335].mean() / base
        low = low and ratio / max(ago, 0.05) <= 0.90
    return bool(low)


def _figures(scored: Sequence[Scored]) -> dict[str, float]:
    drawn = [one for one in scored if one.case.tier == "A"]
    real = [one for one in scored if one.case.tier == "B"]
    calm = [one for one in drawn if one.case.scenario != "growth50"]
    drops = [one for one in drawn if one.case.scenario in DROPS]
    seen = [one for one in drops if one.case.z_oracle >= DETECTABLE]
    untouched = [one for one in real if one.case.scenario == CONTROL]
    judged = sum(one.judged for one in untouched)
    low, high = _interval(calm)
    recall = _mean([_found(_of(drops, shape)) for shape in DROPS])
    rate = _rate(calm)
    return {
        "false_alarms": rate,
        "false_alarms_from": low,
        "false_alarms_to": high,
        "account_months": sum(one.months for one in calm),
        **{f"false_alarms.{s}": _rate(_busy(calm, s)) for s in ("low", "mid", "high")},
        "recall_detectable": _found(seen),
        "detectable": float(len(seen)),
        "delay_detectable": _delay(seen),
        "recall": recall,
        "delay": _delay(drops),
        **{f"recall.{shape}": _found(_of(drops, shape)) for shape in DROPS},
        **{f"delay.{shape}": _delay(_of(drops, shape)) for shape in DROPS},
        **{f"nuisance.{shape}": _nuisance(_of(drawn, shape)) for shape in HARMLESS},
        "precision": recall / (recall + rate) if recall + rate else NOTHING,
        "raw_alarms": _rate(untouched),
        "raw_lasting": sum(one.lasting for one in untouched) / judged if judged else NOTHING,
        "raw_judged": float(judged),
        **_by_source(untouched),
        "raw_recall": _found([one for one in real if one.case.scenario in DROPS]),
    }


def _of(scored: Sequence[Scored], scenario: str) -> list[Scored]:
    return [one for one in scored if one.case.scenario == scenario]


def _busy(scored: Sequence[Scored], stratum: str) -> list[Scored]:
    return [one for one in scored if one.case.stratum == stratum]


def _rate(scored: Iterable[Scored]) -> float:
    """Return false alarms per 100 account-months."""
    false, months = 0, 0.0
    for one in scored:
        false, months = false + one.false, months + one.months
    return 100 * false / max(months, 1e-9)


def _by_source(scored: Sequence[Scored]) -> dict[str, float]:
    sources = sorted({one.case.source for one in scored})
    return {
        f"raw_alarms.{name}": _rate(one for one in scored if one.case.source == name)
        for name in sources
    }


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not np.isnan(value)]
    return sum(known) / len(known) if known else NOTHING


def _found(scored: Iterable[Scored]) -> float:
    return _mean([float(one.found) for one in scored if one.found is not None])


def _nuisance(scored: Iterable[Scored]) -> float:
    return _mean([float(one.nuisance) for one in scored if one.nuisance is not None])


def _delay(scored: Iterable[Scored]) -> float:
    days = [one.delay for one in scored if one.delay is not None]
    return float(np.median(days)) if days else NOTHING


def _interval(scored: Sequence[Scored]) -> tuple[float, float]:
    """Return the 95 % range of the rate of false alarms, accounts drawn anew."""
    sums: Mapping[tuple[str, str], list[float]] = defaultdict(lambda: [0.0, 0.0])
    for one in scored:
        entry = sums[one.case.source, one.case.source_account]
        entry[0] += one.false
        entry[1] += one.months
    table = np.array([sums[name] for name in sorted(sums)])
    chance = np.random.default_rng(1)
    rates = []
    for _ in range(RESAMPLES):
        false, months = table[chance.integers(len(table), size=len(table))].sum(axis=0)
        rates.append(100 * false / months)
    return float(np.percentile(rates, 2.5)), float(np.percentile(rates, 97.5))


def day_of(case: Case, index: int) -> date:
    """Return the date of a day of a case."""
    return case.start + timedelta(days=index)
