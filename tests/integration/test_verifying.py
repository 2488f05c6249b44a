"""An alert verified by whoever doubts it, and what people think of it on its way back."""

import asyncio
import csv
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from schemas import alerts
from schemas.alerts import Alert
from tests.integration.deployment import Deployment
from tests.integration.desk import append, configure, person, raised
from tests.platform import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

DAYS = 190
STOPPED = "acme"


@pytest.fixture
def deployment(kafka: str, valkey: str, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(kafka, tmp_path, redis_url=valkey)
    yield made
    made.stop()


def history(folder: Path) -> Path:
    """Two accounts of which one stopped nine days ago; the other shows that its source lives."""
    path, today = folder / "usage.csv", datetime.now(UTC).date()
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["account_id", "date", "count", "metric"])
        for ago in range(DAYS, 0, -1):
            for account in ("beta", *((STOPPED,) if ago > 9 else ())):
                rows.writerow([account, today - timedelta(ago), 20 + ago % 3, "api_calls"])
    return path


async def test_an_alert_is_computed_again_from_its_evidence_and_from_its_events(
    deployment: Deployment,
) -> None:
    await asyncio.to_thread(_play_history, deployment)
    alert = await eventually(lambda: _first(deployment), within=90, what="the alert")
    assert alert is not None
    told = json.loads(deployment.ebbwatch("explain", alert["alert_id"], "--json"))
    assert (told["agrees"], told["account"], told["rule"]) == (True, STOPPED, "usage-stopped")
    (record, *_), events = told["records"], told["events"]
    assert {line["name"] for line in record["lines"]} >= {"observed", "alert_id", "fires"}
    assert (events["agrees"], events["days_gone"], len(events["days"]) > 150) == (True, 0, True)
    shown = deployment.ebbwatch("explain", alert["alert_id"][:12])
    assert shown.splitlines()[-1].startswith("every number that can be computed agrees; ")
    assert deployment.ebbwatch("explain", "no-such-id", code=1).startswith("no alert whose id")
    # A record that somebody forged does not follow from its own evidence.
    await append(deployment, [_forged(alert)])
    forged = json.loads(deployment.ebbwatch("explain", "forged", "--json", code=1))
    wrong = [line["name"] for line in forged["records"][0]["lines"] if not line["agrees"]]
    assert wrong == ["alert_id", "observed", "headline", "text"]


def _play_history(deployment: Deployment) -> None:
    deployment.prepare(live=False)
    deployment.ebbwatch("import", str(history(deployment.folder)))
    deployment.start("detector")


def _first(deployment: Deployment) -> dict[str, Any] | None:
    mine = [one for one in deployment.alerts() if one["account"] == STOPPED]
    return next((one for one in mine if one["rule"] == "usage-stopped"), None)


def _forged(alert: dict[str, Any]) -> Alert:
    record = alerts.decode(msgspec.json.encode(alert))
    because = record.because | {"observed": 17.5}
    return replace(record, alert_id="forged", because=because)


async def test_what_people_think_of_an_alert_reaches_the_rules_and_their_report(
    deployment: Deployment,
) -> None:
    configure(deployment, {})
    await asyncio.to_thread(deployment.prepare)
    for service in ("ingest", "detector", "alerts"):
        deployment.start(service)
    async with person(deployment) as kim:
        await kim.ready()
        await asyncio.to_thread(_send, deployment)
        await append(deployment, [raised("acme")])
        (case,) = await eventually(kim.cases, what="the case")
        alert_id = case["alerts"][0]["alert_id"]
        said = {"type": "feedback", "alert_id": alert_id, "verdict": "false_alarm"}
        for _ in range(2):
            status, acted = await kim.act("acme", "f1", said)
            assert (status, acted["answer"]["status"]) == (200, "applied")
        counted = {"usage-drop": {"false_alarm": 1}}
        await eventually(lambda: _votes(deployment) == counted, within=40, what="the vote")
        # A replica that ends before it has written what it sent sends it again, and it is known.
        deployment.kill("alerts-0")
        deployment.start("alerts")
        await kim.ready()
        await kim.act("acme", "f2", said | {"verdict": "useful"})
        counted = {"usage-drop": {"useful": 1}}
        await eventually(lambda: _votes(deployment) == counted, within=40, what="the word")
        await kim.act("acme", "r1", {"type": "resolve", "outcome": "churned"})

        def reported() -> dict[str, Any] | None:
            told = json.loads(deployment.ebbwatch("rules", "report", "--json"))
            return next((one for one in told["rules"] if one["left"]), None)

        found = await eventually(reported, within=30, what="the report")
    assert found is not None
    assert (found["rule"], found["rule_set"], found["alerts"]) == ("usage-drop", None, 1)
    assert (found["verdicts"], found["precision"], found["left"]) == ({"useful": 1}, 1.0, 1)
    assert "usage-drop" in deployment.ebbwatch("rules", "report", "--events")


def _votes(deployment: Deployment) -> object:
    """Return what the detector knows of the account's feedback, None before it has written it."""
    return deployment.accounts().get("acme", {}).get("feedback")


def _send(deployment: Deployment) -> None:
    events = deployment.folder / "events.ndjson"
    now = datetime.now(UTC).isoformat()
    events.write_text(
        json.dumps(
            {
                "specversion": "1.0",
                "id": "1",
                "source": "app",
                "type": "usage.recorded",
                "subject": "acme",
                "time": now,
                "data": {"metric": "api_calls", "quantity": 1},
            }
        )
        + "\n"
    )
    deployment.environ["EBBWATCH_KEY"] = deployment.key()
    deployment.ebbwatch("send", str(events))
