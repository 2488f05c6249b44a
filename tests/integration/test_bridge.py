import asyncio
import json
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.record.util import calc_crc32c_py

from schemas.envelope import Origin
from schemas.events import ClockTicked
from schemas.rejects import Reject
from services.ingest.markers import forget
from tests.integration.ingesting import Deployment, Process, counted, deployment, event, produce
from tests.platform import create_topics, eventually

pytestmark = pytest.mark.integration


@pytest.fixture
async def ours(kafka: str, tmp_path: Path) -> AsyncIterator[Deployment]:
    async with deployment(kafka, tmp_path) as made:
        yield made


async def usage_topic(ours: Deployment, partitions: int = 2) -> str:
    name = f"{ours.prefix}usage"
    await create_topics(ours.kafka, name, partitions=partitions)
    return name


def text(*ids: str, account: str = "acct_1") -> list[bytes]:
    return [json.dumps(event(id, account)).encode() for id in ids]


async def arrived(ours: Deployment, *ids: str) -> bool:
    return counted(await ours.entries()) == dict.fromkeys(ids, 1)


async def check(ingest: Process, name: str) -> dict[str, object]:
    found: dict[str, object] = (await ingest.ask("/readyz"))[1]["checks"].get(f"input:{name}", {})
    return found


async def rejects(ours: Deployment) -> list[ConsumerRecord]:
    return [each for part in await ours.read("rejects.v1") for each in part]


async def test_records_in_every_mode_arrive_with_their_origin_and_poison_is_set_aside(
    ours: Deployment,
) -> None:
    topic = await usage_topic(ours)
    await ours.set_rules(1, {"gateway": topic})
    attributes = {k: v for k, v in event("binary").items() if k != "data"}
    headers = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
    data = json.dumps(event("")["data"]).encode()
    await produce(ours.kafka, topic, [*text("plain"), b"poison"])
    await produce(ours.kafka, topic, [data], [*headers, ("content-type", b"application/json")])
    structured = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
    await produce(ours.kafka, topic, text("structured"), structured)

    await ours.live()
    await eventually(lambda: arrived(ours, "plain", "binary", "structured"), within=30)

    entries = [e for part in await ours.entries() for e in part if e.source != "ebbwatch"]
    assert [(e.id, e.origin) for e in entries] == [
        ("plain", Origin("gateway", 0, 0, 0)),
        ("binary", Origin("gateway", 0, 2, 0)),
        ("structured", Origin("gateway", 0, 3, 0)),
    ]
    kept = await eventually(lambda: rejects(ours), what="the poison in rejects.v1")
    (reject,) = [msgspec.json.decode(each.value, type=Reject) for each in kept]
    place = (reject.topic, reject.partition, reject.offset, reject.raw, reject.reason)
    assert place == (topic, 0, 1, b"poison", "broken_json")
    assert kept[0].key == b"gateway"


async def test_bridges_wait_until_the_deployment_is_live(ours: Deployment) -> None:
    topic = await usage_topic(ours)
    await ours.set_rules(1, {"gateway": topic})
    await produce(ours.kafka, topic, text("1"))
    ingest = await ours.start()
    await eventually(lambda: _waits(ingest))

    assert [len(part) for part in await ours.entries()] == [0, 0, 0, 0]
    await ours.set_mode("live")
    await eventually(lambda: arrived(ours, "1"), within=30)


async def _waits(ingest: Process) -> bool:
    return "ebbwatch live" in str((await ingest.ask("/readyz"))[1])


async def test_a_missing_topic_stops_its_own_input_only_and_is_read_once_it_exists(
    ours: Deployment,
) -> None:
    topic, late = await usage_topic(ours), f"{ours.prefix}billing"
    await ours.set_rules(1, {"gateway": topic, "billing": late})
    await produce(ours.kafka, topic, text("1"))
    ingest = await ours.live()

    await eventually(lambda: arrived(ours, "1"), within=30)
    assert await check(ingest, "billing") == {
        "ok": False,
        "required": False,
        "detail": f"topic {late!r} does not exist; create it, or correct inputs.toml",
    }
    assert await ingest.ready()
    await create_topics(ours.kafka, late)
    await produce(ours.kafka, late, text("2"))
    await eventually(lambda: arrived(ours, "1", "2"), within=30)
    assert (await check(ingest, "billing"))["ok"] is True


async def test_inputs_follow_the_newest_rule_set(ours: Deployment) -> None:
    topic = await usage_topic(ours)
    ingest = await ours.live()
    await ours.set_rules(1, {"gateway": topic})
    await produce(ours.kafka, topic, text("1"))
    await eventually(lambda: arrived(ours, "1"), within=30)

    await ours.set_rules(2)

    async def gone() -> bool:
        return await check(ingest, "gateway") == {}

    await eventually(gone, within=30)
    assert await ingest.end() == 0


async def test_a_restart_goes_on_where_the_last_one_ended(ours: Deployment) -> None:
    topic = await usage_topic(ours)
    await ours.set_rules(1, {"gateway": topic})
    await produce(ours.kafka, topic, text("1", "2"))
    first = await ours.live()
    await eventually(lambda: arrived(ours, "1", "2"), within=30)
    assert await first.end() == 0
    await produce(ours.kafka, topic, text("3"))

    await ours.live()
    await eventually(lambda: arrived(ours, "1", "2", "3"), within=30)

    entries = [e for part in await ours.entries() for e in part if e.source != "ebbwatch"]
    assert [e.id for e in entries] == ["1", "2", "3"]


async def test_a_topic_created_anew_stops_its_input_with_the_remedy(ours: Deployment) -> None:
    topic, other = await usage_topic(ours, 1), f"{ours.prefix}other"
    await create_topics(ours.kafka, other)
    await ours.set_rules(1, {"gateway": topic, "other": other})
    await produce(ours.kafka, topic, text("1", "2", "3"))
    first = await ours.live()
    await eventually(lambda: arrived(ours, "1", "2", "3"), within=30)
    assert await first.end() == 0
    await _recreate(ours.kafka, topic)
    await produce(ours.kafka, topic, text("lost"))

    ingest = await ours.live()
    await produce(ours.kafka, other, text("4"))
    await eventually(lambda: arrived(ours, "1", "2", "3", "4"), within=30)

    found = await check(ingest, "gateway")
    assert found == {
        "ok": False,
        "required": False,
        "detail": f"topic {topic!r} was deleted and created anew: `ebbwatch inputs reset gateway "
        "--created-anew` reads it from its beginning",
    }
    assert await ingest.ready()


async def test_after_its_marks_are_forgotten_a_topic_counts_as_never_read(ours: Deployment) -> None:
    topic = await usage_topic(ours, 1)
    await ours.set_rules(1, {"gateway": topic})
    await produce(ours.kafka, topic, text("1"))
    first = await ours.live()
    await eventually(lambda: arrived(ours, "1"), within=30)
    assert await first.end() == 0
    await _recreate(ours.kafka, topic)

    await produce(ours.kafka, topic, text("2"))

    await forget(ours.config, topic)
    await ours.live()

    async def read() -> bool:
        return any(entry.id == "2" for part in await ours.entries() for entry in part)

    await eventually(read, within=30)


async def _recreate(kafka: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        await admin.delete_topics([topic])

        async def gone() -> bool:
            return topic not in await admin.list_topics()

        await eventually(gone)
    finally:
        await admin.close()
    await create_topics(kafka, topic)


async def test_ticks_tell_up_to_when_each_input_partition_is_complete(ours: Deployment) -> None:
    topic = await usage_topic(ours)
    await ours.set_rules(1, {"gateway": topic})
    await produce(ours.kafka, topic, text("1"))
    await ours.live()
    start = time.time() * 1e6

    async def complete() -> dict[str, int]:
        ticks = [e.event for e in (await ours.entries())[3] if isinstance(e.event, ClockTicked)]
        newest = ticks[-1].complete_until if ticks else {}
        return newest if len(newest) == 2 and min(newest.values()) > start else {}

    found = await eventually(complete, within=30, what="two complete partitions")

    assert sorted(found) == ["gateway/0", "gateway/1"]


async def test_kill_9_and_a_joining_replica_lose_nothing_and_count_nothing_twice(
    ours: Deployment, seed: int
) -> None:
    chance, total = random.Random(seed), 30_000
    topic = await usage_topic(ours, 4)
    await ours.set_rules(1, {"gateway": topic})
    running = await ours.live()
    ids = [f"e{n}" for n in range(total)]

    async def load() -> None:
        for begin in range(0, total, 1500):
            some = [
                text(id, account=f"acct_{n % 100}")[0] for n, id in enumerate(ids[begin:][:1500])
            ]
            await produce(ours.kafka, topic, some, partition=chance.randrange(4))

    loading = asyncio.create_task(load())
    for share in (0.1, 0.4):
        await _reached(ours, int(total * share))
        await running.end(signal.SIGKILL)
        running = await ours.live()
    joined = await ours.live()
    await _reached(ours, int(total * 0.7))
    assert await running.end() == 0
    await loading

    async def all_there() -> bool:
        return len(counted(await ours.entries())) == total

    await eventually(all_there, within=60, what="every record in the log")
    counts = counted(await ours.entries())
    assert {id for id in ids if counts.get(id) != 1} == set()
    assert await joined.end() == 0


async def _reached(ours: Deployment, enough: int) -> None:
    async def there() -> bool:
        return len(counted(await ours.entries())) >= enough

    await eventually(there, within=60, what=f"{enough} events in the log")


async def test_headers_without_a_value_and_records_of_thousands_of_events_are_carried(
    ours: Deployment,
) -> None:
    topic = await usage_topic(ours)
    await ours.set_rules(1, {"gateway": topic})
    ids = [[f"e{record}.{n}" for n in range(1_500)] for record in range(9)]
    batches = [b"[" + b",".join(text(*some)) + b"]" for some in ids]
    await produce(ours.kafka, topic, batches, [("traceparent", None)])

    ingest = await ours.live()
    every = [id for some in ids for id in some]
    await eventually(lambda: arrived(ours, *every), within=60, what="13,500 events")
    assert await ingest.end() == 0


async def test_while_refusals_cannot_be_written_the_inputs_stand_and_say_so(
    ours: Deployment,
) -> None:
    """As without the right to: here the topic takes no record of more than 100 bytes."""
    topic, kept = await usage_topic(ours, 1), f"{ours.prefix}rejects.v1"
    await ours.set_rules(1, {"gateway": topic})
    ingest = await ours.live()
    await _limit(ours.kafka, kept, "100")
    await produce(ours.kafka, topic, [b"poison", *text("1")])

    async def told() -> bool:
        return str((await check(ingest, "gateway")).get("detail")).startswith(
            f"refusals cannot be written to {kept}: "
        )

    await eventually(told, within=30, what="the reason in /readyz")
    assert 'ebbwatch_input_up{input="gateway"} 0.0' in (await ingest.ask("/metrics"))[1]
    assert await ingest.ready()
    await _limit(ours.kafka, kept, "1000000")
    await eventually(lambda: arrived(ours, "1"), within=30)
    await eventually(lambda: rejects(ours), what="the poison in rejects.v1")

    async def up() -> bool:
        return 'ebbwatch_input_up{input="gateway"} 1.0' in (await ingest.ask("/metrics"))[1]

    await eventually(up, within=30, what="an input that is up again")
    assert await ingest.end() == 0


async def _limit(kafka: str, topic: str, size: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        kind = ConfigResourceType.TOPIC
        await admin.alter_configs([ConfigResource(kind, topic, {"max.message.bytes": size})])
    finally:
        await admin.close()


async def test_a_record_that_the_client_cannot_read_stops_its_input_only(
    ours: Deployment,
) -> None:
    topic, other = await usage_topic(ours, 1), f"{ours.prefix}other"
    await create_topics(ours.kafka, other)
    await ours.set_rules(1, {"gateway": topic, "other": other})
    await produce(ours.kafka, topic, text("1"))
    await _produce_unreadable(ours.kafka, topic)
    await produce(ours.kafka, other, text("2"))

    ingest = await ours.live()

    async def told() -> bool:
        return "a header whose name is no UTF-8" in str(await check(ingest, "gateway"))

    await eventually(told, within=30, what="the reason in /readyz")
    await produce(ours.kafka, other, text("3"))

    async def others_arrived() -> bool:
        return counted(await ours.entries()).keys() >= {"2", "3"}

    await eventually(others_arrived, within=30)
    assert (await check(ingest, "other"))["ok"] is True
    assert await ingest.end() == 0


async def _produce_unreadable(kafka: str, topic: str) -> None:
    """Write a record as a client does that takes any bytes for the name of a header."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka)
    await producer.start()
    try:
        batch = producer.create_batch()
        batch.append(key=None, value=b"{}", timestamp=None, headers=[("k-y", b"v")])
        batch.close()
        raw = bytearray(batch._builder.build())
        raw[raw.index(b"k-y") + 1] = 0xFF
        # The sum of what follows it; Kafka protocol, record batch.
        raw[17:21] = calc_crc32c_py(raw[21:]).to_bytes(4)
        batch._buffer = raw
        await (await producer.send_batch(batch, topic, partition=0))
    finally:
        await producer.stop()
