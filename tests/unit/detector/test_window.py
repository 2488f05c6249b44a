import numpy as np
import pytest

from services.detector.facts.buckets import Line
from services.detector.ledger import Closing
from services.detector.primitives.day import SWING_WEEKS
from services.detector.subject import Account
from services.detector.window import Row, Window
from tests import builders as a

SUNDAY = a.START + 14


def row(*lines: Line) -> Row:
    names = tuple(f"m{n}" for n in range(len(lines)))
    return Row(Account("acme", 0), "activity", names, lines)


def line(*values: int, start: int = 1, sources: tuple[str, ...] = ("app",)) -> Line:
    """A line with one value a day, in thousandths."""
    made = Line(a.START + start)
    made.sources = sources
    for n, value in enumerate(values):
        day = a.START + start + n
        made.cover(day)
        made.values[day - made.first] = value
        made.active += value > 0
    return made


def window(day: int, days: int, **masked: object) -> Window:
    closing = Closing(0, "UTC", a.START + day, 0, 0, False, **masked)  # type: ignore[arg-type]
    return Window(closing, days)


def spans(**outages: list[tuple[int, int]]) -> dict[str, list[tuple[int, int]]]:
    """Spans of days, by source."""
    return {
        source: [(a.START + first, a.START + last) for first, last in told]
        for source, told in outages.items()
    }


@pytest.mark.parametrize(
    "after, column",
    # a swing taken on a Sunday is of this week until the next Sunday, 7k to 7k + 6 days; on its own
    # day it is there or not yet, by what else is judged beside it, and must not show
    [(0, None), (1, 0), (6, 0), (7, 1), (8, 1), (13, 1), (14, 2), (7 * 41 + 6, 41), (7 * 42, None)],
)
def test_a_swing_stands_in_the_column_of_its_age(after: int, column: int | None) -> None:
    made = line(1000)
    made.swing(SUNDAY, 0.5)
    series = window(14 + after, 9).series([row(made)])
    expected = np.full((1, SWING_WEEKS), np.nan)
    if column is not None:
        expected[0, column] = 0.5
    assert np.array_equal(series.swings, expected, equal_nan=True)


def test_an_earlier_day_is_judged_without_the_swings_that_came_after() -> None:
    made = line(1000)
    made.swing(SUNDAY, 0.5)
    made.swing(SUNDAY + 7, 0.7)
    (swings,) = window(25, 9).series([row(made)], SUNDAY + 3).swings
    assert (swings[0], np.isnan(swings[1:]).all()) == (0.5, True)
    (swings,) = window(25, 9).series([row(made)], SUNDAY + 7).swings
    assert (np.isnan(swings[0]), swings[1], np.isnan(swings[2:]).all()) == (True, 0.5, True)


def test_several_lines_are_added_up_day_by_day() -> None:
    series = window(5, 6).series([row(line(1000, 0, 2500), line(4000, start=3)), row(line(7000))])
    # days 0 to 5 of each account; known since the first day of any line
    assert series.counts.tolist() == [[0, 1, 0, 6.5, 0, 0], [0, 7, 0, 0, 0, 0]]
    assert (series.day, series.known.tolist(), series.active.tolist()) == (
        a.START + 5,
        [5, 5],
        [2, 1],
    )
    assert np.isnan(series.swings[0]).all()


def test_days_are_masked_for_a_reason() -> None:
    one = row(line(1000, sources=("app", "web")), line(1000, sources=("web", "batch")))
    one.account.facts.profile.closures = [(a.START + 8, a.START + 8)]
    one.account.facts.profile.country = "DE-BY"
    # day 2 is Epiphany; the web was dark from 3 to 6, the app too up to 5, the batches from 5 on
    dark = spans(web=[(3, 6)], app=[(1, 5)], batch=[(5, 9)], other=[(4, 4)])
    looked = window(9, 9, closures=[a.START + 7], outages=dark)
    (masked,) = looked.series([one]).masked
    found = {
        int(day) + 1: looked.reason(one, a.START + int(day) + 1) for day in np.flatnonzero(masked)
    }
    assert found == {
        2: "Epiphany",
        5: "no data from its source",
        7: "closure for everybody",
        8: "closure",
    }


@pytest.mark.parametrize(
    "sources, dark",
    [
        (("app",), {3, 4, 5}),
        (("app", "web"), {4, 5}),
        # of a source of which nothing is known, and of a line without any, nothing is dark
        (("app", "unknown"), set()),
        ((), set()),
    ],
)
def test_a_line_is_dark_while_all_of_its_sources_are(
    sources: tuple[str, ...], dark: set[int]
) -> None:
    made = line(1000, sources=sources)
    looked = window(8, 8, outages=spans(app=[(3, 5)], web=[(1, 1), (4, 7)]))
    assert {day for day in range(1, 9) if looked.dark(made, a.START + day)} == dark
    (masked,) = looked.series([row(made)]).masked
    # day 2 is a holiday only where the country is known
    assert {int(day) + 1 for day in np.flatnonzero(masked)} == dark


def counted(*tickets: Line, beside: Line | None = None, **profile: object) -> Row:
    """The tickets of an account, with a line of usage if there is one."""
    one = Account("acme", 0)
    for name, value in profile.items():
        setattr(one.facts.profile, name, value)
    if beside is not None:
        one.facts.buckets.lines["usage"] = beside
    one.facts.buckets.lines["@tickets"] = tickets[0]
    return Row(one, "@tickets", ("@tickets",), tickets)


def test_no_ticket_yet_is_none_for_as_long_as_the_account_is_known() -> None:
    ticket, used = line(1000, start=50), line(1000, start=20)
    known = [
        window(60, 90).series([one]).known.tolist()[0]
        for one in (
            counted(ticket),
            counted(ticket, beside=used),
            counted(ticket, beside=used, started_on=a.on(10)),
            counted(ticket, beside=used, started_on=a.on(30)),
        )
    ]
    assert known == [11, 41, 51, 41]


def test_a_week_without_anybodys_ticket_is_an_outage_and_a_weekend_is_none() -> None:
    outages = spans(app=[(-20, 0), (6, 7), (13, 19), (25, 30)])
    among = window(30, 40, outages=outages)
    ticket = line(1000, start=1)
    (masked,) = among.series([counted(ticket)]).masked
    assert (np.flatnonzero(masked) - 9).tolist() == [*range(-9, 1), *range(13, 20)]
    (usage,) = among.series([row(ticket)]).masked
    assert (np.flatnonzero(usage) - 9).tolist() == [
        *range(-9, 1),
        *(6, 7),
        *range(13, 20),
        *range(25, 31),
    ]
    today = a.START + 30
    assert (among.dark(ticket, today), among.dark(ticket, today, 7)) == (True, False)
