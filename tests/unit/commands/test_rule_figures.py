"""What a report says of rules: alerts by version, what people said, who left, what came late."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas.alerts import AccountNow, AlertRaised
from schemas.cases import LogRecord
from schemas.config import RuleSetContent, RuleSetRecord
from schemas.envelope import COMPANY, Entry, account
from schemas.events import ArrMoved, ContractEnded, UsageRecorded
from services.alerts.cases.case import Case
from services.backtest.horizon import HORIZON_DAYS
from services.commands.leaving import left_on
from services.commands.rule_figures import (
    Figures,
    Period,
    Raising,
    figures,
    in_force,
    left,
    raisings,
)
from services.commands.rule_report import Report, _newest, _review, _state, lines
from services.commands.rule_sets import RuleSets
from services.commands.rule_text import summaries
from services.company import shipped
from tests.unit.alerts import builders as a

FIRST = date(2026, 1, 1)
YEAR = Period(FIRST, date(2026, 12, 31))


def day(n: int) -> date:
    return FIRST + timedelta(days=n)


def alert(n: int = 0, account: str = "acme", rule: str = "drop", **changes: Any) -> Raising:
    fields: dict[str, Any] = {
        "account": account,
        "rule": rule,
        "rule_set": 1,
        "day": day(n),
        "severity": 2,
        "open": False,
        "shadow": False,
        "historic": False,
        "verdict": None,
        "renewal_on": None,
    }
    return Raising(**fields | changes)


def one(*alerts: Raising, churns: list[tuple[str, date]] | None = None) -> Figures:
    found = figures(alerts, churns or [], {}, YEAR)
    assert found[0].rule_set is None
    return found[0]


def test_a_rule_is_told_as_a_whole_and_by_rule_set() -> None:
    alerts = [alert(0), alert(1), alert(2, rule_set=2, open=True), alert(3, rule="stop")]
    found = figures(alerts, [], {1: Period(day(0), day(13))}, YEAR, ["quiet"])
    assert [(row.rule, row.rule_set, row.alerts, row.open) for row in found] == [
        *(("drop", None, 3, 1), ("drop", 1, 2, 0), ("drop", 2, 1, 1)),
        ("quiet", None, 0, 0),
        *(("stop", None, 1, 0), ("stop", 1, 1, 0)),
    ]
    # Of two weeks in which rule set 1 was in force; of rule set 2 nobody knows when it was.
    assert [row.per_week for row in found[1:3]] == [1.0, None]


def test_alerts_a_week_leave_out_imported_history_and_other_days() -> None:
    alerts = [alert(-1), alert(0, historic=True), alert(7), alert(400)]
    row = one(*alerts)
    assert (row.alerts, row.historic) == (2, 1)
    assert row.per_week == pytest.approx(1 / (365 / 7))


def test_precision_is_useful_alerts_among_those_that_were_judged() -> None:
    said = ["useful", "useful", "false_alarm", "known", "too_late", None]
    row = one(*(alert(n, verdict=verdict) for n, verdict in enumerate(said)))
    assert (row.judged, row.precision) == (5, 0.4)
    assert row.verdicts == {"false_alarm": 1, "known": 1, "too_late": 1, "useful": 2}
    assert row.interval is not None
    assert [round(end, 2) for end in row.interval] == [0.12, 0.77]
    assert one(alert()).precision is None


def test_lead_time_counts_from_the_first_alert_of_the_rule_within_the_horizon() -> None:
    alerts = [
        *(alert(10), alert(40)),
        alert(10, "beta"),
        alert(120, "late"),
        alert(10, "early"),
    ]
    churns = [
        *(("acme", day(50)), ("acme", day(50)), ("beta", day(110))),
        *(("late", day(110)), ("early", day(11 + HORIZON_DAYS)), ("other", day(50))),
    ]
    row = one(*alerts, churns=churns)
    assert (row.leads, row.lead) == ([40, 100], (55.0, 70.0, 85.0))


def test_the_first_high_alert_before_a_renewal_is_late_if_it_is_near() -> None:
    renewal: dict[str, Any] = {"renewal_on": day(100)}
    alerts = [
        # high only five days before: late, whatever came before and was less
        *(alert(20, **renewal), alert(95, severity=3, **renewal)),
        # high in time; what follows is no catch
        *(alert(20, "beta", severity=3, **renewal), alert(95, "beta", severity=4, **renewal)),
        # after the renewal, or without one
        *(alert(101, "gamma", severity=4, **renewal), alert(95, "delta", severity=4)),
    ]
    assert one(*alerts).late == 1


def test_a_rule_set_holds_from_its_day_to_the_day_before_the_next() -> None:
    applied = {1: day(-30), 2: day(10), 3: day(10), 5: day(400)}
    assert in_force(applied, YEAR) == {
        1: Period(day(0), day(9)),
        3: Period(day(10), YEAR.last),
    }


def folded(*records: LogRecord) -> Case:
    return a.folded(*records).cases["acme"]


def test_what_a_case_holds_is_told_by_its_last_word() -> None:
    case = folded(
        a.raised(),
        a.raised("s", "high", shadow=True),
        a.feedback("a", "false_alarm", by="ana", id="k1"),
        a.feedback("a", "useful", by="kim", id="k2"),
        a.worsened("a", "critical"),
        a.cleared("s"),
    )
    seen = {(one.verdict, one.severity, one.open, one.shadow) for one in raisings(case)}
    assert seen == {("useful", 4, True, False), (None, 3, False, True)}


def test_shadow_rules_are_counted() -> None:
    row = one(alert(shadow=True, verdict="useful"))
    assert (row.alerts, row.shadow, row.precision) == (1, 1, 1.0)


def test_a_case_resolved_as_churned_says_that_the_customer_left() -> None:
    case = folded(a.raised(), a.resolved("churned", id="k1"))
    assert left(case) == [("acme", datetime.fromtimestamp(a.us(1) / 1e6, UTC).date())]
    assert left(folded(a.raised(), a.resolved("saved", id="k1"))) == []


def entry(event: Any) -> Entry:
    return Entry("1", "crm", 0, (account("acme"), COMPANY), event)


def test_events_say_that_a_customer_left() -> None:
    ended = ContractEnded(contract="c1", ended_on=day(3))
    churned = ArrMoved(kind="churn", amount=5, effective_on=day(4))
    assert [left_on(entry(one)) for one in (ended, churned)] == [day(3), day(4)]
    grown = ArrMoved(kind="expansion", amount=5, effective_on=day(4))
    assert left_on(entry(grown)) is None
    assert left_on(entry(UsageRecorded(metric="x", quantity=1))) is None


def test_a_report_is_a_table_with_what_it_leaves_out() -> None:
    rows = figures(
        [alert(0, verdict="useful"), alert(1, verdict="false_alarm", shadow=True)],
        [("acme", day(40))],
        {1: YEAR},
        YEAR,
    )
    report = Report(YEAR, rows, {"drop": "Usage fell"}, {"drop": "on"}, 1, ["what is left out"])
    shown = lines(report)
    assert shown[0] == "Rules from 1 January to 31 December 2026; 1 customer known to have left"
    header, whole, of_set = shown[2:5]
    assert header.split()[:6] == ["RULE", "SET", "STATE", "ALERTS", "A", "WEEK"]
    assert whole.split()[:4] == ["drop", "all", "on", "2"]
    assert "50 % (9–91)" in whole
    assert of_set.split()[:2] == ["1", "shadow"]
    assert shown[-1] == "what is left out"
    assert report.plain()["rules"][0]["precision"] == 0.5
    assert report.plain()["rules"][0]["state"] == "on"


def test_limits_that_nobody_looked_at_for_a_year_are_called_to_mind() -> None:
    sets = {1: rule_set(1, 0, 0.8), 2: rule_set(2, 200, 0.85)}
    assert _review(sets, day(564)) == []
    (told,) = _review(sets, day(565))
    assert told.startswith(
        "The limits of the rules were changed last on 20 July 2026, more than a year ago"
    )
    assert _review({}, day(0)) == []


def test_a_change_of_anything_but_limits_does_not_put_the_review_off() -> None:
    sets = {1: rule_set(1, 0, 0.8), 2: rule_set(2, 300, 0.8, title="Another title")}
    assert len(_review(sets, day(365))) == 1
    assert _review(sets | {3: rule_set(3, 350, 0.8, off=True)}, day(365)) == []


def test_a_rule_s_state_is_that_of_its_overrides_and_the_built_in_rule_has_one() -> None:
    changed = [{"rule": "usage-drop", "shadow": True}, {"rule": "gone-silent", "off": True}]
    content = replace(shipped().content, overrides=changed)
    record = RuleSetRecord(
        n=3,
        content=msgspec.json.encode(content).decode(),
        applied_at=datetime(2026, 1, 1, tzinfo=UTC),
    )
    rules = _newest(RuleSets({3: msgspec.json.encode(record)}), [3])
    states = {one["id"]: _state(one) for one in summaries(rules)}
    assert (states["usage-drop"], states["gone-silent"], states["usage-stopped"]) == (
        *("shadow", "off", "on"),
    )
    assert states["common-fall"] == "on"
    assert _newest(RuleSets({}), []).rules == ()


def rule_set(n: int, on: int, ratio: float, **more: Any) -> RuleSetRecord:
    rule = {"id": "drop", "primitive": "drop", "params": {"ratio": ratio}} | more
    content = msgspec.json.encode(RuleSetContent(rules=[rule])).decode()
    at = datetime.combine(day(on), time(8), UTC)
    return RuleSetRecord(n=n, content=content, applied_at=at)


def test_an_alert_keeps_the_renewal_that_was_known_when_it_was_raised() -> None:
    record = a.raised()
    assert isinstance(record, AlertRaised)
    now = AccountNow(stamp=1, renewal_on=day(100))
    (found,) = raisings(folded(replace(record, account_now=now)))
    assert found.renewal_on == day(100)
