"""Prepares `demo/data` from the original files; run once by who changes the demo, not by users.

    python demo/prepare.py FOLDER_OF_THE_ORIGINALS

It takes real activity as it is (original dates, a choice of accounts and months), and makes up
what the originals do not have: names, owners, revenue, currencies, renewal dates, seats.
"""

import csv
import gzip
import hashlib
import io
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

import holidays

DATA = Path(__file__).parent / "data"
Row = Mapping[str, str]
Accounts = dict[str, list[tuple[date, Sequence[str]]]]

OWNERS = ("ana", "ben", "chloe", "dmitri")
FIRST = (
    *("Amber", "Birch", "Cedar", "Cobalt", "Copper", "Coral", "Delta", "Ember", "Falcon", "Fjord"),
    *("Granite", "Harbour", "Hazel", "Indigo", "Juniper", "Larch", "Maple", "Meridian", "Mosaic"),
    *("Nimbus", "Onyx", "Orchard", "Osprey", "Polar", "Raven", "River", "Slate", "Sparrow"),
)
SECOND = {
    "stations": ("Metro", "Transit", "Lines"),
    "retail": ("Gifts", "Home", "Trading", "Living", "Crafts", "Stores"),
    "forhire": ("Cars", "Limousines", "Rides", "Mobility"),
    "hotel": ("Travel", "Journeys", "Holidays", "Tours"),
    "support": ("Works", "Logistics", "Energy", "Labs"),
}


@dataclass(frozen=True)
class Source:
    """One original file and what of it the demo takes.

    Args:
        name: Name of the prepared file and prefix of its account ids.
        original: Name of the original file.
        first: First date taken.
        last: Last date taken, an original date.
        country: Whose public holidays are no ordinary days, ISO 3166-1.
        segment: Made up.
        currency: Made up.
        revenue: Range of made-up yearly revenue, whole units of the currency.
        columns: Columns of the prepared file beside account and date.
        read: Turns an original row into those columns; None leaves it out.
        enough: Rows that an account needs.
    """

    name: str
    original: str
    first: date
    last: date
    country: str
    segment: str
    currency: str
    revenue: tuple[int, int]
    columns: tuple[str, ...]
    read: Callable[[Row], Sequence[str] | None]
    enough: int


def _if_any(*columns: str) -> Callable[[Row], Sequence[str] | None]:
    def read(row: Row) -> Sequence[str] | None:
        found = [row[column] for column in columns]
        return found if int(found[0]) > 0 else None

    return read


def _priority(row: Row) -> Sequence[str]:
    return [row["priority"][0]]


SOURCES = (
    Source(
        name="stations",
        original="station_entries_daily",
        first=date(2007, 6, 4),
        last=date(2008, 11, 23),
        country="US",
        segment="enterprise",
        currency="USD",
        revenue=(180_000, 420_000),
        columns=("entries",),
        read=_if_any("entries"),
        enough=300,
    ),
    Source(
        name="retail",
        original="retail_customers_daily",
        first=date(2010, 8, 2),
        last=date(2011, 11, 27),
        country="GB",
        segment="smb",
        currency="GBP",
        revenue=(6_000, 30_000),
        columns=("lines",),
        read=_if_any("lines"),
        enough=10,
    ),
    Source(
        name="forhire",
        original="fhv_bases_daily",
        first=date(2015, 1, 1),
        last=date(2015, 7, 31),
        country="US",
        segment="mid_market",
        currency="USD",
        revenue=(24_000, 120_000),
        columns=("trips", "vehicles"),
        read=_if_any("trips", "vehicles"),
        enough=90,
    ),
    Source(
        name="hotel",
        original="hotel_agents_daily",
        first=date(2016, 5, 2),
        last=date(2017, 8, 27),
        country="PT",
        segment="mid_market",
        currency="EUR",
        revenue=(30_000, 150_000),
        columns=("checkins",),
        read=_if_any("checkins"),
        enough=30,
    ),
    Source(
        name="support",
        original="tickets",
        first=date(2016, 2, 29),
        last=date(2016, 4, 24),
        country="US",
        segment="smb",
        currency="EUR",
        revenue=(12_000, 60_000),
        columns=("priority",),
        read=_priority,
        enough=10,
    ),
)

VEHICLE_DAYS = 30_000
"""Companies with more vehicle-days would make the demo's import too long."""


def main(originals: Path) -> None:
    """Write every file of `demo/data`.

    Args:
        originals: Folder of the original files.
    """
    DATA.mkdir(exist_ok=True)
    accounts: list[Sequence[object]] = []
    closures: list[Sequence[object]] = []
    names: set[str] = set()
    for source in SOURCES:
        kept = _choose(source, _rows(source, originals))
        lines = [(account, when, *cells) for account, rows in kept.items() for when, cells in rows]
        _write(source.name, ("account_id", "date", *source.columns), lines)
        for account, rows in kept.items():
            accounts.append(_account(source, account, rows, names))
        closures += _closures(source, kept)
    header = ("account_id", "source", "name", "owner", "segment", "arr", "currency", "seats")
    _write("accounts", (*header, "renewal_in_days"), accounts)
    _write("closures", ("source", "account_id", "from", "to", "reason"), closures)


def _rows(source: Source, originals: Path) -> Accounts:
    """Return what is taken of an original, by account."""
    found: Accounts = defaultdict(list)
    with gzip.open(originals / f"{source.original}.csv.gz", "rt", newline="") as text:
        for row in csv.DictReader(text):
            when = datetime.fromisoformat(row.get("date") or row["opened_at"]).date()
            cells = source.read(row)
            if source.first <= when <= source.last and cells is not None:
                original = row["account_id"].removeprefix("Location ").replace("_", "-").lower()
                found[f"{source.name}-{original}"].append((when, cells))
    return found


def _choose(source: Source, found: Accounts) -> Accounts:
    kept = {
        name: sorted(rows) for name, rows in sorted(found.items()) if len(rows) >= source.enough
    }
    if source.name != "forhire":
        return kept
    july = date(2015, 7, 1)
    return {
        name: rows
        for name, rows in kept.items()
        if rows[-1][0] >= july and sum(int(cells[1]) for _, cells in rows) <= VEHICLE_DAYS
    }


def _closures(source: Source, kept: Accounts) -> list[Sequence[object]]:
    """Return the days that are no ordinary days, of the source or of one account."""
    found: list[Sequence[object]] = []
    years = range(source.first.year, source.last.year + 1)
    named = holidays.country_holidays(source.country, years=years)
    for when, name in sorted(named.items()):
        extra = 1 if source.country == "US" and "Thanksgiving" in name else 0
        if source.first <= when <= source.last:
            found.append((source.name, "", when, when + timedelta(extra), name))
    for year in range(source.first.year - 1, source.last.year + 1):
        first, last = date(year, 12, 20), date(year + 1, 1, 4 if source.name == "retail" else 3)
        if last >= source.first and first <= source.last:
            found.append((source.name, "", first, min(last, source.last), "year end"))
    if source.name == "forhire":
        for account, rows in kept.items():
            found += _unreported(source, account, {when.replace(day=1) for when, _ in rows})
    return found


def _unreported(source: Source, account: str, months: set[date]) -> list[Sequence[object]]:
    """Return the months between an account's first and last in which it did not report."""
    found: list[Sequence[object]] = []
    month = min(months)
    while month < max(months):
        after = (month + timedelta(31)).replace(day=1)
        if month not in months:
            found.append((source.name, account, month, after - timedelta(1), "not reported"))
        month = after
    return found


def _account(
    source: Source,
    account: str,
    rows: Sequence[tuple[date, Sequence[str]]],
    names: set[str],
) -> Sequence[object]:
    """Return made-up attributes, the same for the same id on every machine."""
    arr = _chance(account, "arr", source.revenue[0] // 600, source.revenue[1] // 600) * 600
    seats = max(int(cells[1]) for _, cells in rows) * 5 // 4 if source.name == "forhire" else ""
    # Few renewals fall into the next 90 days: a demo is not the place for forty checklists.
    soon = _chance(account, "soon", 0, 19) == 0
    renewal = _chance(account, "renewal", 20, 85) if soon else _chance(account, "renewal", 110, 360)
    owner = OWNERS[_chance(account, "owner", 0, len(OWNERS) - 1)]
    name = _name(source, account, names)
    names.add(name)
    return (
        *(account, source.name, name, owner, source.segment, arr * 100, source.currency),
        *(seats, renewal),
    )


def _name(source: Source, account: str, taken: set[str]) -> str:
    """Return a made-up name that no other account has."""
    every = [f"{first} {second}" for first in FIRST for second in SECOND[source.name]]
    begin = _chance(account, "name", 0, len(every) - 1)
    return next(name for name in every[begin:] + every[:begin] if name not in taken)


def _chance(account: str, what: str, lowest: int, highest: int) -> int:
    raw = hashlib.sha256(f"{account}/{what}".encode()).digest()
    return lowest + int.from_bytes(raw[:8], "big") % (highest - lowest + 1)


def _write(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    # Without a time stamp the same contents are the same bytes.
    (DATA / f"{name}.csv.gz").write_bytes(gzip.compress(text.getvalue().encode(), mtime=0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
