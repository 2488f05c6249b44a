from pathlib import Path

from services.backtest.spans import LIMIT, Spans
from services.detector.calendars import to_date
from services.ingest.history.files import find


def test_a_span_that_says_nothing_is_told_and_bounds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "accounts.csv"
    endless = "9" * 400
    path.write_text(
        f"account_id,start,days\na,2026-05-01,10\nb,2026-05-01,10.0\nc,2026-05-01,{endless}\n"
        "d,,10\ne,2026-05-01,0\nf,2026-05-01,-1\ng,2026-05-01,\n"
    )
    spans = Spans().read(find([path], "accounts"))
    assert {account: to_date(day).isoformat() for account, day in spans.items()} == {
        "a": "2026-05-10",
        "b": "2026-05-10",
    }
    bound = f"must be a whole number from 1 to {LIMIT}"
    assert spans.wrong == [
        f"{path} row 3, column days: {endless[:40]!r} {bound}",
        f"{path} row 4, column days: it says nothing without a start such as 2026-05-14",
        f"{path} row 5, column days: '0' {bound}",
        f"{path} row 6, column days: '-1' {bound}",
    ]
