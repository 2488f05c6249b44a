"""The charts of a backtest's report: when, for whom, how long, and how long before. Pure."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import date, timedelta
from typing import Final, NamedTuple

from services.backtest.charts import Chart, Series, sparse, stacked
from services.backtest.figures import OwnerFigures, days_open, monday, owners, weeks
from services.backtest.horizon import LATE_DAYS
from services.backtest.judged import Judged
from services.backtest.outcome import Outcome, Row
from services.backtest.words import owner_name, plain, short_day, short_month
from services.wording import counted

WEEKS_MOST: Final = 160
"""More weeks than that are drawn as months: a bar must be wide enough to be seen."""

RULES_MOST: Final = 7
"""So many rules have a colour of their own."""

_LIVES: Final = (7, 14, 28, 56, 84)
_DAY: Final = timedelta(days=1)
_ENDINGS: Final = (
    ("recovered", "recovered", "good"),
    ("new_normal", "new normal", "t1"),
    ("withdrawn", "withdrawn", "t4"),
    ("", "ended otherwise", "t8"),
    ("open", "still open", "wait"),
)


class Periods(NamedTuple):
    """Stretches of days, all weeks or all months.

    Attributes:
        unit: `week` or `month`.
        firsts: First day of each, without a gap.
        of: Returns the first day of a day's period.
    """

    unit: str
    firsts: list[date]
    of: Callable[[date], date]

    @property
    def places(self) -> list[str]:
        """What each is called."""
        if self.unit == "week":
            return [f"week of {short_day(first)}" for first in self.firsts]
        return [short_month(first) for first in self.firsts]

    @property
    def names(self) -> list[str]:
        """What is written below: months of up to two years, else years."""
        short = (self.firsts[-1] - self.firsts[0]).days <= 740
        return sparse([short_month(first) if short else str(first.year) for first in self.firsts])


class Strip(NamedTuple):
    """What one owner would have been told, drawn as a row of small bars."""

    figures: OwnerFigures
    name: str
    chart: Chart


def periods(outcome: Outcome) -> Periods:
    """Return the weeks of a backtest, or its months if there are too many weeks to be seen."""
    mondays = weeks(outcome)
    if len(mondays) <= WEEKS_MOST:
        return Periods("week", mondays, monday)
    months = [_month(mondays[0])]
    while (following := _month(months[-1] + 31 * _DAY)) <= mondays[-1] + 6 * _DAY:
        months.append(following)
    return Periods("month", months, _month)


def by_rule(outcome: Outcome, when: Periods, shadow: bool = False) -> Chart:
    """Draw how many alerts each rule raised in each period.

    Args:
        outcome: What was found.
        when: Its periods.
        shadow: True for the rules that tell nobody, False for the others.
    """
    found: defaultdict[str, Counter[date]] = defaultdict(Counter)
    for row in outcome.rows:
        if row.shadow == shadow:
            found[row.rule][when.of(row.day)] += 1
    titles = {rule: now.title for rule, now in outcome.rules.items()}
    ranked = sorted(found, key=lambda rule: (-found[rule].total(), rule))
    series = [
        Series(plain(titles.get(rule, rule)), f"t{n}", [found[rule][one] for one in when.firsts])
        for n, rule in enumerate(ranked[:RULES_MOST], 1)
    ]
    if rest := ranked[RULES_MOST:]:
        values = [sum(found[rule][one] for rule in rest) for one in when.firsts]
        series.append(Series(counted(len(rest), "other rule"), "t8", values))
    return stacked(when.places, series, when.names)


def by_owner(outcome: Outcome, when: Periods) -> list[Strip]:
    """Draw how many alerts each owner would have got in each period, all to one scale."""
    counts: defaultdict[str, Counter[date]] = defaultdict(Counter)
    for row in outcome.rows:
        if not row.shadow:
            counts[row.owner or ""][when.of(row.day)] += 1
    top = max((max(one.values()) for one in counts.values()), default=1)
    return [
        Strip(
            one,
            owner_name(one.owner),
            stacked(
                when.places,
                [Series("alerts", "t1", [counts[one.owner][first] for first in when.firsts])],
                [""] * len(when.firsts),
                top,
            ),
        )
        for one in owners(outcome)
    ]


def lives(outcome: Outcome, rows: Sequence[Row]) -> Chart:
    """Draw how long alerts were open, and how they ended."""
    known = {reason for reason, _, _ in _ENDINGS}
    counts: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for row in rows:
        reason = "open" if row.cleared_on is None else row.reason or ""
        place = sum(days_open(row, outcome.last) > most for most in _LIVES)
        counts[reason if reason in known else ""][place] += 1
    series = [
        Series(name, tone, [counts[reason][k] for k in range(len(_LIVES) + 1)])
        for reason, name, tone in _ENDINGS
    ]
    return stacked(_stretches(_LIVES), series)


def leads(judged: Judged) -> Chart:
    """Draw how many days before each caught churn its first warning came."""
    most = judged.horizon_days
    ends = list(range(LATE_DAYS - 1, most - 1, LATE_DAYS))
    places = [*_stretches(ends)[:-1], f"{ends[-1] + 1 if ends else 1}–{most}"]
    counts = Counter(sum(one.days > end for end in ends) for one in judged.overall.caught)
    values = [counts[k] for k in range(len(places))]
    late = 1 if ends or most < LATE_DAYS else 0
    return stacked(
        places,
        [
            Series("in time", "good", [0] * late + values[late:]),
            Series("late, under 30 days", "late", values[:late] + [0] * (len(values) - late)),
        ],
    )


def _month(on: date) -> date:
    return on.replace(day=1)


def _stretches(ends: Iterable[int]) -> list[str]:
    """Return stretches of days in words, the last one open.

    >>> _stretches([7, 14])
    ['1–7', '8–14', '15 +']
    """
    found, first = [], 1
    for end in ends:
        found.append(f"{first}–{end}")
        first = end + 1
    return [*found, f"{first} +"]
