import csv
import gzip
from collections import Counter, defaultdict
from datetime import date, timedelta
from pathlib import Path

import msgspec
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from schemas.cloudevents import Incoming, decode
from schemas.events import ClosureDeclared, ContactUpdated
from services.commands.config import formats
from services.commands.demo_data import CHAMPION, DEAD_API, USAGE, DemoFiles, write_history
from services.commands.demo_stage import Judged, judged_of
from services.commands.demo_story import PAYER, steps
from services.company import read_company
from services.ingest.history.files import find
from services.ingest.history.reading import Refusal, Rows
from services.ingest.history.staging import Staging

DEMO = Path(__file__).parents[2] / "demo"
TODAY = date(2026, 6, 15)
NOW_MICROS = (TODAY - date(1970, 1, 1)).days * 86_400_000_000 + 1

Table = list[dict[str, str]]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> DemoFiles:
    return write_history(DEMO / "data", tmp_path_factory.mktemp("demo"), TODAY)


def table(files: DemoFiles, name: str) -> Table:
    [path] = [path for path in files.paths if path.stem == name]
    with path.open(newline="") as text:
        return list(csv.DictReader(text))


def original(name: str) -> Table:
    with gzip.open(DEMO / "data" / f"{name}.csv.gz", "rt", newline="") as text:
        return list(csv.DictReader(text))


def calendar(files: DemoFiles) -> list[Incoming]:
    [path] = [path for path in files.paths if path.suffix == ".ndjson"]
    found = [decode(line) for line in path.read_bytes().splitlines()]
    assert [one for one in found if not isinstance(one, Incoming)] == []
    return [one for one in found if isinstance(one, Incoming)]


def test_every_source_reaches_yesterday_by_whole_weeks(files: DemoFiles) -> None:
    yesterday = TODAY - timedelta(days=1)
    for name, (_, moved) in files.moved.items():
        rows = table(files, name if name in USAGE else "tickets")
        # Real activity need not fall on the very last day, but it comes near.
        assert yesterday - timedelta(days=7) <= moved <= yesterday
        assert all(row["date"] <= yesterday.isoformat() for row in rows)


@pytest.mark.parametrize("name", ["retail", "hotel"])
def test_amounts_and_weekdays_are_those_of_the_original(files: DemoFiles, name: str) -> None:
    last = max(date.fromisoformat(row["date"]) for row in original(name))
    weeks = -(-(TODAY - timedelta(days=1) - last).days // 7)
    expected = [
        (row["account_id"], when.isoformat(), row[USAGE[name]])
        for row in original(name)
        if (when := date.fromisoformat(row["date"]) + timedelta(weeks=weeks)) < TODAY
    ]
    found = [(row["account_id"], row["date"], row["count"]) for row in table(files, name)]
    assert found == expected


def test_people_of_a_day_are_as_many_as_vehicles_and_share_its_trips(files: DemoFiles) -> None:
    people: dict[tuple[str, str], set[str]] = defaultdict(set)
    trips: Counter[tuple[str, str]] = Counter()
    for row in table(files, "forhire"):
        people[row["account_id"], row["date"]].add(row["person"])
        trips[row["account_id"], row["date"]] += int(row["count"])
    found = sorted(
        (account, trips[account, day], len(them)) for (account, day), them in people.items()
    )
    expected = sorted(
        (row["account_id"], int(row["trips"]), max(int(row["vehicles"]), 1))
        for row in original("forhire")
    )
    # What would lie after yesterday is cut: at most six days of each account.
    assert Counter(found) - Counter(expected) == Counter()
    assert len(expected) - len(found) <= 6 * len({row["account_id"] for row in original("forhire")})


def test_the_api_is_dead_for_eight_ordinary_days_and_other_stations_go_on(
    files: DemoFiles,
) -> None:
    rows = table(files, "stations")
    dead = [row for row in rows if row["account_id"] == DEAD_API]
    assert {row["metric"] for row in dead} == {"api_calls"}
    assert {row["metric"] for row in rows if row["account_id"] != DEAD_API} == {"entries"}
    silent = TODAY - date.fromisoformat(max(row["date"] for row in dead)) - timedelta(days=1)
    assert timedelta(days=8) <= silent <= timedelta(days=10)


def test_in_january_the_year_end_does_not_count_as_days_without_the_api(tmp_path: Path) -> None:
    files = write_history(DEMO / "data", tmp_path, date(2027, 1, 2))
    last = max(row["date"] for row in table(files, "stations") if row["account_id"] == DEAD_API)
    assert last < "2026-12-12"


def test_closures_and_the_champion_are_events_of_the_accounts(files: DemoFiles) -> None:
    events = calendar(files)
    assert len({one.id for one in events}) == len(events)
    closures = [one for one in events if isinstance(one.event, ClosureDeclared)]
    assert {one.account for one in closures} <= set(files.names)
    contacts = [one for one in events if not isinstance(one.event, ClosureDeclared)]
    champion = ContactUpdated(person="contact-17", role="champion", status="active")
    assert [(one.account, one.event) for one in contacts] == [(CHAMPION, champion)]


def test_accounts_bear_what_an_alert_tells_and_no_country(files: DemoFiles) -> None:
    accounts = table(files, "accounts")
    assert {row["account_id"] for row in accounts} == set(files.names)
    assert len(set(files.names.values())) == files.accounts
    assert "country" not in accounts[0]
    assert [
        row for row in accounts if not (row["owner"] and row["arr"] and row["renewal_on"])
    ] == []
    assert all(row["renewal_on"] > TODAY.isoformat() > row["start"] for row in accounts)


def test_the_same_day_gives_the_same_files(files: DemoFiles, tmp_path: Path) -> None:
    again = write_history(DEMO / "data", tmp_path, TODAY)
    assert [path.read_bytes() for path in again.paths] == [
        path.read_bytes() for path in files.paths
    ]


def test_the_import_refuses_no_row_of_the_demo(files: DemoFiles) -> None:
    found = find(files.paths)
    rows = Rows(found, NOW_MICROS)
    with Staging(found) as staging:
        span = staging.load(NOW_MICROS)
        assert staging.broken() == []
        refused = [one for row in staging.rows() if isinstance(one := rows.read(row), Refusal)]
    assert refused == []
    # More would make the demo too long.
    assert 80_000 < span.rows < 300_000


def test_the_repository_holds_little_and_the_companys_files_are_right() -> None:
    assert sum(path.stat().st_size for path in (DEMO / "data").iterdir()) < 200_000
    company = read_company(DEMO / "config", formats())
    assert not isinstance(company, list)
    assert company.warnings == ()


def test_the_story_consists_of_events_that_ingest_accepts(files: DemoFiles) -> None:
    story = steps(files.names)
    decoded = [decode(step.event) for step in story]
    assert [one.account for one in decoded if isinstance(one, Incoming)] == [
        *(PAYER, PAYER, CHAMPION)
    ]
    assert [step.rule for step in story] == [None, "payment-failed", "contact-left"]
    assert files.names[PAYER] in story[0].says
    assert msgspec.json.decode(story[0].event)["id"] != msgspec.json.decode(story[1].event)["id"]


def said(age: float, mode: str, closings: int) -> str:
    """What a detector with two partitions says; the first of them is in the present."""
    registry = CollectorRegistry()
    names = ("ebbwatch_watermark_lag_seconds", "ebbwatch_open_closings")
    ages, days = (Gauge(name, "", ["partition"], registry=registry) for name in names)
    modes = Gauge("ebbwatch_mode_info", "", ["mode", "partition"], registry=registry)
    alerts = prometheus_client.Counter("ebbwatch_alerts_emitted", "", ["type"], registry=registry)
    for partition, each in (("0", (1.5, "live", 0)), ("1", (age, mode, closings))):
        ages.labels(partition).set(each[0])
        modes.labels(each[1], partition).set(1)
        days.labels(partition).set(each[2])
    alerts.labels("raised").inc(3)
    alerts.labels("cleared").inc(2)
    return generate_latest(registry).decode()


def test_the_past_is_judged_when_every_partition_has_a_young_clock_and_no_open_day() -> None:
    assert judged_of(said(2.0, "live", 0), 2) == Judged(2.0, 5)
    assert judged_of(said(2.0, "live", 1), 2) == Judged(86_400.0, 5)
    assert judged_of(said(9e6, "importing", 1), 2) == Judged(9e6, 5)


def test_a_partition_that_has_heard_no_tick_has_judged_nothing() -> None:
    assert judged_of(said(0.3, "new", 0), 2) is None
    assert judged_of(said(2.0, "live", 0), 3) is None
    assert judged_of("", 2) is None
