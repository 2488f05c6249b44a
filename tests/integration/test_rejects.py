"""`ebbwatch rejects`: whatever is replayed, cut off and replayed again, each event counts once."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from schemas.envelope import Entry, account
from schemas.events import UsageRecorded
from schemas.rejects import Reject
from services.commands.rejected import Wanted
from services.config_log import ConfigConflict
from tests.integration.gateway import Live, started, usage
from tests.integration.ingesting import produce
from tests.platform import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SOON = 608.0
"""Seconds ahead: too far today, and not any more once eight seconds have passed."""


@pytest.fixture
async def live(kafka: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with started(kafka, tmp_path) as made:
        yield made


async def test_what_can_be_taken_today_is_sent_once_however_often_it_is_replayed(
    live: Live,
) -> None:
    await live.produce(usage("k1", "a"))
    await live.counted(a=1)
    await live.produce(
        [usage("k2", "a", SOON), usage("k3", "a", type="no.such_type")],
        usage("k4", "b", SOON),
    )
    binary = usage("k5", "b", SOON)
    data = msgspec.json.encode(binary.pop("data"))
    headers = [(f"ce_{name}", value.encode()) for name, value in binary.items()]
    await produce(live.deployment.kafka, live.topic, [data], headers)
    await eventually(lambda: len(live.refused()) == 4, within=40, what="four refusals")
    assert await live.post(usage("h1", "c", SOON), usage("h2", "c", SOON), usage("h3", "c")) == 1
    ahead = round((datetime.now(UTC) - EPOCH).total_seconds() * 1e6) + round(SOON * 1e6)
    event = UsageRecorded(metric="api_calls", quantity=1)
    await live.write(Entry("d1", "/direct", ahead, (account("d"),), event))
    await eventually(lambda: len(live.refused()) == 7, within=40, what="seven refusals")
    await live.counted(a=1, c=1)

    def soon() -> bool:
        return datetime.now(UTC) > EPOCH + timedelta(microseconds=ahead - 600_000_000)

    await eventually(soon)
    # The sender of h2 has sent it again by itself.
    assert await live.post(usage("h2", "c")) == 1
    tried = live.replay("--dry-run", code=1)
    first = live.replay(code=1)
    again = live.replay(code=1)

    assert tried[0] == "6 events of 6 refusals can be sent"
    assert first[:2] == [
        "6 events of 6 refusals sent",
        "1 event still refused (unknown_type 1)",
    ]
    assert again[0] == "0 events of 0 refusals sent"
    assert again[-1] == "6 refusals had been replayed before"
    left = [one["reason"] for one in live.refused() if not one["sent_again"]]
    assert left == ["unknown_type"]
    told = live.deployment.ebbwatch("rejects", "list")
    assert "7 refusals, 6 of them sent again by a replay" in told
    await live.counted(a=2, b=2, c=3, d=1)


def former(id: str, subject: str, **changes: Any) -> Reject:
    """What an earlier version refused, because it did not know the type."""
    raw = msgspec.json.encode(usage(id, subject))
    fields = {"stage": "ingest", "reason": "unknown_type", "detail": "type is unknown", "index": 0}
    return Reject(**{**fields, "raw": raw, "source": "/gateway", **changes})


async def test_a_replay_that_is_cut_off_is_finished_by_the_next_one(live: Live) -> None:
    gone = {"topic": live.topic, "partition": 0}
    for number in range(4):
        await live.refuse(former(f"k{number}", "a", **gone, offset=1_000 + number))
        await live.refuse(former(f"h{number}", "b"))
    wanted = Wanted(EPOCH)

    # Noted, and nothing sent.
    one = live.replaying()
    assert await one.prepare() is None
    _, tried = await one.try_out(wanted, 3)
    assert await one.begin(tried)
    told = live.replay("--dry-run")
    assert told[-1].startswith("3 refusals of a replay that was cut off at ")
    assert live.replay("--limit", "1")[-1].startswith("sent 3 of 3 refusals of a replay that was")
    await live.counted(a=2, b=2)

    # Sent, and not noted as sent; another one comes in between and the first goes on.
    one = live.replaying()
    await one.prepare()
    chosen, tried = await one.try_out(wanted, 2)
    assert await one.begin(tried)
    await one.publish(tried)
    assert live.replay()[-1].startswith("sent 2 of 2 refusals of a replay that was")
    await one.publish(tried)
    with pytest.raises(ConfigConflict):
        await one.end(chosen)
    assert live.replay()[0] == "0 events of 0 refusals sent"
    await live.counted(a=4, b=4)


async def test_older_refusals_can_be_replayed_after_newer_ones(live: Live) -> None:
    gone = {"topic": live.topic, "partition": 0}
    for number, reason in enumerate(("invalid", "too_large", "nested")):
        await live.refuse(former(f"k{number}", "a", reason=reason, **gone, offset=number))
    for reason in ("too_large", "nested", "invalid"):
        told = live.replay("--reason", reason)
        assert told == ["1 event of 1 refusal sent"]

    await live.counted(a=3)
