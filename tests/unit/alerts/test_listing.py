import base64
import json
import random
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.alerts import SEVERITIES, Severity
from services.alerts.listing import BadCursor, CasePage, Filter, Sort, page, rank
from services.alerts.shown import AlertShown, CaseShown

TODAY = date(2026, 5, 14)
START = datetime(2026, 5, 1, tzinfo=UTC)
SORTS: tuple[Sort, ...] = get_args(Sort)


def alert(**fields: Any) -> AlertShown:
    known: dict[str, Any] = {
        "alert_id": "a",
        "account": "acme",
        "rule": "usage-drop",
        "rule_set": 1,
        "kind": "usage_drop",
        "object": "usage",
        "day": TODAY,
        "fired_at": START,
        "severity": "high",
        "category": "early_signals",
        "churn_kind": "voluntary",
    }
    return AlertShown(**(known | fields))


def case(account: str = "acme", **fields: Any) -> CaseShown:
    known: dict[str, Any] = {
        "state": "open",
        "version": 1,
        "severity": "high",
        "opened_at": START,
        "changed_at": START,
    }
    return CaseShown(account=account, **(known | fields))


def listed(
    cases: list[CaseShown],
    wanted: Filter | None = None,
    sort: Sort = "rank",
    cursor: str | None = None,
    limit: int = 100,
) -> CasePage:
    found = page(cases, wanted or Filter(), sort, TODAY, cursor, limit)
    assert isinstance(found, CasePage)
    return found


def ids(found: CasePage) -> list[str]:
    return [one.account for one in found.items]


severities: st.SearchStrategy[Severity] = st.sampled_from(SEVERITIES)
amounts = st.none() | st.integers(-(10**6), 10**12)
renewals = st.none() | st.integers(-1_000, 3_000).map(lambda days: TODAY + timedelta(days))
cases_ = st.builds(case, severity=severities, arr=amounts, renewal_on=renewals)


class TestRank:
    def test_it_is_severity_times_revenue_times_nearness(self) -> None:
        in_a_month = TODAY + timedelta(days=30)
        table = {
            # 8 x (12,000.00 + 100.00) x (1 + 3 * 30 / 60)
            ("high", 1_200_000, in_a_month): 8 * 12_100 * 2.5,
            ("critical", 1_200_000, in_a_month): 16 * 12_100 * 2.5,
            ("high", 1_200_000, TODAY): 8 * 12_100 * 4,
            # What is unknown counts as 10,000.00, and as 180 days; so does what is past.
            ("info", None, None): 1 * 10_100 * (1 + 90 / 210),
            ("low", 0, TODAY - timedelta(days=1)): 2 * 100 * (1 + 90 / 210),
            ("low", -500, None): 2 * 100 * (1 + 90 / 210),
        }
        for (severity, arr, renewal), expected in table.items():
            one = case(severity=severity, arr=arr, renewal_on=renewal)
            assert rank(one, TODAY) == pytest.approx(expected)

    @given(cases_)
    def test_it_grows_with_severity(self, one: CaseShown) -> None:
        ranks = [rank(one.model_copy(update={"severity": s}), TODAY) for s in SEVERITIES]
        assert all(less < more for less, more in pairwise(ranks))

    @given(cases_, st.integers(0, 10**11), st.integers(1, 10**11))
    def test_it_grows_with_revenue(self, one: CaseShown, arr: int, more: int) -> None:
        less, greater = (one.model_copy(update={"arr": n}) for n in (arr, arr + more))
        assert rank(less, TODAY) < rank(greater, TODAY)

    @given(cases_, st.integers(0, 2_000), st.integers(1, 2_000))
    def test_it_grows_as_the_renewal_comes_nearer(
        self, one: CaseShown, days: int, more: int
    ) -> None:
        near, far = (
            one.model_copy(update={"renewal_on": TODAY + timedelta(days=n)})
            for n in (days, days + more)
        )
        assert rank(near, TODAY) > rank(far, TODAY)


class TestFilter:
    CASES = (
        case("a", state="open", owner="ana", severity="high", segment="smb", arr=100),
        case("b", state="snoozed", owner="ana", assignee="bob", arr=200, name="Bäcker & Co"),
        case("c", state="resolved", severity="low", segment="ent", renewal_on=TODAY),
        case("d", alerts=[alert(), alert(rule="silence", category="relationship")], arr=300),
        case("e", renewal_on=TODAY - timedelta(days=1), owner="eve"),
        case("f", renewal_on=TODAY + timedelta(days=30), owner="eve"),
    )

    @pytest.mark.parametrize(
        "wanted, found",
        [
            (Filter(), "abcdef"),
            (Filter(state=frozenset({"open"})), "adef"),
            (Filter(state=frozenset({"snoozed", "resolved"})), "bc"),
            (Filter(owner=frozenset({"ana"})), "ab"),
            (Filter(owner=frozenset({"bob"})), "b"),
            (Filter(owner=frozenset({""})), "cd"),
            (Filter(owner=frozenset({"", "bob"})), "bcd"),
            (Filter(severity=frozenset({"low"})), "c"),
            (Filter(segment=frozenset({"smb"})), "a"),
            (Filter(segment=frozenset({"", "ent"})), "bcdef"),
            (Filter(category=frozenset({"relationship"})), "d"),
            (Filter(rule=frozenset({"silence", "x"})), "d"),
            (Filter(min_arr=200), "bd"),
            (Filter(max_arr=200), "ab"),
            (Filter(min_arr=200, max_arr=200), "b"),
            (Filter(renewal_before=TODAY + timedelta(days=30)), "c"),
            (Filter(renewal_before=TODAY + timedelta(days=31)), "cf"),
            (Filter(q=" BÄCK "), "b"),
            (Filter(q="D"), "d"),
            (Filter(q="nobody"), ""),
            (Filter(owner=frozenset({"ana"}), min_arr=150), "b"),
        ],
    )
    def test_it_takes_what_matches_all_that_is_asked(self, wanted: Filter, found: str) -> None:
        assert "".join(one.account for one in self.CASES if wanted.takes(one, TODAY)) == found


class TestOrder:
    CASES = (
        case("a", arr=900, opened_at=START + timedelta(9), changed_at=START + timedelta(9)),
        case("b", arr=500, opened_at=START + timedelta(2), changed_at=START + timedelta(10)),
        case("c", arr=400, opened_at=START + timedelta(3), changed_at=START + timedelta(11)),
        case("d", opened_at=START + timedelta(1), changed_at=START + timedelta(1)),
    )
    RENEWALS = (-1, 1, 400, None)

    @pytest.mark.parametrize(
        "sort, order", [("age", "dbca"), ("renewal", "bcad"), ("arr", "abcd"), ("changed", "cbad")]
    )
    def test_each_sort_has_its_order(self, sort: Sort, order: str) -> None:
        cases = [
            one.model_copy(update={"renewal_on": days and TODAY + timedelta(days=days)})
            for one, days in zip(self.CASES, self.RENEWALS, strict=True)
        ]
        assert "".join(ids(listed(cases, sort=sort))) == order

    def test_the_most_urgent_ranks_first(self) -> None:
        cases = [case(one, severity=one, arr=500) for one in SEVERITIES]
        assert ids(listed(cases)) == list(reversed(SEVERITIES))

    @pytest.mark.parametrize("sort", SORTS)
    def test_what_is_equal_stands_by_id_whatever_the_order_it_comes_in(self, sort: Sort) -> None:
        cases = [case(f"acct_{n}") for n in range(9)]
        shuffled = random.Random(1).sample(cases, len(cases))
        assert ids(listed(shuffled, sort=sort)) == [one.account for one in cases]


some_cases = st.lists(
    st.builds(
        case,
        st.text("abü/ ", min_size=1, max_size=4),
        severity=severities,
        arr=amounts,
        renewal_on=renewals,
        opened_at=st.integers(0, 3).map(lambda n: START + timedelta(microseconds=n)),
        changed_at=st.integers(0, 3).map(lambda n: START + timedelta(microseconds=n)),
    ),
    max_size=25,
    unique_by=lambda one: one.account,
)


class TestPages:
    @given(some_cases, st.sampled_from(SORTS), st.integers(1, 7))
    def test_one_after_the_other_they_are_the_whole_list(
        self, cases: list[CaseShown], sort: Sort, limit: int
    ) -> None:
        whole = listed(cases, sort=sort)
        found: list[CaseShown] = []
        cursor = None
        while True:
            one = listed(cases, sort=sort, cursor=cursor, limit=limit)
            assert one.total == len(cases)
            assert len(one.items) == limit or one.next is None
            found += one.items
            cursor = one.next
            if cursor is None:
                break
        assert found == whole.items

    @given(some_cases, st.sampled_from(SORTS), st.data())
    def test_what_comes_and_goes_in_between_neither_repeats_nor_hides_another(
        self, cases: list[CaseShown], sort: Sort, data: st.DataObject
    ) -> None:
        first = listed(cases, sort=sort, limit=3)
        if first.next is None:
            return
        gone = data.draw(st.sets(st.sampled_from([one.account for one in cases])))
        come = [one.model_copy(update={"account": f"{one.account}+"}) for one in cases[:3]]
        later = [one for one in cases if one.account not in gone] + come
        following = listed(later, sort=sort, cursor=first.next)
        stayed = [one for one in listed(cases, sort=sort).items[3:] if one.account not in gone]
        assert [one for one in following.items if one in cases] == stayed
        assert set(ids(following)).isdisjoint(ids(first))

    def test_midnight_between_two_pages_changes_no_order(self) -> None:
        # Tomorrow the renewal of b is past, and b would rank behind c.
        cases = [
            case("a", arr=10**9),
            case("b", arr=10**7, renewal_on=TODAY),
            case("c", arr=2 * 10**7),
        ]
        first = listed(cases, limit=1)
        following = page(cases, Filter(), "rank", TODAY + timedelta(days=1), first.next, 1)
        assert isinstance(following, CasePage)
        assert ids(first) + ids(following) == ["a", "b"]

    def test_a_list_without_cases_is_one_empty_page(self) -> None:
        assert listed([]) == CasePage([], None, 0)

    def test_a_page_that_just_holds_all_is_the_last(self) -> None:
        assert listed([case("a"), case("b")], limit=2).next is None


def cursor(*parts: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(parts).encode()).decode().rstrip("=")


class TestCursor:
    @pytest.mark.parametrize(
        "text",
        [
            "",
            "x",
            "é",
            "====",
            "AAAA",
            "not a cursor",
            cursor(),
            cursor("rank"),
            cursor("rank", "2026-05-14", [1], "a"),
            cursor("rank", "2026-05-14", [1, 2, 3], "a"),
            cursor("rank", "2026-05-14", ["1", 2], "a"),
            cursor("rank", "14 May", [1, 2], "a"),
            cursor("rank", "2026-05-14", [1, 2], None),
            cursor("rank", "2026-05-14", [1, 2], "x" * 9_000),
            base64.urlsafe_b64encode(b'["rank","2026-05-14",[NaN,1],"a"]').decode(),
            base64.urlsafe_b64encode(b"\xff" * 30).decode(),
        ],
    )
    def test_what_this_list_never_gave_is_refused(self, text: str) -> None:
        assert page([case()], Filter(), "rank", TODAY, text, 9) == BadCursor(
            "it is none that this list gave; leave it out to begin with the first page", "cursor"
        )

    def test_one_of_another_order_is_refused_and_said(self) -> None:
        given_by = listed([case("a"), case("b")], sort="age", limit=1).next
        assert page([case()], Filter(), "arr", TODAY, given_by, 9) == BadCursor(
            "it is of a list sorted by age, not by arr: begin anew", "cursor"
        )

    @given(st.text() | st.binary().map(lambda raw: base64.urlsafe_b64encode(raw).decode()))
    def test_any_text_is_a_value_and_no_exception(self, text: str) -> None:
        for sort in SORTS:
            assert isinstance(page([case()], Filter(), sort, TODAY, text, 9), BadCursor | CasePage)
