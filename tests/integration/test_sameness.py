"""The same history gives the same alerts, whatever the partition count (design §5, promise b).

Through Kafka, with any number of partitions, and from the files alone.
"""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.alerts import Alert
from services.backtest import run
from services.company import shipped
from tests.integration.deployment import Deployment
from tests.platform import eventually
from tests.quality import sources

pytestmark = [pytest.mark.integration, pytest.mark.timeout(480)]

DAYS = 200
START = date(2026, 1, 5)
EACH = 6
"""Accounts of each source: few, for what many share is one incident, of which no import knows."""
FALLS = {3: 0.3, 10: 0.0, 17: 0.5}
"""Accounts that are made to fall on their 150th day, and what is left of them."""
ZONES = ("UTC", "America/New_York", "Asia/Tokyo")


def write_history(folder: Path) -> list[str]:
    """Write what real accounts did in the last days that are known of them, and their attributes.

    Their weekdays stay what they were; what is known of each begins on one day.
    """
    usage = ["account_id,date,count,metric,person"]
    accounts = ["account_id,name,owner,timezone,renewal_on,start"]
    for number, counts in enumerate(real()):
        account, renewal = f"acct_{number}", START + timedelta(days=DAYS + number)
        zone = ZONES[number % len(ZONES)]
        accounts.append(f"{account},Name {number},ana,{zone},{renewal},{START}")
        for day, count in enumerate(counts):
            left = round(count * (FALLS.get(number, 1.0) if day >= 150 else 1.0))
            if left:
                on = START + timedelta(days=day)
                usage.append(f"{account},{on},{left},api_calls,p{day % 3}")
    (folder / "usage.csv").write_text("\n".join(usage))
    (folder / "accounts.csv").write_text("\n".join(accounts))
    return ["usage.csv", "accounts.csv"]


def real() -> list[list[int]]:
    """Return daily counts of the first accounts of each source, from a Monday on."""
    found: dict[str, list[list[int]]] = {}
    for history in sources.histories():
        counts = history.until_last_activity().counts
        # So that the last days are whole weeks before the end, and begin on a Monday.
        begin = len(counts) - DAYS
        begin -= (history.first + timedelta(days=begin)).weekday()
        mine = found.setdefault(history.source, [])
        if begin >= 0 and len(mine) < EACH:
            mine.append(counts[begin : begin + DAYS].tolist())
    return [counts for mine in found.values() for counts in mine]


ACCOUNTS = len(real())


PEERS = ("peer_ratio", "peer_accounts", "peer_scope", "text")
"""What of the evidence depends on what was known of other accounts: no part of the promise."""


def told(record: dict[str, Any]) -> tuple[Any, ...]:
    """Return what of an alert must be the same: everything but where it stood in the log."""
    same = {name: value for name, value in record.items() if name != "account_now"}
    same["because"] = {k: v for k, v in record["because"].items() if k not in PEERS}
    now = {name: value for name, value in record["account_now"].items() if name != "stamp"}
    return record["alert_id"], record["type"], record["day"], repr(sorted(same.items())), repr(now)


async def alerts_of(kafka: str, folder: Path, partitions: int) -> list[tuple[Any, ...]]:
    folder.mkdir()
    deployment = Deployment(kafka, folder, partitions)
    try:
        deployment.prepare(live=False)
        for service in ("ingest", "detector"):
            deployment.start(service)
        deployment.ebbwatch("import", *write_history(folder))
        await eventually(
            lambda: reached(deployment), within=200, what="the import to be judged to its end"
        )
        # What is judged since then is still being judged.
        return sorted(told(record) for record in deployment.alerts() if record["historic"])
    finally:
        deployment.stop()


def reached(deployment: Deployment) -> bool:
    """Tell whether every account was judged on the last days of the history."""
    accounts = deployment.accounts()
    last = (START + timedelta(days=DAYS - 1)).isoformat()
    return len(accounts) == ACCOUNTS and all(
        (line["judged"] or "") >= last for line in accounts.values()
    )


def backtested(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Play the same files without a broker, by two workers."""
    folder.mkdir()
    usage, accounts = (folder / name for name in write_history(folder))
    monkeypatch.setattr(run, "FEW_BYTES", 0)
    found: list[Alert] = []
    outside = run.Outside(
        now=datetime.now(UTC),
        clock=lambda: 0.0,
        workers=2,
        tell=print,
        show=lambda _: None,
        stopped=lambda: False,
        keep=found.append,
    )
    files = run.look_at({"usage": [usage], "accounts": [accounts]})
    run.backtest(files, [shipped().content], outside)
    return sorted(told(msgspec.json.decode(msgspec.json.encode(one))) for one in found)


async def test_four_and_eight_partitions_and_a_backtest_raise_the_same_alerts(
    kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    four = await alerts_of(kafka, tmp_path / "four", 4)
    eight = await alerts_of(kafka, tmp_path / "eight", 8)
    assert four == eight
    assert {record[1] for record in four} >= {"alert.raised", "alert.worsened", "alert.cleared"}
    assert backtested(tmp_path / "files", monkeypatch) == four
