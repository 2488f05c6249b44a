"""The demo's history: real activity, moved by whole weeks so that it reaches yesterday."""

import csv
import gzip
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import msgspec

USAGE: Final = {"stations": "entries", "retail": "lines", "forhire": "trips", "hotel": "checkins"}
"""The metric of each source of usage. Source: formats.md, demo data."""

SUPPORT: Final = "support"

DEAD_API: Final = "stations-belmont"
"""Made up: this account's entries are told as API calls, which stop in the last week."""
DEAD_METRIC: Final = "api_calls"
DEAD_DAYS: Final = 8
"""Ordinary days without a call: the rule `usage-stopped` needs seven."""

CHAMPION: Final = "forhire-b01984"
CHAMPION_PERSON: Final = "contact-17"
"""Made up: who speaks for us at that account, until the live part of the demo."""
CHAMPION_DAYS: Final = 120
NOTICE: Final = timedelta(days=7)
"""Closures are declared so long before they begin."""

Row = dict[str, str]


@dataclass(frozen=True, slots=True)
class DemoFiles:
    """What `write_history` wrote.

    Args:
        paths: The files, ready to be imported.
        names: Made-up name of each account.
        moved: By source, the original and the new last date.
    """

    paths: tuple[Path, ...]
    names: Mapping[str, str]
    moved: Mapping[str, tuple[date, date]]

    @property
    def accounts(self) -> int:
        """How many accounts the files hold."""
        return len(self.names)


def write_history(data: Path, folder: Path, today: date) -> DemoFiles:
    """Write the demo's history as files that `ebbwatch import` reads.

    Args:
        data: `demo/data` of the repository.
        folder: Takes the files; is made if missing.
        today: The history ends the day before.

    Returns:
        What was written; the same for the same data and day.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rows = {name: _read(data / f"{name}.csv.gz") for name in (*USAGE, SUPPORT)}
    moves = {name: _weeks_to(_last(found), today) for name, found in rows.items()}
    moved = {name: list(_moved(found, moves[name], today)) for name, found in rows.items()}
    closures = _closures(_read(data / "closures.csv.gz"), moves)
    accounts = _read(data / "accounts.csv.gz")
    dead_since = _dead_since(closures, today)
    paths = [_write(folder / "accounts.csv", _accounts(accounts, moved, today))]
    paths += [
        _write(folder / f"{name}.csv", _usage(name, moved[name], dead_since)) for name in USAGE
    ]
    paths.append(_write(folder / "tickets.csv", moved[SUPPORT]))
    calendar = [*_declared(closures, accounts, moved), _champion(today)]
    paths.append(folder / "calendar.ndjson")
    paths[-1].write_bytes(b"".join(msgspec.json.encode(event) + b"\n" for event in calendar))
    ends = {name: (_last(found), _last(moved[name])) for name, found in rows.items()}
    names = {row["account_id"]: row["name"] for row in accounts}
    return DemoFiles(tuple(paths), names, ends)


def _weeks_to(last: date, today: date) -> timedelta:
    """Return by how many whole weeks a source moves so that it reaches yesterday."""
    yesterday = today - timedelta(days=1)
    return timedelta(weeks=-(-(yesterday - last).days // 7))


def _moved(rows: Iterable[Row], by: timedelta, today: date) -> Iterator[Row]:
    for row in rows:
        when = date.fromisoformat(row["date"]) + by
        if when < today:
            yield row | {"date": when.isoformat()}


@dataclass(frozen=True, slots=True)
class _Closure:
    """Days that are no ordinary days, for one account or for all of a source."""

    source: str
    account: str
    first: date
    last: date
    reason: str


def _closures(rows: Iterable[Row], moves: Mapping[str, timedelta]) -> list[_Closure]:
    return [
        _Closure(
            row["source"],
            row["account_id"],
            date.fromisoformat(row["from"]) + moves[row["source"]],
            date.fromisoformat(row["to"]) + moves[row["source"]],
            row["reason"],
        )
        for row in rows
    ]


def _dead_since(closures: Sequence[_Closure], today: date) -> date:
    """Return the day from which on the API is dead, `DEAD_DAYS` ordinary days ago."""
    source = DEAD_API.partition("-")[0]
    closed = [closure for closure in closures if closure.source == source]
    day, left = today, DEAD_DAYS
    while left:
        day -= timedelta(days=1)
        year_end = (day.month, day.day) >= (12, 20) or (day.month, day.day) <= (1, 3)
        if not year_end and not any(one.first <= day <= one.last for one in closed):
            left -= 1
    return day


def _usage(name: str, rows: Iterable[Row], dead_since: date) -> Iterator[Row]:
    """Yield a source's rows as a file of usage, vehicles as persons."""
    metric = USAGE[name]
    for row in rows:
        told = {"account_id": row["account_id"], "date": row["date"], "metric": metric}
        if row["account_id"] == DEAD_API:
            if row["date"] >= dead_since.isoformat():
                continue
            told["metric"] = DEAD_METRIC
        if "vehicles" in row:
            yield from _by_vehicle(told, int(row[metric]), int(row["vehicles"]))
        else:
            yield told | {"count": row[metric], "person": ""}


def _by_vehicle(told: Row, trips: int, vehicles: int) -> Iterator[Row]:
    """Split a day's trips over as many persons as vehicles worked; who is made up."""
    if not vehicles:
        yield told | {"count": str(trips), "person": ""}
        return
    each, over = divmod(trips, vehicles)
    company = told["account_id"].partition("-")[2]
    for number in range(1, vehicles + 1):
        yield told | {"count": str(each + (number <= over)), "person": f"{company}-v{number}"}


def _accounts(
    accounts: Iterable[Row], moved: Mapping[str, Iterable[Row]], today: date
) -> Iterator[Row]:
    begins = _begins(moved)
    for row in accounts:
        renewal = today + timedelta(days=int(row["renewal_in_days"]))
        kept = ("account_id", "name", "owner", "segment", "arr", "currency", "seats")
        yield {name: row[name] for name in kept} | {
            "renewal_on": renewal.isoformat(),
            "start": begins[row["account_id"]],
        }


def _begins(moved: Mapping[str, Iterable[Row]]) -> dict[str, str]:
    found: dict[str, str] = {}
    for row in (row for rows in moved.values() for row in rows):
        known = found.get(row["account_id"], row["date"])
        found[row["account_id"]] = min(known, row["date"])
    return found


def _declared(
    closures: Iterable[_Closure], accounts: Iterable[Row], moved: Mapping[str, Iterable[Row]]
) -> Iterator[dict[str, object]]:
    """Yield an event for each account and closure that its history reaches."""
    by_source: dict[str, list[str]] = defaultdict(list)
    for row in accounts:
        by_source[row["source"]].append(row["account_id"])
    begins = {name: min(row["date"] for row in rows) for name, rows in moved.items()}
    ends = {name: max(row["date"] for row in rows) for name, rows in moved.items()}
    for number, one in enumerate(closures):
        told_on = max((one.first - NOTICE).isoformat(), begins[one.source])
        if one.first.isoformat() > ends[one.source] or one.last.isoformat() < begins[one.source]:
            continue
        data = {"from": one.first.isoformat(), "to": one.last.isoformat(), "reason": one.reason}
        for account in [one.account] if one.account else by_source[one.source]:
            identity = f"closure-{number}-{account}"
            yield _event(identity, "closure.declared", account, f"{told_on}T06:00:00Z", data)


def _champion(today: date) -> dict[str, object]:
    when = f"{today - timedelta(days=CHAMPION_DAYS)}T09:00:00Z"
    data = {"person": CHAMPION_PERSON, "role": "champion", "status": "active"}
    return _event("champion", "contact.updated", CHAMPION, when, data)


def _event(id: str, type: str, subject: str, time: str, data: object) -> dict[str, object]:
    outer = {"specversion": "1.0", "id": id, "source": "demo/calendar", "type": type}
    return outer | {"subject": subject, "time": time, "data": data}


def _last(rows: Iterable[Row]) -> date:
    return date.fromisoformat(max(row["date"] for row in rows))


def _read(path: Path) -> list[Row]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as text:
        return list(csv.DictReader(text))


def _write(path: Path, rows: Iterable[Row]) -> Path:
    found = iter(rows)
    first = next(found)
    with path.open("w", encoding="utf-8", newline="") as text:
        writer = csv.DictWriter(text, list(first), lineterminator="\n")
        writer.writeheader()
        writer.writerow(first)
        writer.writerows(found)
    return path
