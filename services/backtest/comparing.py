"""What a change of rules would have done: the alerts of two backtests side by side. Pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from schemas.envelope import COMPANY
from services.backtest.estimates import quartiles
from services.backtest.outcome import Outcome, Row

PAIR_DAYS: Final = 56
"""Two alerts about the same thing are one, found on other days, if they lie no further apart.
Source: ours; tests/quality/scoring.py credits an alert for 56 days after a change."""

_Key = tuple[str, str, str]


class Pair(NamedTuple):
    """An alert that both raise.

    Attributes:
        a: As A raised it.
        b: As B raised it.
        days: How much later B did, below 0 for earlier.
    """

    a: Row
    b: Row
    days: int


class RuleChange(NamedTuple):
    """What a change did to one rule, or to all of them.

    Attributes:
        rule: Its id; empty for all that notify.
        title: For a person.
        shadow: `shadow` where it notifies nobody in both, `shadow in A`, `shadow in B`, else empty.
        a: Alerts of A; None if A does not have the rule.
        b: Alerts of B; None if B does not have the rule.
        same: Raised by both on the same day.
        earlier: Raised by both, by B earlier.
        later: Raised by both, by B later.
        shift: Median of the days by which B was later, of those raised on other days; None of none.
        only_a: Raised by A only.
        only_b: Raised by B only.
    """

    rule: str
    title: str
    shadow: str
    a: int | None
    b: int | None
    same: int
    earlier: int
    later: int
    shift: float | None
    only_a: int
    only_b: int


class AccountChange(NamedTuple):
    """What a change did to one account.

    Attributes:
        account: Its id.
        arr: Its yearly revenue, minor units.
        currency: Of it.
        only_a: Alerts that A only raises.
        only_b: Alerts that B only raises.
        moved: Alerts that both raise, on other days.
    """

    account: str
    arr: int | None
    currency: str | None
    only_a: list[Row]
    only_b: list[Row]
    moved: list[Pair]


class Comparison(NamedTuple):
    """Two backtests of the same history, alert by alert.

    Attributes:
        names: What A and B are called.
        a: The one.
        b: The other.
        pairs: Alerts of both, by the day in B.
        only_a: Alerts of A only, in its order.
        only_b: Alerts of B only, in its order.
    """

    names: tuple[str, str]
    a: Outcome
    b: Outcome
    pairs: list[Pair]
    only_a: list[Row]
    only_b: list[Row]


def compare(a: Outcome, b: Outcome, names: tuple[str, str] = ("A", "B")) -> Comparison:
    """Hold the alerts of two backtests of the same history side by side.

    Two alerts are the same if account, rule and object are, and their days lie no more than
    eight weeks apart; the nearest ones are paired first.

    Args:
        a: With the rules as they are.
        b: With the rules as they would be.
        names: What the two are called.
    """
    ours, theirs = _by_key(a.rows), _by_key(b.rows)
    pairs: list[Pair] = []
    for key in ours.keys() & theirs.keys():
        pairs += _paired(ours[key], theirs[key])
    in_a = {id(pair.a) for pair in pairs}
    in_b = {id(pair.b) for pair in pairs}
    return Comparison(
        names=names,
        a=a,
        b=b,
        pairs=sorted(pairs, key=lambda one: (one.b.fired_at, *_key(one.b), one.a.day)),
        only_a=[row for row in a.rows if id(row) not in in_a],
        only_b=[row for row in b.rows if id(row) not in in_b],
    )


def per_rule(comparison: Comparison) -> list[RuleChange]:
    """Return what the change did to each rule of either, in the order of A and then of B."""
    titles = {
        rule: now.title
        for outcome in (comparison.b, comparison.a)
        for rule, now in outcome.rules.items()
    }
    order = dict.fromkeys([*comparison.a.rules, *comparison.b.rules])
    return [_change(comparison, rule, titles[rule], {rule}) for rule in order]


def overall(comparison: Comparison) -> RuleChange:
    """Return what the change did to all that somebody is told: a rule in shadow tells nobody."""
    told = _told(comparison)
    return _change(told, "", "All rules that notify", {*told.a.rules, *told.b.rules})


def per_account(comparison: Comparison) -> list[AccountChange]:
    """Return the accounts of which somebody is told otherwise, the highest revenue first."""
    found = [one for one in _changed(comparison) if one.account != COMPANY]
    return sorted(found, key=lambda one: (-(one.arr or 0), one.account))


def about_all(comparison: Comparison) -> list[AccountChange]:
    """Return what is told otherwise of all accounts together: of the company, if anything is."""
    return [one for one in _changed(comparison) if one.account == COMPANY]


def _changed(comparison: Comparison) -> list[AccountChange]:
    told = _told(comparison)
    only_a, only_b = _by_account(told.only_a), _by_account(told.only_b)
    moved: defaultdict[str, list[Pair]] = defaultdict(list)
    for pair in told.pairs:
        if pair.days:
            moved[pair.b.account].append(pair)
    found = []
    for account in only_a.keys() | only_b.keys() | moved.keys():
        rows = [*(pair.b for pair in moved[account]), *only_b[account], *only_a[account]]
        arr, currency = rows[-1].arr, rows[-1].currency
        lists = only_a[account], only_b[account], moved[account]
        found.append(AccountChange(account, arr, currency, *lists))
    return found


def _key(row: Row) -> _Key:
    return row.account, row.rule, row.object


def _by_key(rows: Iterable[Row]) -> dict[_Key, list[Row]]:
    found: defaultdict[_Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[_key(row)].append(row)
    return dict(found)


def _by_account(rows: Iterable[Row]) -> defaultdict[str, list[Row]]:
    found: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row.account].append(row)
    return found


def _paired(ours: Sequence[Row], theirs: Sequence[Row]) -> list[Pair]:
    """Pair alerts about the same thing, those of the nearest days first."""
    near = sorted(
        (abs((theirs[j].day - ours[i].day).days), i, j)
        for i in range(len(ours))
        for j in range(len(theirs))
        if abs((theirs[j].day - ours[i].day).days) <= PAIR_DAYS
    )
    taken_a: set[int] = set()
    taken_b: set[int] = set()
    found = []
    for _, i, j in near:
        if i not in taken_a and j not in taken_b:
            taken_a.add(i)
            taken_b.add(j)
            found.append(Pair(ours[i], theirs[j], (theirs[j].day - ours[i].day).days))
    return found


def _change(comparison: Comparison, rule: str, title: str, rules: set[str]) -> RuleChange:
    shifts = [pair.days for pair in comparison.pairs if pair.b.rule in rules]
    moved = quartiles(days for days in shifts if days)
    only_a = sum(row.rule in rules for row in comparison.only_a)
    only_b = sum(row.rule in rules for row in comparison.only_b)
    return RuleChange(
        rule=rule,
        title=title,
        shadow=_shadow(comparison, rule),
        a=len(shifts) + only_a if rules & comparison.a.rules.keys() else None,
        b=len(shifts) + only_b if rules & comparison.b.rules.keys() else None,
        same=sum(days == 0 for days in shifts),
        earlier=sum(days < 0 for days in shifts),
        later=sum(days > 0 for days in shifts),
        shift=moved.median if moved else None,
        only_a=only_a,
        only_b=only_b,
    )


def _shadow(comparison: Comparison, rule: str) -> str:
    known = (comparison.a.rules.get(rule), comparison.b.rules.get(rule))
    hidden = [letter for letter, now in zip("AB", known, strict=True) if now and now.shadow]
    everywhere = len(hidden) == sum(now is not None for now in known)
    return "" if not hidden else "shadow" if everywhere else f"shadow in {hidden[0]}"


def _told(comparison: Comparison) -> Comparison:
    """Leave out what notifies nobody; a rule that leaves the shadow is news of B."""
    pairs = comparison.pairs
    return comparison._replace(
        pairs=[pair for pair in pairs if not (pair.a.shadow or pair.b.shadow)],
        only_a=[row for row in comparison.only_a if not row.shadow]
        + [pair.a for pair in pairs if pair.b.shadow and not pair.a.shadow],
        only_b=[row for row in comparison.only_b if not row.shadow]
        + [pair.b for pair in pairs if pair.a.shadow and not pair.b.shadow],
    )
