from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from schemas.accounts import AccountSummary, Usual
from services.alerts import moments, showing
from services.alerts.cases.case import Answer
from services.alerts.shown import (
    AccountPage,
    AccountShown,
    ActionAnswer,
    AlertShown,
    CaseShown,
    Change,
    Moment,
    UsualShown,
)
from tests.unit.alerts import builders as b

LONG = "<b>x" * 2_500
NOW = datetime(2026, 5, 14, 8, tzinfo=UTC)
BECAUSE = {
    "headline": "usage fell 31 % in 28 days",
    "text": "It fell.",
    "title": "Usage fell",
    "play": "check-integration",
    "ratio": 0.69,
}


def summary(**fields: Any) -> AccountSummary:
    known: dict[str, Any] = {
        "account": "acme",
        "stamp": 9,
        "name": "Acme Ltd",
        "owner": "bob",
        "segment": "smb",
        "country": "DE",
        "arr": 120_000,
        "currency": "EUR",
        "renewal_on": date(2026, 8, 1),
    }
    return AccountSummary(**(known | fields))


class TestAlert:
    def test_it_stands_as_its_records_leave_it(self) -> None:
        made = b.case(
            b.raised(because=BECAUSE),
            b.worsened("a", "critical", day=3, because=BECAUSE | {"ratio": 0.4}),
            b.feedback("a", "known", by="ana"),
        )
        assert showing.alert_shown(made.standings["a"]) == AlertShown(
            alert_id="a",
            account="acme",
            rule="usage-drop",
            rule_set=1,
            kind="usage_drop",
            object="usage",
            title="Usage fell",
            day=date(2026, 5, 6),
            fired_at=b.START,
            severity="critical",
            category="early_signals",
            churn_kind="voluntary",
            headline="Usage fell 31 % in 28 days",
            text="It fell.",
            play="check-integration",
            feedback={"ana": "known"},
            because={"ratio": 0.4},
        )

    def test_one_that_is_over_keeps_how_bad_it_was_and_says_why_it_ended(self) -> None:
        made = b.case(b.raised("a", "high", because=BECAUSE), b.cleared(day=9, because={}))
        shown = showing.alert_shown(made.standings["a"])
        assert (shown.severity, shown.headline) == ("high", "Usage fell 31 % in 28 days")
        assert (shown.cleared_at, shown.reason) == (b.START + timedelta(days=8), "recovered")

    def test_without_words_the_rule_is_named(self) -> None:
        shown = showing.alert_shown(b.case(b.raised(because={})).standings["a"])
        assert (shown.title, shown.headline, shown.text, shown.play, shown.because) == (
            "usage-drop",
            "Usage-drop",
            "",
            "",
            {},
        )


class TestCase:
    def test_it_says_who_what_and_how_much(self) -> None:
        made = b.case(
            b.raised("a", "low"),
            b.raised("b", "high", day=2),
            b.raised("c", "high", day=3),
            b.raised("s", "critical", shadow=True),
            b.raised("over"),
            b.cleared("over"),
            b.assigned("eve"),
            b.snoozed(600),
        )
        without = {"because": None}
        assert showing.case_shown(made, summary()) == CaseShown(
            account="acme",
            name="Acme Ltd",
            state="snoozed",
            version=made.version,
            severity="high",
            owner="bob",
            assignee="eve",
            by="ana",
            segment="smb",
            country="DE",
            arr=120_000,
            currency="EUR",
            renewal_on=date(2026, 8, 1),
            opened_at=b.at(0),
            changed_at=b.at(7),
            until=b.at(600),
            alerts=[
                showing.alert_shown(made.standings[id]).model_copy(update=without)
                for id in ("c", "b", "a")
            ],
        )

    @pytest.mark.parametrize(
        "stamp, owner", [(8, "bob"), (9, "bob"), (10, "ana")], ids=["older", "equal", "newer"]
    )
    def test_the_newer_word_on_the_account_counts(self, stamp: int, owner: str) -> None:
        shown = showing.case_shown(b.case(b.raised(stamp=stamp)), summary())
        assert shown is not None
        assert (shown.owner, shown.segment) == (owner, "smb")

    def test_without_a_summary_its_alerts_tell_of_the_account(self) -> None:
        shown = showing.case_shown(b.case(b.raised(owner="eve")), None)
        assert shown is not None
        assert (shown.owner, shown.name, shown.segment) == ("eve", None, None)

    def test_one_with_shadow_alerts_only_is_in_no_list(self) -> None:
        assert showing.case_shown(b.case(b.raised(shadow=True)), summary()) is None

    def test_a_list_holds_the_worst_of_very_many_alerts(self) -> None:
        records = [b.raised(f"a{n}", "low") for n in range(60)] + [b.raised("worst", "critical")]
        shown = showing.case_shown(b.case(*records), None)
        assert shown is not None
        assert len(shown.alerts) == showing.LINE_ALERTS
        assert shown.alerts[0].alert_id == "worst"


class TestParts:
    def test_what_changed_is_what_new_entries_are_about(self) -> None:
        made = b.case(b.raised("a"), b.raised("b"), b.commented("hi"), b.cleared("a"))
        new = made.entries[2:]
        assert showing.shown(made, summary(), new) == showing.ShownCase(
            account="acme",
            case=showing.case_shown(made, summary()),
            alerts=[showing.alert_shown(made.standings["a"])],
            kept=frozenset({"a", "b"}),
            moments=[moments.moment(one) for one in new],
            first=0,
        )

    def test_all_of_a_case_is_every_alert_and_every_entry(self) -> None:
        made = b.case(b.raised("a"), b.raised("b"), b.commented("hi"), b.cleared("a"))
        assert showing.whole(made, None) == showing.ShownCase(
            account="acme",
            case=showing.case_shown(made, None),
            alerts=[showing.alert_shown(made.standings[id]) for id in ("a", "b")],
            kept=frozenset({"a", "b"}),
            moments=[moments.moment(one) for one in made.entries],
            whole=True,
        )

    def test_the_stream_says_what_nobody_has_seen(self) -> None:
        made = b.case(b.raised("a"), b.commented(), b.raised("h", historic=True))
        known: dict[str, Any] = {"account": "acme", "version": 1, "severity": "medium", "id": ""}
        assert showing.changes(made, made.entries) == [
            Change(type="alert.raised", raised=True, **known),
            Change(type="case.commented", **known),
            Change(type="alert.raised", **known),
        ]

    def test_a_case_that_no_list_shows_has_no_version_in_the_stream(self) -> None:
        made = b.case(b.raised("a", shadow=True))
        assert showing.changes(made, made.entries) == [
            Change(id="", type="alert.raised", account="acme")
        ]

    def test_a_verdict_is_shown_as_it_was_given(self) -> None:
        answer = Answer(id="x", case="acme", status="conflict", version=3, state="open", detail="D")
        assert showing.answer_shown(answer) == ActionAnswer(
            id="x", account="acme", status="conflict", version=3, state="open", detail="D"
        )


class TestAccount:
    def test_a_line_counts_the_alerts_of_the_case(self) -> None:
        made = showing.case_shown(b.case(b.raised("a"), b.raised("b")), None)
        known: dict[str, Any] = {
            "account": "acme",
            "name": "Acme Ltd",
            "owner": "bob",
            "segment": "smb",
            "arr": 120_000,
            "currency": "EUR",
            "renewal_on": date(2026, 8, 1),
        }
        assert showing.account_shown(summary(open_alerts=7), made) == AccountShown(
            open_alerts=2, state="open", **known
        )
        assert showing.account_shown(summary(open_alerts=7), None) == AccountShown(
            open_alerts=7, **known
        )

    def test_a_page_has_open_alerts_first_then_those_that_ended_last(self) -> None:
        made = b.case(
            b.raised("old"),
            b.cleared("old", day=2),
            b.raised("new"),
            b.cleared("new", day=5),
            b.raised("low", "low"),
            b.raised("shadow", "critical", shadow=True),
            b.raised("high", "high"),
        )
        line = showing.case_shown(made, summary())
        alerts = [showing.alert_shown(one) for one in made.standings.values()]
        told = [Moment(n=1, at=NOW, type="case.commented", title="x")]
        page = showing.account_page(
            "acme",
            summary(
                seats=5,
                states={"usage": "ok"},
                least={"usage": 16},
                usual={"usage": Usual([9, 9, 9, 9, 7.5, 0, 0], 1.2, 0.05)},
                watch=["usage"],
            ),
            line,
            alerts,
            told,
            {},
            NOW,
            {"2026-05": {"": {"Labor Day": [1], "closure": [31]}}},
        )
        order = ["high", "low", "shadow", "new", "old"]
        assert page == AccountPage(
            account="acme",
            name="Acme Ltd",
            owner="bob",
            segment="smb",
            country="DE",
            arr=120_000,
            currency="EUR",
            renewal_on=date(2026, 8, 1),
            seats=5,
            states={"usage": "ok"},
            least={"usage": 16},
            usual={"usage": UsualShown(week=[9, 9, 9, 9, 7.5, 0, 0], dispersion=1.2, swing=0.05)},
            watch=["usage"],
            left_out={"": {"2026-05-01": "Labor Day"}},
            case=line,
            alerts=sorted(alerts, key=lambda one: order.index(one.alert_id)),
            timeline=told,
        )

    def test_of_an_account_without_a_summary_the_case_tells(self) -> None:
        line = showing.case_shown(b.case(b.raised(owner="eve")), None)
        assert showing.account_page("acme", None, line, [], [], {}, NOW) == AccountPage(
            account="acme", owner="eve", case=line
        )

    def test_an_account_without_a_case_is_shown_as_its_summary_says(self) -> None:
        page = showing.account_page("acme", summary(timezone="Asia/Tokyo"), None, [], [], {}, NOW)
        assert (page.name, page.country, page.timezone, page.case) == (
            "Acme Ltd",
            "DE",
            "Asia/Tokyo",
            None,
        )


class TestTooLong:
    def test_it_is_cut_and_never_escaped(self) -> None:
        because = dict.fromkeys(("headline", "text", "title", "play"), LONG)
        made = b.case(b.raised(because=because), b.commented(LONG[:4_000]))
        alert = showing.alert_shown(made.standings["a"])
        line = showing.case_shown(made, summary(name=LONG, segment=LONG))
        account = showing.account_shown(summary(name=LONG), line)
        told = [moments.moment(one) for one in made.entries]
        assert line is not None
        found = {
            "alert.headline": alert.headline,
            "alert.title": alert.title,
            "alert.text": alert.text,
            "alert.play": alert.play,
            "case.name": line.name,
            "case.segment": line.segment,
            "account.name": account.name,
            "moment.title": told[0].title,
            "moment.text": told[0].text,
            "comment": told[1].text,
        }
        assert {what: len(text or "") for what, text in found.items()} == {
            "alert.headline": 300,
            "alert.title": 300,
            "alert.text": 4_000,
            "alert.play": 120,
            "case.name": 120,
            "case.segment": 120,
            "account.name": 120,
            "moment.title": len(" (medium)") + 300,
            "moment.text": 4_000,
            "comment": 4_000,
        }
        assert {(text or "")[:4] for text in found.values()} == {"<b>x"}
