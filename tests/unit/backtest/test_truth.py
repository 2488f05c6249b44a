import gzip
from collections import Counter
from datetime import date
from pathlib import Path

import duckdb
import pytest

from services.backtest.estimates import Quartiles
from services.backtest.judged import Catch, Judged
from services.backtest.outcome import Outcome
from services.backtest.truth import Churn, Truth, judge
from services.backtest.truth_file import read
from services.ingest.history.files import HistoryError
from tests.unit.backtest.builders import on, outcome, row


def truth(*churns: Churn) -> Truth:
    return Truth(sorted(churns), Counter(), [])


def left(account: str, day: int, amount: int | None = None) -> Churn:
    return Churn(on(day), account, amount)


def judged(found: Outcome, *churns: Churn, horizon: int = 90) -> Judged:
    return judge(found, truth(*churns), horizon)


def write(folder: Path, text: str, name: str = "churn.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_a_warning_is_right_if_the_account_leaves_within_the_horizon() -> None:
    found = outcome([row("a", 100), row("b", 100), row("c", 100), row("d", 100)])
    # 90 days on the last day of the horizon, 91 after it, nobody leaves at d.
    one = judged(found, left("a", 190), left("b", 191), left("c", 101)).overall
    assert one.verdicts == {"right": 2, "wrong": 2}
    assert one.precision == 0.5
    assert one.churns == 3
    assert [(catch.churn.account, catch.days) for catch in one.caught] == [("c", 1), ("a", 90)]


def test_an_alert_on_the_day_itself_comes_after_the_account_has_left() -> None:
    one = judged(outcome([row("a", 100)]), left("a", 100)).overall
    assert (one.verdicts, one.caught, one.recall) == ({"after": 1}, [], 0.0)


def test_an_account_that_came_back_is_judged_again_once_the_horizon_is_over() -> None:
    one = judged(outcome([row("a", 100), row("a", 195)], days=600), left("a", 50)).overall
    # 50 days after it left the alert says what is known; 145 days after it is a false alarm.
    assert one.verdicts == {"after": 1, "wrong": 1}


def test_a_warning_whose_horizon_is_not_over_is_judged_by_nobody() -> None:
    # Judged to day 363; horizon 90: whatever was raised after day 273 is too recent, right or not.
    found = outcome([row("a", 273), row("b", 274), row("c", 274)])
    one = judged(found, left("b", 300)).overall
    assert one.verdicts == {"wrong": 1, "too_recent": 2}
    # The churn is caught all the same: that it was is known.
    assert [catch.churn.account for catch in one.caught] == ["b"]


def test_a_churn_after_the_last_judged_day_says_until_when_is_known_who_left() -> None:
    found = outcome([row("a", 300)], days=364)
    assert judged(found, left("z", 389)).overall.verdicts == {"too_recent": 1}
    assert judged(found, left("z", 390)).overall.verdicts == {"wrong": 1}
    # A slip of the pen does not make the future known.
    assert judged(found, left("z", 36_500)).overall.verdicts == {"too_recent": 1}


def test_all_rules_together_count_what_is_less_than_four_weeks_apart_once() -> None:
    rows = [row("a", 100), row("a", 127, "account-silent"), row("a", 155), row("b", 110)]
    one = judged(outcome(rows), left("a", 160))
    assert one.overall.verdicts == {"right": 2, "wrong": 1}
    assert {each.rule: dict(each.verdicts) for each in one.rules} == {
        "usage-drop": {"right": 2, "wrong": 1},
        "account-silent": {"right": 1},
        "usage-fast-drop": {},
    }
    (catch,) = one.overall.caught
    assert catch == Catch(left("a", 160), row("a", 100), 60)


def test_shadow_rules_are_measured_and_not_in_the_sum_and_good_news_warns_of_nothing() -> None:
    rows = [row("a", 100, "usage-fast-drop"), row("b", 100, "usage-expansion")]
    one = judged(outcome(rows), left("a", 150), left("b", 150))
    assert (one.overall.judged, one.overall.recall) == (0, 0.0)
    assert [(each.rule, each.judged, each.recall) for each in one.rules] == [
        ("usage-drop", 0, 0.0),
        ("account-silent", 0, 0.0),
        ("usage-fast-drop", 1, 0.5),
    ]


def test_lead_time_money_and_late_catches() -> None:
    rows = [row("a", 100), row("b", 100), row("c", 100)]
    churns = left("a", 110, 1_000), left("b", 140, 3_000), left("c", 160), left("d", 150, 6_000)
    one = judged(outcome(rows), *churns)
    assert one.overall.lead == Quartiles(25.0, 40.0, 50.0)
    assert one.overall.late == 1
    assert (one.overall.money, one.overall.money_caught) == (10_000, 4_000)
    assert one.overall.money_recall == 0.4
    assert one.missed == [left("d", 150, 6_000)]
    assert one.currency == "EUR"


def test_without_amounts_there_is_no_share_of_the_money() -> None:
    one = judged(outcome([row("a", 100)]), left("a", 110)).overall
    assert (one.money, one.money_caught, one.money_recall) == (None, None, None)


def test_churns_that_could_not_be_caught_are_counted_apart() -> None:
    churns = left("a", 0), left("b", 1), left("c", 364), left("d", 365), left("e", 100)
    one = judge(outcome(), truth(*churns), 90, known={"a", "b", "c", "d"})
    assert one.overall.churns == 2
    assert one.left_out == {
        "before the first judged day": 1,
        "after the last judged day": 1,
        "unknown account": 1,
    }
    # One day was judged before b left.
    assert one.partly == 1


def test_chance_is_the_share_of_days_before_a_churn() -> None:
    # 10 accounts, 364 days, horizon 90: of days 0 to 273 the 90 before day 200, of one account.
    one = judged(outcome(), left("a", 200))
    assert one.chance == pytest.approx(90 / (10 * 274))


def test_nothing_is_known_where_the_backtest_is_shorter_than_the_horizon() -> None:
    one = judged(outcome([row("a", 10)], days=60), left("a", 50))
    assert (one.overall.verdicts, one.overall.precision, one.chance) == (
        {"too_recent": 1},
        None,
        None,
    )
    assert one.overall.recall == 1.0


def test_a_horizon_of_no_days_is_refused() -> None:
    with pytest.raises(ValueError, match="0 days"):
        judge(outcome(), truth(), 0)


def test_churns_are_read_from_csv(tmp_path: Path) -> None:
    path = write(
        tmp_path, "Date,account_id,amount,why\n2026-05-14,b,,\n2026-05-01,a,1200.0,price\n"
    )
    assert read(path) == Truth(
        [Churn(date(2026, 5, 1), "a", 1200), Churn(date(2026, 5, 14), "b", None)], Counter(), []
    )


def test_churns_are_read_from_parquet(tmp_path: Path) -> None:
    path = tmp_path / "churn.parquet"
    with duckdb.connect() as base:
        base.execute(
            "COPY (SELECT 'a' AS account_id, TIMESTAMP '2026-05-01 13:00:00' AS date, "
            f"12.0::DOUBLE AS amount) TO '{path}' (FORMAT parquet)"
        )
    assert read(path).churns == [Churn(date(2026, 5, 1), "a", 12)]


def test_bad_rows_are_refused_one_by_one(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "account_id,date,amount\n"
        ",2026-05-01,\n"
        "a,14/5/2026,\n"
        "b,2026-05-01,12.50\n"
        "c,2026-05-01,1,2\n"
        "d,2026-05-01,-1\n"
        "e,2026-02-30,\n"
        "f,2026-05-01,\n"
        "f,2026-05-01,5\n"
        "f,2026-06-01,5\n",
    )
    found = read(path)
    assert found.churns == [Churn(date(2026, 5, 1), "f", None), Churn(date(2026, 6, 1), "f", 5)]
    assert found.refused == {"invalid": 5, "broken_row": 1, "duplicate": 1}
    assert found.examples[0].startswith(f"{path} line 5: ")
    assert found.examples[1:] == [
        f"{path} row 1: the account is missing; account_id has 1 to 200 characters",
        f"{path} row 2: date '14/5/2026' is none; write it as 2026-05-14",
        f"{path} row 3: amount '12.50' must be a whole number of minor units from 0 to 2^53, as "
        "arr is in a file of accounts",
        # The broken line is row 4.
        f"{path} row 5: amount '-1' must be a whole number of minor units from 0 to 2^53, as arr "
        "is in a file of accounts",
    ]


def test_a_date_before_all_history_is_refused(tmp_path: Path) -> None:
    found = read(write(tmp_path, "account_id,date\na,0001-01-01\nb,2026-05-01\n"))
    assert (found.churns, found.refused) == ([Churn(date(2026, 5, 1), "b", None)], {"invalid": 1})


@pytest.mark.parametrize(
    "text, why",
    [
        ("account_id,day\na,2026-05-01\n", "misses the column 'date'"),
        ("account,date\na,2026-05-01\n", "misses the column 'account_id'"),
        ("", "misses the column 'account_id'"),
    ],
)
def test_a_file_without_its_columns_is_refused(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(HistoryError, match=why):
        read(write(tmp_path, text))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="cannot be read"):
        read(tmp_path / "churn.csv")


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_of_churns_with_mixed_line_ends_is_read(tmp_path: Path, packed: bool) -> None:
    raw = b"account_id,date\na,2026-05-01\r\nb,2026-05-02\r\nc,2026-05-03\n"
    path = tmp_path / ("churn.csv.gz" if packed else "churn.csv")
    path.write_bytes(gzip.compress(raw) if packed else raw)
    found = read(path)
    assert [(one.account, one.on.day) for one in found.churns] == [("a", 1), ("b", 2), ("c", 3)]
    assert found.refused == {}


def test_a_damaged_file_of_churns_is_told_in_plain_words(tmp_path: Path) -> None:
    path = tmp_path / "churn.csv.gz"
    path.write_bytes(gzip.compress(b"account_id,date\n" + b"a,2026-05-01\n" * 90_000)[:-99])
    with pytest.raises(HistoryError, match=r"churn\.csv\.gz cannot be read: .*pack it again"):
        read(path)
