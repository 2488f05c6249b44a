"""Files of past events that hold a bit of everything, and the same played as an import does."""

import json
import random
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec

from schemas.alerts import Alert
from schemas.cloudevents import Refused
from schemas.config import RuleSetContent, RuleSetRecord
from schemas.envelope import join
from services.backtest import run
from services.backtest.outcome import Outcome
from services.detector.partition import Partition
from services.ingest.history.files import HistoryFile, Kind
from services.ingest.history.play import Play
from services.ingest.history.reading import Refusal, Rows
from services.ingest.history.staging import Staging
from services.partitioning import home_of

NOW = datetime(2026, 10, 1, 12, tzinfo=UTC)
MICROS = int(NOW.timestamp()) * 1_000_000
START = date(2025, 11, 3)
DAYS = 190
ZONES = ("UTC", "America/New_York", "Asia/Kolkata", "")


def write(folder: Path, seed: int, accounts: int = 16) -> dict[Kind, Sequence[Path]]:
    """Write usage, accounts, tickets and events of accounts of which one in five does worse.

    No more: what more than a fifth of them share is one incident, of which an import does not know.
    """
    rng = random.Random(seed)
    usage = ["account_id,date,count,metric,person"]
    known = ["account_id,segment,country,timezone,owner,arr,renewal_on,start"]
    tickets = ["account_id,date,priority"]
    events: list[str] = []
    for number in range(accounts):
        who = f"acct_{number}"
        renewal = START + timedelta(days=DAYS - 20 + number)
        zone = ZONES[number % len(ZONES)]
        country = ("DE", "US", "")[number % 3]
        known.append(f"{who},s{number % 2},{country},{zone},ana,{number + 1}000,{renewal},{START}")
        for day in range(DAYS):
            on = START + timedelta(days=day)
            level = 40.0 if number not in (0, 3) or day < 130 + number else number * 4.0
            if number == 5:
                level = 3.0 if day % 7 == 2 and day < 100 else 0.0
            if count := round(level * rng.uniform(0.7, 1.3)):
                usage.append(f"{who},{on},{count},api_calls,p{number}_{day % 5}")
            if rng.random() < (0.9 if number == 4 and day > 160 else 0.05):
                tickets.append(f"{who},{on},{rng.choice('123')}")
        if number != 5:
            # It falls silent, and any event of it would end that.
            events += [_event(rng, who, number, n) for n in range(12)]
    rng.shuffle(events)
    return {
        "accounts": [_put(folder, "accounts.csv", known)],
        "usage": [_put(folder, "usage.csv", usage)],
        "tickets": [_put(folder, "tickets.csv", tickets)],
        "events": [_put(folder, "events.ndjson", events)],
    }


def write_people(folder: Path) -> Path:
    """Write usage of persons, in the evening of six days, who have joined accounts in the first.

    Another account is active for longer, so that their silence is no outage.
    """
    steady = {"metric": "usage", "quantity": 1}
    lines = [
        _line(f"s{day}", "usage.recorded", f"2026-05-{day:02}T12:00:00Z", steady, "steady")
        for day in range(1, 11)
    ]
    for number in range(8):
        person = {"person": f"p{number}"}
        usage = {"metric": "usage", "quantity": 1} | person
        for day in range(1, 7):
            lines.append(
                _line(f"{number}-{day}", "usage.recorded", f"2026-05-0{day}T22:40:00Z", usage)
            )
        joined = person | {"account": f"acct_{number}"}
        lines.append(_line(f"{number}-joined", "person.joined", "2026-05-01T23:10:00Z", joined))
    return _put(folder, "people.ndjson", lines)


def _line(id_: str, kind: str, time: str, data: dict[str, Any], subject: str | None = None) -> str:
    told = {
        "specversion": "1.0",
        "id": id_,
        "source": "/crm",
        "type": kind,
        "time": time,
        "data": data,
    }
    return json.dumps(told if subject is None else told | {"subject": subject})


def _put(folder: Path, name: str, lines: Sequence[str]) -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n")
    return path


def _event(rng: random.Random, who: str, number: int, n: int) -> str:
    """Return an event at any time: of an account, or of a person whose account comes later."""
    at = datetime(2025, 11, 3, tzinfo=UTC) + timedelta(minutes=rng.randrange(DAYS * 1440))
    person = f"q{number}"
    told: list[tuple[str, dict[str, Any], str | None]] = [
        ("usage.recorded", {"metric": "logins", "quantity": 1.5, "person": person}, None),
        ("usage.recorded", {"metric": "logins", "quantity": 2}, who),
        ("payment.failed", {"payment": f"pay{number}", "amount": 900, "currency": "EUR"}, who),
        ("person.joined", {"person": person, "account": who}, None),
        ("contact.updated", {"person": person, "role": "champion", "status": "left"}, who),
        ("closure.declared", {"from": "2026-02-09", "to": "2026-02-15"}, who),
    ]
    kind, data, subject = told[n % 6]
    return _line(f"{who}-{n}", kind, at.isoformat().replace("+00:00", "Z"), data, subject)


def played(
    files: Sequence[HistoryFile], content: RuleSetContent, workers: int = 1
) -> tuple[Outcome, list[Alert]]:
    """Return what a backtest finds, and every alert record of it."""
    alerts: list[Alert] = []
    (outcome,) = run.backtest(files, [content], outside(workers=workers, keep=alerts.append))
    return outcome, alerts


def outside(**given: Any) -> run.Outside:
    """A world in which nothing happens beside the backtest."""
    quiet: dict[str, Any] = {
        "now": NOW,
        "clock": lambda: 0.0,
        "workers": 1,
        "tell": lambda _: None,
        "show": lambda _: None,
        "stopped": lambda: False,
    }
    return run.Outside(**quiet | given)


def imported(
    files: Sequence[HistoryFile], content: RuleSetContent, partitions: int, rng: random.Random
) -> list[Alert]:
    """Return the alerts of an import of the files, in envelopes of any length."""
    logs = _Logs(partitions, rng)
    rows, play = Rows(files, MICROS), Play(partitions, 1, MICROS, ticking=True)
    told = msgspec.json.encode(content).decode()
    logs.put(play.rules(RuleSetRecord(n=1, content=told, applied_at=NOW)))
    with Staging(files) as staging:
        staging.load(MICROS)
        for row in staging.rows():
            found = rows.read(row)
            assert not isinstance(found, Refusal), str(found)
            for incoming in found:
                logs.put(play.ticks(row.at))
                outcome = play.event(incoming)
                assert not isinstance(outcome, Refused)
                logs.put(outcome)
    logs.put(play.end(MICROS))
    return logs.end()


class _Logs:
    """Partitions, and what waits for each."""

    def __init__(self, partitions: int, rng: random.Random) -> None:
        self._partitions = [Partition.begin(n, partitions) for n in range(partitions)]
        self._waiting: list[list[bytes]] = [[] for _ in range(partitions)]
        self._rng = rng
        self._room = 100
        self.alerts: list[Alert] = []

    def put(self, items: Any) -> None:
        for partition, entry in items:
            self._waiting[partition].append(entry)
        if max(map(len, self._waiting)) >= self._room:
            self._flush()

    def end(self) -> list[Alert]:
        while any(self._waiting):
            self._flush()
        for partition in self._partitions:
            while partition.judge(100):
                pass
            self.alerts += partition.found()[0]
        return self.alerts

    def _flush(self) -> None:
        self._room = self._rng.randint(1, 60)
        waiting, self._waiting = self._waiting, [[] for _ in self._waiting]
        for partition, entries in zip(self._partitions, waiting, strict=True):
            if entries:
                partition.apply(partition.stamp + 1, MICROS, join(entries))
            partition.judge(self._rng.choice((1, 60, 1_000)))
            self.alerts += partition.found()[0]
            for subject, entry in partition.forwards():
                homes = range(len(self._waiting))
                for home in homes if not subject else [home_of(subject, len(homes))]:
                    self._waiting[home].append(entry)


PEERS = ("peer_ratio", "peer_accounts", "peer_scope", "text")
"""What of the evidence depends on when summaries of others came: no part of what is promised."""


def same(alerts: Sequence[Alert], *, peers: bool = False) -> list[tuple[Any, ...]]:
    """Return what of alerts must be the same: everything but where it stood in the log.

    Args:
        alerts: Records.
        peers: Whether what was known of similar customers is to be the same too.
    """
    told = [msgspec.to_builtins(one) for one in alerts]
    for one in told:
        del one["account_now"]["stamp"]
        for name in () if peers else PEERS:
            one["because"].pop(name, None)
    return sorted((one["alert_id"], one["fired_at"], one["type"], repr(one)) for one in told)
