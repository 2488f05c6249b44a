import gzip
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas.cloudevents import Incoming
from schemas.events import (
    AccountUpdated,
    TicketOpened,
    UsageRecorded,
)
from services.ingest.history.files import HistoryError, HistoryFile, Kind, find
from services.ingest.history.play import HOUR
from services.ingest.history.reading import Refusal as RefusedRow
from services.ingest.history.reading import Rows
from services.ingest.history.staging import Staging

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


def micros(at: datetime) -> int:
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def at(day: int, hour: float = 10) -> int:
    """Microseconds of an hour of a day of May 2026."""
    return micros(datetime(2026, 5, day, tzinfo=UTC)) + int(hour * HOUR)


def number(day: int) -> int:
    """Days since 1970 of a day of May 2026."""
    return (date(2026, 5, day) - date(1970, 1, 1)).days


def write(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def read(
    paths: Sequence[Path], kind: Kind | None = None
) -> tuple[list[Incoming], list[RefusedRow]]:
    """Everything that an import of these files would play, and what it refuses."""
    files = find(paths, kind)
    rows = Rows(files, micros(NOW))
    played: list[Incoming] = []
    with Staging(files) as staging:
        staging.load(micros(NOW))
        refused = rows.broken(staging.broken())
        for row in staging.rows():
            outcome = rows.read(row)
            if isinstance(outcome, RefusedRow):
                refused.append(outcome)
            else:
                played.extend(outcome)
    return played, refused


@pytest.mark.parametrize(
    "name, head, kind",
    [
        ("x.csv", "account_id,date,count", "usage"),
        ("x.csv", "Account_ID; Date ;COUNT;metric", "usage"),
        ("x.tsv", "account_id\tdate\tcount", "usage"),
        ("x.csv", "account_id,date,ticket", "tickets"),
        ("x.csv", "account_id,date,priority", "tickets"),
        ("tickets_2026.csv", "account_id,date,count", "tickets"),
        ("x.csv", "account_id,name,owner,arr", "accounts"),
        ("x.csv", "account_id,start,days", "accounts"),
        ("x.ndjson", "{}", "events"),
        ("x.jsonl", "", "events"),
    ],
)
def test_the_kind_of_a_file_is_found_from_its_extension_and_columns(
    tmp_path: Path, name: str, head: str, kind: Kind
) -> None:
    assert [file.kind for file in find([write(tmp_path, name, head + "\n")])] == [kind]


@pytest.mark.parametrize(
    "name, text, kind, words",
    [
        ("u.csv", "account_id,date\n", "usage", ["u.csv", "misses the column 'count'", "add it"]),
        ("a.csv", "name,owner\n", "accounts", ["a.csv", "'account_id'", "rename"]),
        ("u.csv", "account_id,date,count,Count\n", "usage", ["'count' twice"]),
        ("c.csv", "account_id,date,amount\n", None, ["account_id, date, amount", "--kind"]),
        ("e.csv", "", None, ["none", "--kind"]),
        ("u.xlsx", "", None, [".xlsx", "extension", ".parquet"]),
        ("u.parquet", "no parquet", None, ["u.parquet cannot be read"]),
        ("e.ndjson", "{}", "usage", ["events are read from NDJSON"]),
    ],
)
def test_an_unfit_file_refuses_the_import_with_its_name_and_the_remedy(
    tmp_path: Path, name: str, text: str, kind: Kind | None, words: list[str]
) -> None:
    with pytest.raises(HistoryError) as refused:
        find([write(tmp_path, name, text)], kind)
    assert [word for word in words if word not in str(refused.value)] == []


def test_a_missing_file_refuses_the_import(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match=r"nowhere\.csv cannot be read"):
        find([tmp_path / "nowhere.csv"])


def test_two_files_of_one_name_are_refused_because_their_ids_would_be_equal(
    tmp_path: Path,
) -> None:
    (tmp_path / "b").mkdir()
    paths = [
        write(tmp_path, "u.csv", "account_id,date,count\n"),
        write(tmp_path, "b/u.tsv", "account_id\tdate\tcount\n"),
    ]
    with pytest.raises(HistoryError, match="same name 'u'"):
        find(paths)


def test_a_file_without_any_readable_date_refuses_the_import(tmp_path: Path) -> None:
    path = write(tmp_path, "u.csv", "account_id,date,count\na,14.05.2026,1\n")
    with pytest.raises(HistoryError, match=r"no row has a readable date \(such as '14.05.2026'\)"):
        read([path])


def test_an_import_of_the_future_alone_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, "u.csv", "account_id,date,count\na,2199-05-14,1\n")
    with pytest.raises(HistoryError, match=r"u\.csv: none of 1 rows lies between 1970 and now"):
        read([path])


def test_a_row_with_a_date_happens_at_ten_utc_and_carries_its_day(tmp_path: Path) -> None:
    text = "account_id,date,count,metric,person,feature\nacme,2026-05-04,2.5,api_calls,ana,x\n"
    event = UsageRecorded(metric="api_calls", quantity=2.5, person="ana", feature="x")
    assert read([write(tmp_path, "u.csv", text)]) == (
        [Incoming("u:1", "import/usage", at(4), "acme", event, number(4))],
        [],
    )


@pytest.mark.parametrize(
    "text, when, day",
    [
        ("2026-05-04", at(4), number(4)),
        ("2026-05-04 00:00:00", at(4), number(4)),
        ("2026-05-04T00:00:00.000000", at(4), number(4)),
        ("2026-05-04T09:30:00Z", at(4, 9.5), None),
        ("2026-05-04T09:30:00.5z", at(4, 9.5) + 500_000, None),
        ("2026-05-04 09:30:00+02:00", at(4, 7.5), None),
        ("2026-05-04 09:30:00-0230", at(4, 12), None),
    ],
)
def test_dates_and_aware_times_are_read(
    tmp_path: Path, text: str, when: int, day: int | None
) -> None:
    path = write(tmp_path, "u.csv", f"account_id,date,count\nacme,{text},1\n")
    [found], refused = read([path])
    assert (found.time, found.day, refused) == (when, day, [])


@pytest.mark.parametrize(
    "row, column, reason, words",
    [
        ("acme,2026-02-30,1", "date", "invalid", "'2026-02-30' is no date"),
        ("acme,,1", "date", "invalid", "it is empty: write it as 2026-05-14"),
        ("acme,2026-05-04 09:30,1", "date", "invalid", "2026-05-14T09:31:07Z"),
        ("acme,1969-12-31,1", "date", "invalid", "after 1970"),
        ("acme,2026-06-02,1", "date", "future", "lies in the future"),
        (",2026-05-04,1", "account_id", "invalid", "1 to 200 characters"),
        ("a" * 201 + ",2026-05-04,1", "account_id", "invalid", "too long"),
        ("acme,2026-05-04,", "count", "invalid", "it is empty: write a number"),
        ("acme,2026-05-04,-1", "count", "invalid", "-1 is refused"),
        ("acme,2026-05-04,NaN", "count", "invalid", "nan is refused"),
        ("acme,2026-05-04,true", "count", "invalid", "'true' is refused"),
        ("acme,2026-05-04,1_0", "count", "invalid", "'1_0' is refused"),
        ("acme,2026-05-04,1.0005", "count", "invalid", "three decimals"),
        ("acme,2026-05-04,1,#", "metric", "invalid", "'#' is refused"),
    ],
)
def test_a_bad_row_is_refused_alone_with_its_column_and_reason(
    tmp_path: Path, row: str, column: str, reason: str, words: str
) -> None:
    cells = row if row.count(",") == 3 else f"{row},"
    text = f"account_id,date,count,metric\nacme,2026-05-01,1,\n{cells}\nacme,2026-05-03,1,\n"
    played, [refused] = read([write(tmp_path, "u.csv", text)])
    assert [found.id for found in played] == ["u:1", "u:3"]
    assert (refused.row, refused.why.field, refused.why.reason) == ("row 2", column, reason)
    assert words in str(refused)
    assert str(tmp_path / "u.csv") in str(refused)
    assert refused.reject().source == "import/usage"
    assert refused.reject().detail.startswith("u.csv row 2: ")


def test_lines_that_are_no_rows_are_refused_and_counted_with_the_rows(tmp_path: Path) -> None:
    path = tmp_path / "u.csv"
    path.write_bytes(
        b"\xef\xbb\xbfaccount_id,date,count\r\na,2026-05-01,1\r\nb,2026-05-01\r\n"
        b"c\xff,2026-05-01,1\r\nd,2026-05-01,x\r\n"
    )
    played, refused = read([path])
    assert [found.account for found in played] == ["a"]
    assert [(each.row, each.why.reason) for each in refused] == [
        ("line 3", "broken_row"),
        ("line 4", "broken_row"),
        ("row 4", "invalid"),
    ]


def test_files_are_merged_by_time_with_accounts_before_usage_before_others(
    tmp_path: Path,
) -> None:
    paths = [
        write(tmp_path, "tickets.csv", "account_id,date,priority\na,2026-05-04,1\n"),
        write(tmp_path, "v.csv", "account_id,date,count\na,2026-05-05,1\na,2026-05-04,1\n"),
        write(tmp_path, "u.csv", "account_id,date,count\na,2026-05-04,1\nb,2026-05-04,1\n"),
        write(tmp_path, "accounts.csv", "account_id,name,start\na,A,2026-05-04\nb,B,\n"),
    ]
    played, _ = read(paths)
    order = ["accounts:1", "accounts:2", "v:2", "u:1", "u:2", "tickets:1", "v:1"]
    assert [found.id for found in played] == order


def test_an_account_begins_with_the_history_however_long_before_it_was_won(
    tmp_path: Path,
) -> None:
    accounts = (
        "account_id,name,owner,segment,country,timezone,arr,currency,renewal_on,seats,start,days\n"
        "a,Acme,ana,smb,PT,Europe/Lisbon,120000.0,EUR,2026-08-01,5,2019-01-01,400\nb,,,,,,,,,,,\n"
        "c,,,,,,,,,,2026-05-06,\n"
    )
    paths = [
        write(tmp_path, "accounts.csv", accounts),
        write(tmp_path, "u.csv", "account_id,date,count\na,2026-05-05,1\na,2026-05-04,1\n"),
    ]
    full = AccountUpdated(
        name="Acme",
        owner="ana",
        segment="smb",
        country="PT",
        timezone="Europe/Lisbon",
        arr=120000,
        currency="EUR",
        renewal_on=date(2026, 8, 1),
        seats=5,
        started_on=date(2019, 1, 1),
    )
    late = AccountUpdated(started_on=date(2026, 5, 6))
    found = [one for one in read(paths)[0] if one.source == "import/accounts"]
    assert found == [
        Incoming("accounts:1", "import/accounts", at(4), "a", full),
        Incoming("accounts:2", "import/accounts", at(4), "b", AccountUpdated()),
        Incoming("accounts:3", "import/accounts", at(6), "c", late, number(6)),
    ]


@pytest.mark.parametrize(
    "cells, column",
    [
        ("a,x,,,", "start"),
        ("a,,Mars/Base,,", "timezone"),
        ("a,,,12.5,", "arr"),
        ("a,,,,-1", "seats"),
    ],
)
def test_a_bad_attribute_refuses_its_account_alone(tmp_path: Path, cells: str, column: str) -> None:
    text = f"account_id,start,timezone,arr,seats\n{cells}\nb,2026-05-04,,,\n"
    played, [refused] = read([write(tmp_path, "a.csv", text)])
    assert ([one.account for one in played], refused.why.field) == (["b"], column)


def test_accounts_without_any_date_begin_now(tmp_path: Path) -> None:
    [found], _ = read([write(tmp_path, "a.csv", "account_id,name\na,A\n")])
    assert found.time == micros(NOW)


def test_counted_tickets_become_as_many_events(tmp_path: Path) -> None:
    counted = write(
        tmp_path,
        "tickets.csv",
        "account_id,date,count,priority\na,2026-05-04,2,1\nb,2026-05-04,0,\nc,2026-05-04,10001,\n",
    )
    named = write(tmp_path, "t.csv", "account_id,date,ticket\na,2026-05-05,INC7\n")
    played, [refused] = read([counted, named])
    assert [(one.id, one.event) for one in played] == [
        ("tickets:1:1", TicketOpened(ticket="tickets:1:1", priority=1)),
        ("tickets:1:2", TicketOpened(ticket="tickets:1:2", priority=1)),
        ("t:1", TicketOpened(ticket="INC7")),
    ]
    assert refused.why.detail == "'10001' must be a whole number from 0 to 10000"


def test_parquet_and_gzip_play_the_same_events_as_csv(tmp_path: Path) -> None:
    text = "account_id,date,count,person\nacme,2026-05-04,3,ana\nacme,2026-05-05,1.5,\n"
    (tmp_path / "csv").mkdir()
    plain = write(tmp_path, "csv/u.csv", text)
    packed = tmp_path / "u.csv.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    columns = tmp_path / "u.parquet"
    duckdb.execute(f"COPY (SELECT * FROM read_csv('{plain}')) TO '{columns}'")
    expected = read([plain])
    assert len(expected[0]) == 2
    assert read([packed]) == expected
    assert read([columns]) == expected


def test_persons_are_attributed_by_what_the_run_knew_before_and_others_left_to_the_log(
    tmp_path: Path,
) -> None:
    def event(id: str, type: str, hour: int, **data: object) -> str:
        time = f"2026-05-04T{hour:02}:00:00Z"
        outer = {"specversion": "1.0", "id": id, "source": "app", "type": type, "time": time}
        return msgspec.json.encode(outer | {"data": data}).decode()

    path = write(
        tmp_path,
        "e.ndjson",
        "\n".join(
            [
                event("late", "usage.recorded", 11, metric="x", person="ana"),
                event("early", "usage.recorded", 9, metric="x", person="ana"),
                event("joins", "person.joined", 10, person="ana", account="acme"),
                "",
                event("system", "clock.ticked", 10, at=1, mode="live"),
            ]
        ),
    )
    played, refused = read([path])
    # Whom ana belonged to at nine may be known from an earlier import, or become known later.
    assert [(one.id, one.account, one.person) for one in played] == [
        ("early", None, "ana"),
        ("joins", "acme", None),
        ("late", "acme", None),
    ]
    assert [(each.row, each.why.reason) for each in refused] == [("row 5", "unknown_type")]


def test_an_event_needs_its_time(tmp_path: Path) -> None:
    lines = [
        '{"specversion":"1.0","id":"1","source":"a","type":"usage.recorded","subject":"a",'
        '"data":{"metric":"x"}}',
        '{"specversion":"1.0","id":"2","source":"a","type":"usage.recorded","subject":"a",'
        '"time":"2026-05-04T10:00:00Z","data":{"metric":"x"}}',
        "[" * 40,
    ]
    played, refused = read([write(tmp_path, "e.ndjson", "\n".join(lines))])
    assert [one.id for one in played] == ["2"]
    assert [each.why.field for each in refused] == ["time", ""]


counts = st.lists(
    st.tuples(st.sampled_from("abc"), st.integers(1, 30), st.integers(0, 1000)), min_size=1
)


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=counts, second=counts)
def test_what_is_played_equals_a_recount_of_the_files_in_rising_time(
    tmp_path: Path, rows: list[tuple[str, int, int]], second: list[tuple[str, int, int]]
) -> None:
    def text(some: list[tuple[str, int, int]]) -> str:
        lines = [f"{account},2026-05-{day:02},{count}" for account, day, count in some]
        return "\n".join(["account_id,date,count", *lines])

    played, refused = read(
        [write(tmp_path, "u.csv", text(rows)), write(tmp_path, "v.csv", text(second))]
    )
    expected: Counter[tuple[str | None, int | None]] = Counter()
    for account, day, count in rows + second:
        expected[account, number(day)] += count
    found: Counter[tuple[str | None, int | None]] = Counter()
    for one in played:
        assert isinstance(one.event, UsageRecorded)
        found[one.account, one.day] += int(one.event.quantity)
    times = [one.time or 0 for one in played]
    assert (found, refused, times) == (expected, [], sorted(times))


def test_columns_that_are_not_read_are_told(tmp_path: Path) -> None:
    [file] = find([write(tmp_path, "u.csv", "account_id,date,count,colour\n")])
    assert isinstance(file, HistoryFile)
    assert file.ignored() == ["colour"]
