"""Tracked features as the arrays that primitives judge: their rows, their totals, their number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from services.detector import evidence, products
from services.detector.facts.buckets import FEATURE
from services.detector.families import Asked
from services.detector.primitives import baseline, record, regularity, worst
from services.detector.primitives.arrays import settled
from services.detector.primitives.day import Bools, Series
from services.detector.primitives.open_days import reaches
from services.detector.primitives.regularity import REACH_DAYS, USED_DAYS
from services.detector.rules import CORE_FEATURES, FEATURES, RuleSet
from services.detector.subject import Account
from services.detector.window import COMBINED, MEANINGFUL, Row, Window, combined_rows

WORST = 3
"""Features that the evidence of a fall names."""

_Kept = Mapping[str, tuple[str, ...]]


def rows(accounts: Iterable[Account], asked: Asked, /) -> list[Row]:
    """Return one row per account and feature, or one per account for `@core_features`.

    Args:
        accounts: Accounts to look at; one without such a feature has no row.
        asked: `@features` or `@core_features`; the rules name the tracked features.

    Source:
        signals.md C26 (what we change ourselves), detection.md §1.6.
    """
    features = _kept(asked)
    found = [
        _row(account, FEATURE + feature, names)
        for account in accounts
        for feature, names in features.items()
    ]
    if asked.selector != CORE_FEATURES:
        return [row for row in found if row.names]
    together: dict[str, list[Row]] = {}
    for row in found:
        if row.names:
            together.setdefault(row.account.id, []).append(row)
    return [_joined(mine) for mine in together.values()]


def series(some: Sequence[Row], asked: Asked, day: int | None = None, /) -> Series:
    """Return the arrays of rows of `rows`.

    Args:
        some: Rows.
        asked: What they were asked with.
        day: The last day; the closing's unless an earlier one is judged again.
    """
    found = asked.window.series(some, day)
    if asked.selector == CORE_FEATURES:
        return _distinct(some, found, _kept(asked))
    begun = [products.begins(row.object.removeprefix(FEATURE), asked.changed) for row in some]
    ages = [found.day - one + 1 if one is not None else len(found.counts[0]) for one in begun]
    known = np.clip(np.minimum(found.known, np.array(ages, dtype=np.int64)), 0, None)
    counts = np.where(_days_known(known, found), found.counts, 0.0)
    return replace(found, counts=counts, known=known, whole=_whole(some, asked, day), memo={})


def still_taken(account: Account, object_: str, asked: Asked, /) -> bool:
    """Tell whether a feature, or any core one, is still tracked and there.

    Args:
        account: The account.
        object_: A feature's line, or `activity` for all core ones.
        asked: The selector.
    """
    if object_ == COMBINED:
        return bool(rows([account], asked))
    gone = products.is_gone(object_.removeprefix(FEATURE), asked.changed)
    return asked.rules.selects(asked.selector, object_) and not gone


def told(row: Row, window: Window, rules: RuleSet, kind: str) -> dict[str, Any]:
    """Return what the evidence of an alert says of the account's features beside its numbers.

    Args:
        row: What the alert is about.
        window: The days, and what is masked in them.
        rules: They name the tracked features.
        kind: Of the alert: a fall names the worst features, lost breadth those that are gone.
    """
    if rules.features and kind == "usage_drop":
        return {"features": fell_most(row, window, rules)}
    if kind != "breadth":
        return {}
    found = window.series([row])
    core = used(row, found, rules, window)
    (reach,) = reaches(found.masked, USED_DAYS, REACH_DAYS)[:, 0]
    return {"lost": lost(core, record.iso(found.day - int(reach) + 1)), "core_features": core}


def fell_most(row: Row, window: Window, rules: RuleSet) -> list[dict[str, Any]]:
    """Return the features of an account that fell most, beside what is usual, worst first.

    Each with the days that its numbers were computed from.

    Args:
        row: Any row of the account.
        window: The days, and what is masked in them.
        rules: They name the tracked features.
    """
    asked = Asked(rules, window, FEATURES)
    mine = rows([row.account], asked)
    if not mine:
        return []
    found = replace(series(mine, asked), whole=None, memo={})
    places, old = baseline.learned(found)
    if not len(places):
        return []
    numbers = worst.fallen(old)
    order = sorted((i for i, one in enumerate(numbers) if one), key=lambda i: _missing(numbers[i]))
    return [
        {
            "feature": mine[int(places[i])].object.removeprefix(FEATURE),
            **numbers[i],
            "metrics": list(mine[int(places[i])].names),
            "computed_from": evidence.computed_from(found, int(places[i])),
        }
        for i in order[:WORST]
    ]


def used(row: Row, found: Series, rules: RuleSet, window: Window) -> list[dict[str, Any]]:
    """Return the core features of an account: when each was used last, and whether it counts.

    Args:
        row: A row of `@core_features`.
        found: Its days, of all features together.
        rules: They name the tracked features.
        window: The days.
    """
    features = _kept(Asked(rules, window, CORE_FEATURES))
    days = _used(row, features, found)
    regular = regularity.use(days, found.masked[0], int(found.known[0]))
    return [
        {
            "feature": feature,
            "metrics": [FEATURE + name for name in names if FEATURE + name in row.names],
            "last_used": record.iso(found.day - int(np.argmax(mine[::-1]))) if mine.any() else None,
            "weeks_used": int(regular.weeks[place]),
            "weeks": regular.of,
            "counted": bool(regular.counted[place]),
        }
        for place, ((feature, names), mine) in enumerate(zip(features.items(), days, strict=True))
    ]


def lost(core: Iterable[Mapping[str, Any]], since: str) -> list[dict[str, Any]]:
    """Return the features that count and are not in use any more.

    Args:
        core: From `used`.
        since: The first of the 28 days in which a use counts, ISO.
    """
    return [
        {"feature": one["feature"], "last_used": one["last_used"]}
        for one in core
        if one["counted"] and one["last_used"] < since
    ]


def _missing(numbers: Mapping[str, Any]) -> float:
    """Return how much a feature is above what is usual: the least has fallen most."""
    return float(settled(np.asarray(numbers["observed"] - numbers["expected"])))


def _kept(asked: Asked) -> _Kept:
    """Return the features that a selector takes and that are still there, with all their names."""
    taken = [
        name for name in asked.rules.features if asked.rules.selects(asked.selector, FEATURE + name)
    ]
    return {
        name: products.names(name, asked.changed)
        for name in sorted(taken)
        if not products.is_gone(name, asked.changed)
    }


def _row(account: Account, object_: str, names: Iterable[str]) -> Row:
    lines = account.facts.buckets.lines
    there = tuple(FEATURE + name for name in names if FEATURE + name in lines)
    return Row(account, object_, there, tuple(lines[name] for name in there))


def _joined(mine: Sequence[Row]) -> Row:
    """Return several rows of an account as one."""
    names = tuple(name for row in mine for name in row.names)
    return Row(mine[0].account, COMBINED, names, tuple(line for row in mine for line in row.lines))


def _whole(some: Sequence[Row], asked: Asked, day: int | None) -> Series | None:
    """Return the meaningful usage of each row's account; of one without any, nothing is known."""
    accounts = {row.account.id: row.account for row in some}
    totals = combined_rows(accounts.values(), asked.rules, MEANINGFUL)
    if not totals:
        return None
    place = {row.account.id: i for i, row in enumerate(totals)}
    at = np.array([place.get(row.account.id, 0) for row in some], dtype=np.intp)
    there = np.array([row.account.id in place for row in some], dtype=np.bool_)
    found = asked.window.series(totals, day)
    return replace(
        found,
        counts=np.where(there[:, np.newaxis], found.counts[at], 0.0),
        masked=found.masked[at],
        known=np.where(there, found.known[at], 0),
        swings=found.swings[at],
        active=found.active[at],
        fresh=None if found.fresh is None else found.fresh[at],
        memo={},
    )


def _days_known(known: Any, found: Series) -> Bools:
    width = found.counts.shape[1]
    there: Bools = np.arange(width) >= width - known[:, np.newaxis]
    return there


def _distinct(some: Sequence[Row], found: Series, features: _Kept) -> Series:
    """Return how many features that count were used in the 28 unmasked days up to each day."""
    counts = np.zeros_like(found.counts)
    for i, row in enumerate(some):
        days = _used(row, features, found)
        counts[i] = regularity.distinct(days, found.masked[i], int(found.known[i]))
    return replace(found, counts=counts, memo={})


def _used(row: Row, features: _Kept, found: Series) -> Bools:
    """Return on which days an account used each feature, under any of its names."""
    width = found.counts.shape[1]
    used = np.zeros((len(features), width), dtype=np.bool_)
    lines = dict(zip(row.names, row.lines, strict=True))
    for place, names in enumerate(features.values()):
        for name in names:
            line = lines.get(FEATURE + name)
            if line is not None:
                used[place] |= np.array(line.window(found.day - width + 1, found.day + 1)) > 0
    return used
