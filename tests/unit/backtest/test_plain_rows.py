"""Plain rows, checked all at once, are the entries that reading row by row makes of them."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path

import msgspec
import pytest

from schemas.envelope import Entry, decode_entry
from services.backtest.other_rows import Beside
from services.backtest.plain_rows import Plain
from services.backtest.staged import Prepared, Staged
from services.ingest.history.files import HistoryFile, find
from tests.unit.backtest.histories import MICROS

COUNTS = (
    *("0", "7", "12.0", "0.125", "3.50", "999999999999", "1000000000000"),
    *("", "-1", "007", "1e3", "0.0001", "NaN", "many", "1,5", "+1", ".5", "5."),
)
ACCOUNTS = ("acme", "Location 107|0", "ä", "a" * 200, "a" * 201, "tab\there", "")
METRICS = ("", "usage", "api calls", "@people", "x" * 100, "x" * 101, "ß", "a/b:c.d-e")
DATES = (
    *("2026-05-14", "2026-05-14T00:00:00", "2026-05-14T09:31:07Z", "2026-05-14 09:31:07.5+02:00"),
    *("1970-01-01", "1969-12-31", "1970-01-01T00:00:00Z", "2036-01-01", "yesterday", ""),
)


def write(path: Path) -> Path:
    rows = [
        *((account, DATES[0], "5", "", "", "") for account in ACCOUNTS),
        *(("acme", on, "5", "", "", "") for on in DATES),
        *(("acme", DATES[0], count, "", "", "") for count in COUNTS),
        *(("acme", DATES[0], "5", metric, "", metric) for metric in METRICS),
        *(("acme", DATES[0], "5", "", person, "") for person in ("u1", "ü", "p" * 201, "a b")),
    ]
    lines = ["account_id,date,count,metric,person,feature"]
    lines += [",".join(f'"{cell}"' for cell in row) for row in rows]
    path.write_text("\n".join(lines))
    return path


def without_origin(entries: Sequence[Entry]) -> list[Entry]:
    """Return entries by row, without their number in the log."""
    in_order = sorted(entries, key=lambda one: int(one.id.partition(":")[2]))
    return [msgspec.structs.replace(one, origin=None) for one in in_order]


def beside(files: list[HistoryFile], staged: Staged) -> tuple[list[Entry], Beside]:
    """Return the entries of all rows that are not plain, in order."""
    reader = Beside(files, staged, {}, MICROS, 1)
    items = list(reader.items())
    assert items == sorted(items, key=lambda one: one.key)
    return [decode_entry(raw) for item in items for _, raw in item.entries], reader


def plain(files: list[HistoryFile], prepared: Prepared) -> list[Entry]:
    stems, sources = [file.stem for file in files], [file.source for file in files]
    rows = Plain(prepared.folder, 0, stems, sources, {})
    return [one for chunk in rows.until(1 << 62) for one in chunk.entries]


def test_plain_rows_are_the_entries_that_reading_one_by_one_makes(tmp_path: Path) -> None:
    files = find([write(tmp_path / "usage.csv")])
    with Staged(files) as staged:
        staged.load(MICROS)
        every, expected = beside(files, staged)
    with Staged(files) as staged:
        staged.load(MICROS)
        prepared = staged.prepare(MICROS, 1)
        found = plain(files, prepared)
        others, reader = beside(files, staged)
    assert without_origin(found + others) == without_origin(every)
    assert (reader.refused, reader.examples) == (expected.refused, expected.examples)
    assert len(found) == prepared.rows
    # Letters beyond ASCII, a million millions, an exponent: right, but not plain.
    rows = {int(one.id.partition(":")[2]) for one in others}
    assert rows == {3, 24, 28, 45}


def test_rows_of_our_own_company_are_refused_as_an_import_refuses_them(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("account_id,date,count\na,2026-05-01,1\ncompany,2026-05-01,1\n")
    files = find([path])
    with Staged(files) as staged:
        staged.load(MICROS)
        prepared = staged.prepare(MICROS, 1)
        others, reader = beside(files, staged)
    assert (prepared.rows, others, reader.refused) == (1, [], {"invalid": 1})
    assert ["'company' stands for your own company" in said for said in reader.examples] == [True]


def test_rows_after_the_last_day_of_an_account_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "usage.csv"
    path.write_text("account_id,date,count\na,2026-05-01,1\na,2026-05-02,1\nb,2026-05-02,1\n")
    files = find([path])
    end = (date(2026, 5, 1) - date(1970, 1, 1)).days
    with Staged(files) as staged:
        staged.load(MICROS)
        prepared = staged.prepare(MICROS, 1)
        rows = Plain(prepared.folder, 0, ["usage"], ["import/usage"], {"a": end})
        found = [one.id for chunk in rows.until(1 << 62) for one in chunk.entries]
    assert found == ["usage:1", "usage:3"]
    assert rows.beyond == ["usage row 2: 'a'"]


@pytest.mark.parametrize("rows", [0, 1, 7])
def test_rows_come_before_the_instant_that_is_asked_for(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "usage.csv"
    days = "".join(f"a,2026-05-0{day},1\n" for day in range(1, rows + 1))
    path.write_text(f"account_id,date,count\n{days}b,2026-05-09,1\n")
    files = find([path])
    with Staged(files) as staged:
        staged.load(MICROS)
        prepared = staged.prepare(MICROS, 1)
        plain_rows = Plain(prepared.folder, 0, ["usage"], ["import/usage"], {})
        last = prepared.last
        first = [one.id for chunk in plain_rows.until(last) for one in chunk.entries]
        rest = [one.id for chunk in plain_rows.until(last + 1) for one in chunk.entries]
        assert list(plain_rows.until(1 << 62)) == []
    assert first == [f"usage:{n}" for n in range(1, rows + 1)]
    assert rest == [f"usage:{rows + 1}"]
