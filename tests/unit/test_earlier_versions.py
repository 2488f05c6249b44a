"""What earlier versions wrote is read by today's code: frozen logs and snapshots.

`state-v1` was written by commit 97cdcd2: 501 messages of one partition of `events.v1` (zones,
origins, late events, closings that were open at the cut), its snapshot and alerts, and a day of
`alerts.v1` with its snapshot of cases. `state-v2` was written by commit 28708e9: the same with two
inputs, of one of which no tick tells, and with snapshots that bear their seal. `state-v3` was
written by commit 4768159: tickets, seats, contracts, features and votes beside all that. A new
layout freezes one more before it is released.
"""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from schemas import alerts as alert_codec
from services.alerts.cases.ledger import KEY
from services.alerts.cases.partition import Partition as Cases
from services.detector.ledger import ROOT
from services.detector.partition import Partition
from services.detector.showing import shown
from services.footprint import Footprint

FOLDER = Path(__file__).parents[1] / "faults" / "fixtures"
FIXTURES = sorted(FOLDER.glob("state-*.json.gz"))


@pytest.fixture(params=FIXTURES, ids=lambda path: path.name.partition(".")[0])
def frozen(request: pytest.FixtureRequest) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(gzip.decompress(request.param.read_bytes()))
    # The first one is of before there were seals, and of before ticks told of inputs.
    return {"sealed": False, "inputs": [], **found}


def values(records: dict[str, str]) -> dict[str, bytes]:
    return {key: base64.b64decode(raw) for key, raw in records.items()}


def restored(frozen: dict[str, Any]) -> Partition:
    return Partition.restore(
        frozen["partition"], frozen["partitions"], values(frozen["state"]), frozen["horizon"]
    )


def test_an_earlier_snapshot_shows_what_it_showed(frozen: dict[str, Any]) -> None:
    partition = restored(frozen)
    assert partition.stamp == frozen["stamp"]
    found = [
        shown(one, frozen["partition"], partition.stamp, partition.judged_to(one))
        for _, one in sorted(partition.accounts.items())
    ]
    # Later versions show more of an account, never less.
    assert [{name: line[name] for name in told} for line, told in both(found, frozen)] == (
        [as_today(one) for one in frozen["accounts"]]
    )


def test_an_earlier_snapshot_fits_its_seal_where_it_has_one(frozen: dict[str, Any]) -> None:
    state, cases = values(frozen["state"]), values(frozen["cases"]["state"])
    seals = (
        (state, ROOT, restored(frozen).ledger.record.seal),
        (cases, KEY, Cases.restore(0, 1, cases).seal),
    )
    assert [bool(seal) for *_, seal in seals] == [frozen["sealed"] for _ in seals]
    for snapshot, ledger, seal in seals:
        assert Footprint(snapshot, ledger).fault(snapshot, seal) is None
        torn = dict(list(snapshot.items())[1:])
        assert bool(Footprint(torn, ledger).fault(torn, seal)) == frozen["sealed"]


def test_an_earlier_snapshot_tells_how_far_its_inputs_were(frozen: dict[str, Any]) -> None:
    record = restored(frozen).ledger.record
    assert sorted(record.complete) == frozen["inputs"]
    assert record.fed == ({"usage": ["app"]} if frozen["inputs"] else {})


def both(
    found: list[dict[str, Any]], frozen: dict[str, Any]
) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    plain = json.loads(json.dumps(found))
    return list(zip(plain, map(as_today, frozen["accounts"]), strict=True))


def as_today(account: dict[str, Any]) -> dict[str, Any]:
    """Return what was shown, where another layout holds the same now: tickets, by day."""
    days: dict[str, dict[str, list[int]]] = {"days": {}, "urgent": {}}
    for hashed, (day, high) in account.get("tickets", {}).get("opened", {}).items():
        for name, told in (("days", day), ("urgent", high)):
            if told is not None:
                days[name].setdefault(str(told), []).append(int(hashed) % 2**32)
    marked = {name: {day: sorted(some) for day, some in days[name].items()} for name in days}
    return account | ({"tickets": marked} if days["days"] else {})


def test_an_earlier_log_gives_the_same_alerts_and_goes_on_from_its_snapshot(
    frozen: dict[str, Any],
) -> None:
    afresh = Partition.begin(frozen["partition"], frozen["partitions"], frozen["horizon"])
    gone_on = restored(frozen)
    for message in frozen["log"]:
        if message["offset"] <= frozen["stamp"]:
            fold(afresh, message)
    alerts = [json.loads(alert_codec.encode(one)) for one in afresh.cut().alerts]
    assert [told(one) for one in alerts[: len(frozen["alerts"])]] == [
        told(one) for one in frozen["alerts"]
    ]
    for message in frozen["log"]:
        if message["offset"] > frozen["stamp"]:
            fold(afresh, message)
        fold(gone_on, message)
    assert settled(gone_on) == settled(afresh)


def settled(partition: Partition) -> dict[str, dict[str, Any]]:
    """Judge all that is due; return what is shown of each account.

    Of what was usual when an alert was raised nothing: an earlier version did not keep it.
    """
    while partition.judge(250):
        pass
    found = {
        one.id: shown(one, 0, 0, partition.judged_to(one)) for one in partition.accounts.values()
    }
    for account in found.values():
        for episode in account.get("episodes", ()):
            episode.pop("usual", None)
    return found


def fold(partition: Partition, message: dict[str, Any]) -> None:
    partition.apply(message["offset"], message["appended"], base64.b64decode(message["value"]))
    partition.judge(3)


def told(alert: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(alert[name] for name in ("type", "alert_id", "day", "fired_at", "severity"))


def test_an_earlier_snapshot_of_cases_is_what_its_log_folds_to_today(
    frozen: dict[str, Any],
) -> None:
    kept = Cases.restore(0, 1, values(frozen["cases"]["state"]))
    afresh = Cases.begin(0, 1)
    for one in frozen["cases"]["log"]:
        record = (one["offset"], one["appended"], one["key"], base64.b64decode(one["value"]))
        afresh.apply(*record)
        kept.apply(*record)
    assert (kept.stamp, kept.cases) == (afresh.stamp, afresh.cases)
    assert kept.counts["replayed", "offset"] == len(frozen["cases"]["log"])
