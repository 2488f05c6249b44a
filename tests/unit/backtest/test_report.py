import re
from collections import Counter
from html.parser import HTMLParser

import pytest

from schemas.envelope import COMPANY
from services.backtest import report_charts
from services.backtest.charts import Chart, Series, stacked
from services.backtest.comparing import compare
from services.backtest.report import ACCOUNTS_SHOWN, Compared, Made, html
from services.backtest.truth import Churn, Truth, judge
from tests.unit.backtest.builders import BUILT_IN, RULES, incident, on, outcome, row

LISTED = RULES | BUILT_IN

HOSTILE = "</title></style><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
VOID = {"meta", "br"}


class Outline(HTMLParser):
    """Elements, what can ask for something, and whether each element that opens is closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.seen: Counter[str] = Counter()
        self.asks: list[str] = []
        self.open: list[str] = []
        self.ids: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen[tag] += 1
        self.open += [tag] if tag not in VOID else []
        self.ids += [value or "" for name, value in attrs if name == "id"]
        self.asks += [
            f"{tag} {name}={value}"
            for name, value in attrs
            if name in ("src", "href", "action", "srcset") or name.startswith("on")
        ]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def words_of(text: str) -> str:
    """What stands on the page."""
    body = re.sub(r"<style>.*?</style>|<title>.*?</title>", "", text, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]*>", " ", body).split())


def full() -> str:
    """A report with every section."""
    rows = [row("a", 100), row("b", 97, days=None, severity="high"), row("c", 1, "usage-fast-drop")]
    a = outcome(rows[:1])
    b = outcome(rows, refused={"invalid": 1}, examples=["usage.csv row 7: bad"], interrupted=True)
    truth = Truth([Churn(on(150), "a", 100), Churn(on(170), "z", 300)], Counter(), [])
    made = Made("ebbwatch backtest --usage u.csv", "the shipped rules", "ab12", ("u.csv",), "1.2.3")
    return html(b, judge(b, truth), made, Compared(compare(a, b), judge(a, truth)))


def test_the_same_outcome_gives_the_same_bytes_however_long_it_took() -> None:
    found = outcome([row("a", 100)])
    assert html(found) == html(found._replace(seconds=99.0))


def test_a_report_asks_for_nothing_and_runs_nothing() -> None:
    outline = Outline(full())
    assert outline.asks == ["a href=#refused"]
    assert outline.seen["script"] == outline.seen["img"] == outline.seen["link"] == 0
    assert "url(" not in full()
    assert "default-src 'none'" in full()
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))


def test_every_section_is_there() -> None:
    said = words_of(full())
    for part in (
        "What a change of rules would have done",
        "interrupted",
        "1 row of the files could not be used",
        "What changes",
        "Only B raises 1",
        "Held against who really left",
        "1 of 2",
        "When, and by which rule",
        "Whom it would have kept busy",
        "How long it would have lasted",
        "About which customers",
        "In shadow",
        "usage.csv row 7: bad",
        "ebbwatch backtest --usage u.csv",
        "ab12",
        "Ebbwatch 1.2.3",
    ):
        assert part in said


def test_the_least_report_has_no_section_about_what_is_not_known() -> None:
    said = words_of(html(outcome()))
    assert "No rule that notifies raised an alert." in said
    for part in ("Held against", "What changes", "In shadow", "What was refused", "Command"):
        assert part not in said


def test_what_customers_are_called_is_only_text() -> None:
    hostile = row(
        HOSTILE, 100, object=HOSTILE, owner=HOSTILE, segment=HOSTILE, currency=HOSTILE,
        headline=HOSTILE, text=f"{HOSTILE}\u202e\x1b[2J", reason=HOSTILE, severity=HOSTILE,
    )  # fmt: skip
    b = outcome([hostile], refused={HOSTILE: 1}, examples=[HOSTILE])
    truth = Truth([Churn(on(150), HOSTILE, 1)], Counter({HOSTILE: 1}), [HOSTILE])
    made = Made(HOSTILE, HOSTILE, HOSTILE, (HOSTILE,), HOSTILE)
    compared = Compared(compare(outcome(), b, (HOSTILE, HOSTILE)), judge(outcome(), truth))
    text = html(b, judge(b, truth), made, compared)
    outline = Outline(text)
    # The page's own title, and one on the only bar of each of three charts.
    assert (outline.seen["script"], outline.seen["img"], outline.seen["title"]) == (0, 0, 1 + 3)
    assert outline.asks == ["a href=#refused"]
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_accounts_stand_by_revenue_up_to_a_bound() -> None:
    rows = [row(f"acct-{n:03}", 100, arr=n * 100) for n in range(ACCOUNTS_SHOWN + 5)]
    said = words_of(html(outcome(rows)))
    assert f"The {ACCOUNTS_SHOWN} with the highest ARR of 105 accounts" in said
    assert said.index("acct-104") < said.index("acct-103")
    assert "acct-004" not in said


def test_a_chart_shows_weeks_and_what_is_long_shows_months() -> None:
    assert report_charts.periods(outcome(days=15)).places == [
        "week of 6 Jan 2025",
        "week of 13 Jan 2025",
        "week of 20 Jan 2025",
    ]
    long = report_charts.periods(outcome(days=161 * 7))
    assert (long.unit, len(long.firsts), long.places[::37]) == (
        "month",
        38,
        ["Jan 2025", "Feb 2028"],
    )
    assert long.firsts[0] == on(0).replace(day=1)


def test_rules_beyond_the_seventh_share_a_colour() -> None:
    rows = [row("a", 10)._replace(rule=f"rule-{n}") for n in range(9) for _ in range(10 - n)]
    found = outcome(rows, days=14)
    chart = report_charts.by_rule(found, report_charts.periods(found))
    assert [(one.name, one.tone, one.values) for one in chart.series] == [
        *((f"rule-{n}", f"t{n + 1}", [0, 10 - n]) for n in range(7)),
        ("2 other rules", "t8", [0, 5]),
    ]


def test_how_long_alerts_lasted_and_how_they_ended() -> None:
    rows = [
        row("a", 10, days=7),
        row("b", 10, days=8),
        row("c", 10, days=84, reason="new_normal"),
        row("d", 10, days=90, reason="accepted"),
        row("e", 300, days=None),
    ]
    chart = report_charts.lives(outcome(rows), rows)
    assert chart.places == ["1–7", "8–14", "15–28", "29–56", "57–84", "85 +"]
    assert [(one.name, one.values) for one in chart.series] == [
        ("recovered", [1, 1, 0, 0, 0, 0]),
        ("new normal", [0, 0, 0, 0, 1, 0]),
        ("ended otherwise", [0, 0, 0, 0, 0, 1]),
        ("still open", [0, 0, 0, 0, 1, 0]),
    ]


@pytest.mark.parametrize(
    "horizon, places, in_time, late",
    [
        (180, ["1–29", "30–59", "60–89", "90–119", "120–149", "150–180"], [0, 1, 0, 0, 0, 0], 1),
        (60, ["1–29", "30–60"], [0, 1], 1),
        (20, ["1–20"], None, 1),
    ],
)
def test_how_many_days_before(
    horizon: int, places: list[str], in_time: list[int] | None, late: int
) -> None:
    found = outcome([row("a", 100), row("b", 100)])
    truth = Truth([Churn(on(110), "a", None), Churn(on(130), "b", None)], Counter(), [])
    chart = report_charts.leads(judge(found, truth, horizon))
    assert chart.places == places
    drawn = {one.tone: one.values for one in chart.series}
    assert drawn.get("good") == in_time
    assert drawn["late"] == [late, *[0] * (len(places) - 1)]


def test_bars_stand_upon_each_other_and_end_at_a_round_number() -> None:
    chart = stacked(["a", "b"], [Series("x", "t1", [36, 0]), Series("y", "t2", [18, 6])])
    assert [(bar.tone, bar.y, bar.height) for bar in chart.bars] == [
        ("t1", 40.0, 60.0),
        ("t2", 10.0, 30.0),
        ("t2", 90.0, 10.0),
    ]
    assert [mark.text for mark in chart.up] == ["0", "20", "40", "60"]
    assert chart.total == 60


def test_a_chart_of_nothing_has_a_scale_all_the_same() -> None:
    chart: Chart = stacked(["a"], [Series("x", "t1", [0])])
    assert (chart.series, chart.bars, [mark.text for mark in chart.up]) == ([], [], ["0", "1"])


def test_an_incident_is_told_by_its_title_and_is_no_account() -> None:
    rows = [row("a", 10), row("b", 10), incident(20, "61 of 120 customers fell")]
    found = outcome(rows, rules=LISTED)
    said = words_of(html(found))
    assert "Many customers fell at once common-fall 1 0.84 – 20 –" in said
    assert "All rules that notify 3 2.5 2 20 –" in said
    assert "on 2 of 10 accounts (20 %)" in said
    assert "2 accounts with an alert, the highest ARR first." in said
    assert "About all customers together 61 of 120 customers fell Medium 26 Jan 2025" in said
    assert COMPANY not in re.findall(r"<bdi>([^<]*)</bdi>", html(found))
    chart = report_charts.by_rule(found, report_charts.periods(found))
    assert [one.name for one in chart.series] == ["Usage fell", "Many customers fell at once"]


def test_a_change_of_incidents_is_told_beside_the_accounts() -> None:
    rows = [incident(20, "61 of 120 customers fell")]
    a, b = outcome([row("a", 10)], rules=LISTED), outcome(rows, rules=LISTED)
    said = words_of(html(b, None, Made(), Compared(compare(a, b))))
    assert "1 account, the highest ARR first. All customers together only B 26 Jan 2025" in said
    assert "Only B raises 1" in said
    only = words_of(html(b, None, Made(), Compared(compare(outcome(rules=LISTED), b))))
    assert "Whose alerts change All customers together only B 26 Jan 2025" in only
