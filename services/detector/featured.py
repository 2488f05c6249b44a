"""Tracked features as the arrays that primitives judge: their rows, their totals, their number."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from services.detector import products
from services.detector.facts.buckets import FEATURE
from services.detector.primitives import baseline, record
from services.detector.primitives.arrays import settled
from services.detector.primitives.baseline import LAG
from services.detector.primitives.breadth import USED_DAYS
from services.detector.primitives.day import Bools, Series
from services.detector.products import Products
from services.detector.rules import CORE_FEATURES, RuleSet
from services.detector.subject import Account
from services.detector.window import COMBINED, Row, Window, combined_rows

WORST = 3
"""Features that the evidence of a fall names."""
WORSE_RATIO = 0.85
"""Ratio at or below which a feature has fallen (detection.md §1.6)."""
MEANINGFUL = "@meaningful"

_Kept = Mapping[str, tuple[str, ...]]


def kept(rules: RuleSet, selector: str, changed: Products) -> _Kept:
    """Return the features that a selector takes and that are still there, with all their names.

    Args:
        rules: They name the tracked features.
        selector: `@features` or `@core_features`.
        changed: The product-change calendar.
    """
    taken = [name for name in sorted(rules.features) if rules.selects(selector, FEATURE + name)]
    return {
        name: products.names(name, changed) for name in taken if not products.is_gone(name, changed)
    }


def rows(
    accounts: Iterable[Account], rules: RuleSet, selector: str, changed: Products
) -> list[Row]:
    """Return one row per account and feature, or one per account for `@core_features`.

    Args:
        accounts: Accounts to look at; one without such a feature has no row.
        rules: They name the tracked features.
        selector: `@features` or `@core_features`.
        changed: The product-change calendar.
    """
    features = kept(rules, selector, changed)
    found = [
        _row(account, FEATURE + feature, names)
        for account in accounts
        for feature, names in features.items()
    ]
    if selector != CORE_FEATURES:
        return [row for row in found if row.names]
    together: dict[str, list[Row]] = {}
    for row in found:
        if row.names:
            together.setdefault(row.account.id, []).append(row)
    return [_joined(mine) for mine in together.values()]


def series(
    some: Sequence[Row],
    window: Window,
    rules: RuleSet,
    selector: str,
    day: int | None = None,
) -> Series:
    """Return the arrays of rows of `rows`.

    Args:
        some: Rows.
        window: The days, and what is masked in them.
        rules: They name the tracked features.
        selector: `@features` or `@core_features`.
        day: The last day; the closing's unless an earlier one is judged again.
    """
    changed = window.closing.products
    found = window.series(some, day)
    if selector == CORE_FEATURES:
        return _distinct(some, found, kept(rules, selector, changed))
    begun = [products.begins(row.object.removeprefix(FEATURE), changed) for row in some]
    ages = [found.day - one + 1 if one is not None else len(found.counts[0]) for one in begun]
    known = np.clip(np.minimum(found.known, np.array(ages, dtype=np.int64)), 0, None)
    counts = np.where(_days_known(known, found), found.counts, 0.0)
    return replace(
        found, counts=counts, known=known, whole=_whole(some, window, rules, day), memo={}
    )


def told(row: Row, window: Window, rules: RuleSet, kind: str) -> dict[str, Any]:
    """Return what the evidence of an alert says of the account's features beside its numbers.

    Args:
        row: What the alert is about.
        window: The days, and what is masked in them.
        rules: They name the tracked features.
        kind: Of the alert: a fall names the worst features, lost breadth those that are gone.
    """
    if rules.features and kind == "usage_drop":
        return {"features": worst(row, window, rules)}
    return {"lost": lost(row, window, rules)} if kind == "breadth" else {}


def worst(row: Row, window: Window, rules: RuleSet) -> list[dict[str, Any]]:
    """Return the features of an account that fell most, beside what is usual, worst first.

    Args:
        row: Any row of the account.
        window: The days, and what is masked in them.
        rules: They name the tracked features.
    """
    mine = rows([row.account], rules, "@features", window.closing.products)
    if not mine:
        return []
    places, old = baseline.learned(series(mine, window, rules, "@features"))
    if not len(places):
        return []
    base = baseline.measure(old)
    ratio = settled(base.ratio(LAG))
    told = baseline.tellable(base) & (ratio <= WORSE_RATIO)
    missing = np.where(told, base.expected[LAG] - base.observed[LAG], -1.0)
    order = [int(i) for i in np.argsort(-settled(missing), kind="stable")[:WORST] if told[i]]
    return [
        {
            "feature": mine[int(places[i])].object.removeprefix(FEATURE),
            "observed": record.plain(base.observed[LAG, i]),
            "expected": record.plain(base.expected[LAG, i]),
            "ratio": record.plain(ratio[i]),
        }
        for i in order
    ]


def lost(row: Row, window: Window, rules: RuleSet) -> list[dict[str, Any]]:
    """Return the core features of an account that it used before and not in the last 28 days.

    Args:
        row: A row of `@core_features`.
        window: The days.
        rules: They name the tracked features.
    """
    last = window.closing.day
    found = []
    for feature, names in kept(rules, CORE_FEATURES, window.closing.products).items():
        used = _used(row, names, last - window.days + 1, last)
        if used.any() and not used[-USED_DAYS:].any():
            ago = int(np.argmax(used[::-1]))
            found.append({"feature": feature, "last_used": record.iso(last - ago)})
    return found


def _row(account: Account, object_: str, names: Iterable[str]) -> Row:
    lines = account.facts.buckets.lines
    there = tuple(FEATURE + name for name in names if FEATURE + name in lines)
    return Row(account, object_, there, tuple(lines[name] for name in there))


def _joined(mine: Sequence[Row]) -> Row:
    """Return several rows of an account as one."""
    names = tuple(name for row in mine for name in row.names)
    return Row(mine[0].account, COMBINED, names, tuple(line for row in mine for line in row.lines))


def _whole(some: Sequence[Row], window: Window, rules: RuleSet, day: int | None) -> Series | None:
    """Return the meaningful usage of each row's account; of one without any, nothing is known."""
    accounts = {row.account.id: row.account for row in some}
    totals = combined_rows(accounts.values(), rules, MEANINGFUL)
    if not totals:
        return None
    place = {row.account.id: i for i, row in enumerate(totals)}
    at = np.array([place.get(row.account.id, 0) for row in some], dtype=np.intp)
    there = np.array([row.account.id in place for row in some], dtype=np.bool_)
    found = window.series(totals, day)
    return replace(
        found,
        counts=np.where(there[:, np.newaxis], found.counts[at], 0.0),
        masked=found.masked[at],
        known=np.where(there, found.known[at], 0),
        swings=found.swings[at],
        active=found.active[at],
        memo={},
    )


def _days_known(known: Any, found: Series) -> Bools:
    width = found.counts.shape[1]
    there: Bools = np.arange(width) >= width - known[:, np.newaxis]
    return there


def _distinct(some: Sequence[Row], found: Series, features: _Kept) -> Series:
    """Return how many features were used in the 28 days up to each day."""
    counts = np.zeros_like(found.counts)
    first = found.day - found.counts.shape[1] + 1 - (USED_DAYS - 1)
    for i, row in enumerate(some):
        for names in features.values():
            sums = np.cumsum(_used(row, names, first, found.day), dtype=np.int64)
            before = np.concatenate([[0], sums[:-USED_DAYS]])
            counts[i] += sums[USED_DAYS - 1 :] > before
    return replace(found, counts=counts, memo={})


def _used(row: Row, names: Iterable[str], first: int, last: int) -> Bools:
    """Return on which days an account used a feature, under any of its names."""
    used = np.zeros(last - first + 1, dtype=np.bool_)
    for name, line in zip(row.names, row.lines, strict=True):
        if name.removeprefix(FEATURE) in names:
            used |= np.array(line.span(first, last + 1), dtype=np.int64) > 0
    return used
