"""What a history file's author is told: the column, the value, what is asked, and the remedy."""

import gzip
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest

from schemas.cloudevents import Incoming, Refused, decode
from schemas.events import AccountUpdated
from services.ingest.history.asked import ASKED
from services.ingest.history.files import COLUMNS, HistoryError, find
from services.ingest.history.reading import Refusal, Rows
from services.ingest.history.staging import Staging
from services.ingest.history.unreadable import heading, why

NOW = int(datetime(2026, 6, 1, 12, tzinfo=UTC).timestamp()) * 1_000_000


def read(*paths: Path) -> tuple[list[Incoming], list[Refusal]]:
    """Everything that an import of these files would play, and what it refuses."""
    files = find(paths)
    rows = Rows(files, NOW)
    played: list[Incoming] = []
    with Staging(files) as staging:
        staging.load(NOW)
        refused = rows.broken(staging.broken())
        for row in staging.rows():
            outcome = rows.read(row)
            if isinstance(outcome, Refusal):
                refused.append(outcome)
            else:
                played.extend(outcome)
    return played, refused


def write(folder: Path, name: str, content: bytes) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def refusals(folder: Path, head: str, cells: Sequence[str]) -> list[tuple[str, str]]:
    """Column and words of each refused row, in its order."""
    text = "\n".join([head, *cells, ""])
    return [
        (one.why.field, one.why.detail) for one in read(write(folder, "rows.csv", text.encode()))[1]
    ]


def test_codes_in_small_letters_are_read_as_the_codes_they_are(tmp_path: Path) -> None:
    text = b"account_id,country,currency\na,de,eur\nb,de-by,EUR\nc,US,\n"
    played, refused = read(write(tmp_path, "accounts.csv", text))
    assert [(one.account, one.event) for one in played] == [
        ("a", AccountUpdated(country="DE", currency="EUR")),
        ("b", AccountUpdated(country="DE-BY", currency="EUR")),
        ("c", AccountUpdated(country="US")),
    ]
    assert refused == []


def test_a_wrong_country_is_told_as_it_is_written_with_what_is_asked(tmp_path: Path) -> None:
    asked = (
        "is refused: write the two letters of ISO 3166-1, such as DE, or these with a "
        "subdivision, such as DE-BY"
    )
    cells = ["a,Germany", "b,X1", "c,\u00df", "d,\u017fe"]
    assert refusals(tmp_path, "account_id,country", cells) == [
        ("country", f"{value!r} {asked}") for value in ("Germany", "X1", "\u00df", "\u017fe")
    ]


@pytest.mark.parametrize("count, said", [("1,5", "'1,5'"), ("inf", "'inf'"), ("abc", "'abc'")])
def test_a_count_that_is_no_number_is_told_with_its_value_its_bounds_and_an_example(
    tmp_path: Path, count: str, said: str
) -> None:
    assert refusals(tmp_path, "account_id;date;count", [f"a;2026-05-04;{count}"]) == [
        (
            "count",
            f"{said} is refused: write a number from 0 to 1000000000000, with a point before at "
            "most three decimals, such as 12 or 2.5",
        )
    ]


def test_an_empty_cell_that_is_needed_is_called_empty(tmp_path: Path) -> None:
    cells = ["a,2026-05-04,", "a,,1", "a,2026-05-05,2"]
    found = dict(refusals(tmp_path, "account_id,date,count", cells))
    assert found == {
        "date": f"it is empty: {ASKED['date']}",
        "count": f"it is empty: {ASKED['count']}",
    }


def test_a_value_too_long_to_show_is_cut(tmp_path: Path) -> None:
    cells = [f"a,2026-05-04,{'x' * 5_000}", f"{'y' * 5_000},2026-05-04,1"]
    (_, count), (_, account) = refusals(tmp_path, "account_id,date,count", cells)
    assert count == f"'{'x' * 59}... is refused: {ASKED['count']}"
    assert account == f"'{'y' * 59}... is too long; it has 1 to 200 characters"


@pytest.mark.parametrize(
    "head, cells, column, value",
    [
        ("account_id,date,count,metric", "a,2026-05-04,1,#", "metric", "'#'"),
        ("account_id,date,count,feature", "a,2026-05-04,1,#", "feature", "'#'"),
        ("account_id,date,count,person", f"a,2026-05-04,1,{'p' * 201}", "person", "'ppp"),
        ("account_id,name", f"a,{'n' * 501}", "name", "'nnn"),
        ("account_id,owner", f"a,{'o' * 201}", "owner", "'ooo"),
        ("account_id,segment", f"a,{'s' * 501}", "segment", "'sss"),
        ("account_id,timezone", "a,Mars/Base", "timezone", "'Mars/Base'"),
        ("account_id,arr", "a,12.5", "arr", "12.5"),
        ("account_id,currency", "a,euro", "currency", "'euro'"),
        ("account_id,renewal_on", "a,soon", "renewal_on", "'soon'"),
        ("account_id,seats", "a,-1", "seats", "-1"),
        ("account_id,date,ticket", f"a,2026-05-04,{'t' * 201}", "ticket", "'ttt"),
        ("account_id,date,priority", "a,2026-05-04,6", "priority", "6"),
    ],
)
def test_each_column_is_refused_in_words_of_its_own(
    tmp_path: Path, head: str, cells: str, column: str, value: str
) -> None:
    [(field, detail)] = refusals(tmp_path, head, [cells])
    assert (field, detail.startswith(value)) == (column, True)
    assert detail.endswith(f" is refused: {ASKED[column]}")


def test_what_is_asked_is_known_of_every_column_that_is_read() -> None:
    assert {name for kind, names in COLUMNS.items() if kind != "events" for name in names} == {
        *ASKED
    }


def said_of_an_event(account: str) -> str:
    """What ingest says of an event whose subject is an account's id."""
    quoted = account.encode("unicode_escape").replace(b"\\x", b"\\u00").decode()
    found = decode(
        b'{"specversion":"1.0","id":"1","source":"a","type":"usage.recorded","subject":"'
        + quoted.encode()
        + b'","data":{"metric":"x"}}'
    )
    assert isinstance(found, Refused)
    return found.detail.removeprefix("subject ")


@pytest.mark.parametrize("account", ["company", "a\x07b"])
@pytest.mark.parametrize(
    "head, rest", [("date,count", "2026-05-04,1"), ("name", "x"), ("date,priority", "2026-05-04,1")]
)
def test_an_account_that_no_event_may_name_no_row_may_name_either(
    tmp_path: Path, account: str, head: str, rest: str
) -> None:
    found = refusals(tmp_path, f"account_id,{head}", [f"{account},{rest}"])
    assert found == [("account_id", said_of_an_event(account))]


def test_one_row_before_1970_costs_no_account(tmp_path: Path) -> None:
    played, refused = read(
        write(tmp_path, "accounts.csv", b"account_id,name\na,A\n"),
        write(tmp_path, "u.csv", b"account_id,date,count\na,1969-12-31,1\na,2026-05-04,1\n"),
    )
    assert [one.id for one in played] == ["accounts:1", "u:2"]
    assert [one.why.detail for one in refused] == [
        "'1969-12-31' must lie after 1970-01-01T00:00:00Z"
    ]


HEAD = b"account_id,date,count"
FIRST, LAST = b"a,2026-05-04,1", b"b,2026-05-05,2"
MIXED = {
    "a head of LF before rows of CR LF": HEAD + b"\n" + FIRST + b"\r\n%s" + LAST + b"\r\n",
    "a head of CR LF before rows of LF": HEAD + b"\r\n" + FIRST + b"\n%s" + LAST + b"\n",
    "rows of either": HEAD + b"\n" + FIRST + b"\r\n%s" + LAST + b"\n",
    "a row of CR": HEAD + b"\n" + FIRST + b"\r%s" + LAST + b"\n",
}


@pytest.mark.parametrize("text", MIXED.values(), ids=MIXED.keys())
@pytest.mark.parametrize("packed", [False, True])
def test_lines_that_end_in_more_than_one_way_are_read_and_bad_ones_refused_alone(
    tmp_path: Path, text: bytes, packed: bool
) -> None:
    bad = b"c,2026-05-04\r\nc,2026-05-04,1,2\nc\xff,2026-05-04,1\r\nc,2026-05-04,-1\n"
    content = text % bad
    name, written = ("u.csv.gz", gzip.compress(content)) if packed else ("u.csv", content)
    path = write(tmp_path, name, written)
    (tmp_path / "even").mkdir()
    even = write(tmp_path / "even", "u.csv", re.sub(rb"\r\n?", b"\n", content))
    played, refused = read(path)
    assert [(one.id, one.account) for one in played] == [("u:1", "a"), ("u:3", "b")]
    assert played == read(even)[0]
    assert [(one.row, one.why) for one in refused] == [(one.row, one.why) for one in read(even)[1]]
    assert [one.row for one in refused] == ["line 3", "line 4", "line 5", "row 5"]
    assert {one.file.path for one in refused} == {path}


def test_mixed_ends_deep_in_a_file_are_read_as_well(tmp_path: Path) -> None:
    rows = b"a,2026-05-04,1\n" * 300_000
    path = write(tmp_path, "u.csv", b"account_id,date,count\n" + rows + b"b,2026-05-05,2\r\n")
    with Staging(find([path])) as staging:
        span = staging.load(NOW)
        assert (span.rows, staging.broken()) == (300_001, [])


def test_ndjson_whose_lines_end_in_more_than_one_way_is_read(tmp_path: Path) -> None:
    line = (
        b'{"specversion":"1.0","id":"%d","source":"a","type":"usage.recorded","subject":"a",'
        b'"time":"2026-05-04T10:00:00Z","data":{"metric":"x"}}'
    )
    played, refused = read(write(tmp_path, "e.ndjson", line % 1 + b"\r\n" + line % 2 + b"\n"))
    assert ([one.id for one in played], refused) == (["1", "2"], [])


def test_a_line_that_misses_several_cells_is_refused_once_and_counted_once(tmp_path: Path) -> None:
    text = b"account_id,date,count\nb\na,2026-05-04,-1\na,2026-05-04,1\n"
    played, refused = read(write(tmp_path, "u.csv", text))
    assert [one.id for one in played] == ["u:2"]
    assert [(one.row, one.why.detail) for one in refused] == [
        ("line 2", "it has 1 cell, and the head of columns has 3"),
        ("row 2", f"-1 is refused: {ASKED['count']}"),
    ]


def test_a_line_that_is_no_row_is_told_in_plain_words(tmp_path: Path) -> None:
    text = (
        b"account_id,date,count\na,2026-05-04,1\nb,2026-05-04\nb,2026-05-04,1,2\n"
        b'c\xff,2026-05-04,1\n"d"x,2026-05-04,1\n'
    )
    _, refused = read(write(tmp_path, "u.csv", text))
    assert [(one.row, one.why.detail) for one in refused] == [
        ("line 3", "it has 2 cells, and the head of columns has 3"),
        (
            "line 4",
            "it has 4 cells, and the head of columns has 3: put cells that hold a delimiter in "
            "quotes",
        ),
        ("line 5", "it is not UTF-8: save the file as UTF-8"),
        (
            "line 6",
            "a quote is not closed, or text follows it: write a quote within a cell twice, and "
            "quotes around the cell",
        ),
    ]


@pytest.mark.parametrize(
    "contents, said",
    [
        ({"u.csv": b"account_id,date,count\n"}, "{0} holds no rows"),
        (
            {"u.csv": b"account_id,date,count\n", "v.csv": b"account_id,date,count\n"},
            "{0}, {1} hold no rows",
        ),
        (
            {"u.csv": b"account_id,date,count\na,2026-05-04\n"},
            "{0}: no line is a row; the first that is none is line 2: it has 2 cells, and the "
            "head of columns has 3",
        ),
        (
            {"u.csv": b"account_id,date,count\na,1969-05-04,1\n"},
            "{0}: none of 1 rows lies between 1970 and now",
        ),
    ],
)
def test_files_without_anything_to_play_are_told_in_words_that_fit_any_command(
    tmp_path: Path, contents: dict[str, bytes], said: str
) -> None:
    paths = [write(tmp_path, name, content) for name, content in contents.items()]
    with pytest.raises(HistoryError) as refused:
        read(*paths)
    assert str(refused.value) == said.format(*paths)


def test_a_parquet_file_damaged_behind_its_head_is_called_so(tmp_path: Path) -> None:
    path = tmp_path / "u.parquet"
    duckdb.execute(
        "COPY (SELECT 'a' || i AS account_id, DATE '2026-05-04' AS date, i AS count "
        f"FROM range(9999) t(i)) TO '{path}' (FORMAT parquet)"
    )
    whole = path.read_bytes()
    path.write_bytes(whole[:100] + bytes(1_000) + whole[1_100:])
    with pytest.raises(HistoryError) as refused:
        read(path)
    assert str(refused.value) == (
        f"{path} cannot be read: it is no Parquet file, or a damaged one: write it again"
    )


def test_text_of_another_coding_is_called_so_with_and_without_a_mark() -> None:
    said = []
    for coding in ("utf-16", "utf-16-le", "utf-16-be"):
        with pytest.raises(UnicodeDecodeError) as refused:
            heading("account_id,date,count\n".encode(coding))
        said.append(why("csv", refused.value))
    assert said == ["it is not UTF-8: save it as UTF-8"] * 3
    assert heading("account_id".encode("utf-8-sig")) == "account_id"


def test_an_error_of_the_system_is_told_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as missing:
        (tmp_path / "nowhere.csv").open()
    assert why("csv", missing.value) == "No such file or directory"
    assert why("csv", duckdb.OutOfMemoryException("Out of Memory Error: full\nmore")) == "full"


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("u.csv", "account_id,date,count\n".encode("utf-16"), "it is not UTF-8: save it as UTF-8"),
        ("u.csv", "account_id,date\n".encode("utf-16-le"), "it is not UTF-8: save it as UTF-8"),
        ("u.csv.gz", b"\x1f\x8b\x08", "it is a damaged gzip file: pack it again"),
        (
            "u.csv",
            b"account_id\ra\r",
            "its first line is no head of columns: check its quotes and line ends",
        ),
        ("u.parquet", b"no parquet", "it is no Parquet file, or a damaged one: write it again"),
        ("u.parquet", b"", "it is no Parquet file, or a damaged one: write it again"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_told_what_to_do(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    path = write(tmp_path, name, content)
    with pytest.raises(HistoryError) as refused:
        find([path])
    assert str(refused.value) == f"{path} cannot be read: {said}"


def test_a_file_that_is_not_there_is_told_without_names_of_errors(tmp_path: Path) -> None:
    path = tmp_path / "nowhere.csv"
    with pytest.raises(HistoryError) as refused:
        find([path])
    assert str(refused.value) == f"{path} cannot be read: No such file or directory"
