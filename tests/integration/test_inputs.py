"""`ebbwatch inputs`: how each stands, and that one that was created anew goes on and counts."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from services.commands.offset_deletion import StillRead, delete_offsets
from tests.integration.gateway import INPUTS, Live, recreate, started, usage
from tests.integration.ingesting import produce
from tests.platform import create_topics, eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]


@pytest.fixture
async def live(kafka: str, tmp_path: Path) -> AsyncIterator[Live]:
    async with started(kafka, tmp_path) as made:
        yield made


def listed(live: Live, code: int = 0) -> dict[str, object]:
    """Return what `inputs list` says of the one input, without what differs each time."""
    (line,) = live.deployment.ebbwatch("inputs", "list", "--json", code=code).splitlines()
    found = json.loads(line)
    assert (found.pop("last_record_at") is None) == (found["partitions"][0]["end"] == 0)
    return {name: found[name] for name in ("name", "topic", "state", "fault", "lag", "partitions")}


def part(number: int, end: int, committed: int | None) -> dict[str, object]:
    lag = end - (committed or 0)
    names = ("partition", "start", "end", "committed", "lag")
    return dict(zip(names, (number, 0, end, committed, lag), strict=True))


async def read_up_to(live: Live, name: str, end: int) -> None:
    """Wait until Kafka knows that the first partition was read to an end."""
    parts = [part(0, end, end), part(1, 0, None)]
    fine = {"name": name, "topic": live.topic, "state": "ok", "fault": None, "lag": 0}
    await eventually(lambda: listed(live) == {**fine, "partitions": parts}, within=40)


async def test_what_waits_is_counted_and_a_stopped_input_says_why(live: Live) -> None:
    deployment = live.deployment
    await live.produce(usage("1", "a"))
    await live.counted(a=1)
    await read_up_to(live, "gateway", 1)
    assert deployment.end("ingest-0") == 0
    await live.produce(usage("2", "a"), usage("3", "a"))

    waits = listed(live)
    told = deployment.ebbwatch("inputs", "list").splitlines()
    await recreate(deployment.kafka, live.topic)
    stopped = listed(live, code=1)

    assert waits["lag"] == 2
    assert waits["partitions"] == [part(0, 3, 1), part(1, 0, None)]
    assert "2 partitions, 2 records behind, newest 20" in told[0]
    assert told[1:] == ["    partition 0: holds 0 to 3, read up to 1"]
    assert stopped["state"] == "stopped"
    assert stopped["fault"] == f"topic {live.topic!r} was deleted and created anew"


async def test_an_input_whose_topic_was_created_anew_is_accepted_and_counts(live: Live) -> None:
    deployment = live.deployment
    await live.produce(*(usage(str(n), "a") for n in range(5)))
    await live.counted(a=5)
    await read_up_to(live, "gateway", 5)
    assert "nothing was done" in deployment.ebbwatch("inputs", "reset", "gateway", code=1)
    deployment.end("ingest-0")
    await recreate(deployment.kafka, live.topic)
    await live.produce(usage("new-1", "a"), usage("new-2", "b"))
    deployment.start("ingest")
    await eventually(lambda: "input stopped" in deployment.log("ingest-0"), within=40)

    asked = deployment.ebbwatch("inputs", "reset", "gateway", code=1)
    wrong = deployment.ebbwatch("inputs", "reset", "gateway", "--same-topic", "--yes", code=1)
    done = deployment.ebbwatch("inputs", "reset", "gateway", "--yes")

    beyond = f"partition 0 of {live.topic} was counted up to offset 4 and ends at 2"
    assert asked.startswith(f"{beyond}, so it was created anew: read {live.topic} from its")
    assert wrong.startswith(f"{beyond}: it is not the same topic")
    assert done == (
        f"{live.topic} is read from its beginning as 'gateway~2'; ingest takes it up by itself\n"
    )
    await live.counted(a=6, b=1)
    assert "says the same already" in deployment.ebbwatch("config", "apply")
    await live.produce(usage("new-3", "b"))
    await live.counted(a=6, b=2)
    await read_up_to(live, "gateway~2", 3)


async def test_a_topic_that_is_created_anew_is_accepted_at_once_while_ingest_reads_it(
    live: Live, tmp_path: Path
) -> None:
    """And with another partition count: ingest sees by the topic's id that it is another one."""
    deployment = live.deployment
    other = f"{deployment.prefix}other"
    await create_topics(deployment.kafka, other)
    with (tmp_path / "company" / "inputs.toml").open("a") as file:
        file.write(INPUTS.format(topic=other).replace("gateway", "other"))
    deployment.ebbwatch("config", "apply")
    await live.produce(usage("1", "a"), usage("2", "a"))
    await produce(deployment.kafka, other, [json.dumps(usage("o-1", "o")).encode()])
    await live.counted(a=2, o=1)
    await recreate(deployment.kafka, live.topic, partitions=1)

    done = deployment.ebbwatch("inputs", "reset", "gateway", "--created-anew", "--yes")

    assert done.startswith(f"{live.topic} is read from its beginning as 'gateway~2'")
    await live.produce(usage("new-1", "a"))
    await produce(deployment.kafka, other, [json.dumps(usage("o-2", "o")).encode()])
    await live.counted(a=3, o=2)
    assert "input stopped" in deployment.log("ingest-0")


async def test_a_topic_created_anew_while_ingest_was_down_is_known_by_its_id_alone(
    live: Live,
) -> None:
    """All its offsets look as if: it has grown beyond what Kafka holds for read of the former."""
    deployment = live.deployment
    await read_and_ended(live)
    await recreate(deployment.kafka, live.topic)
    # as of a commit that was under way while the topic was deleted
    await commit(deployment.kafka, f"{deployment.prefix}ingest", live.topic, 2)
    await live.produce(*(usage(f"new-{n}", "b") for n in range(4)))

    deployment.start("ingest")
    await eventually(lambda: "input stopped" in deployment.log("ingest-0"), within=40)
    stopped = listed(live, code=1)
    deployment.end("ingest-0")
    deployment.start("ingest")
    asked = deployment.ebbwatch("inputs", "reset", "gateway", code=1)
    deployment.ebbwatch("inputs", "reset", "gateway", "--yes")

    anew = f"topic {live.topic!r} was deleted and created anew"
    assert (stopped["fault"], stopped["partitions"]) == (anew, [part(0, 4, 2), part(1, 0, None)])
    assert deployment.log("ingest-0").count(f"{anew}: `ebbwatch inputs reset gateway --cr") >= 1
    assert asked.startswith(f"{live.topic} has another id than the topic that was read: read")
    await live.counted(a=2, b=4)
    await read_up_to(live, "gateway~2", 4)


async def test_an_input_in_order_is_not_reset_under_ingest_and_the_remedy_is_told(
    live: Live,
) -> None:
    deployment = live.deployment
    await live.produce(usage("1", "a"))
    await live.counted(a=1)

    told = deployment.ebbwatch("inputs", "reset", "gateway", "--created-anew", "--yes", code=1)

    assert told.strip().endswith(
        "takes it for the topic of before. End every ingest, run the same command again, and "
        "start ingest"
    )


async def test_an_input_is_accepted_while_ingest_reads_the_others(
    live: Live, tmp_path: Path
) -> None:
    deployment = live.deployment
    group, other = f"{deployment.prefix}ingest", f"{deployment.prefix}other"
    await create_topics(deployment.kafka, other)
    more = INPUTS.format(topic=other).replace("gateway", "other")
    with (tmp_path / "company" / "inputs.toml").open("a") as file:
        file.write(more)
    deployment.ebbwatch("config", "apply")
    await live.produce(usage("1", "a"))
    await produce(deployment.kafka, other, [json.dumps(usage("o-1", "o")).encode()])
    await live.counted(a=1, o=1)
    deployment.end("ingest-0")
    await recreate(deployment.kafka, live.topic)
    await commit(deployment.kafka, group, live.topic, 100)
    await live.produce(usage("new-1", "a"))
    deployment.start("ingest")
    await eventually(lambda: "input stopped" in deployment.log("ingest-0"), within=40)
    await produce(deployment.kafka, other, [json.dumps(usage("o-2", "o")).encode()])
    await live.counted(a=1, o=2)
    told = deployment.ebbwatch("inputs", "list", code=1)
    assert f"STOPPED: topic {live.topic!r} was deleted and created anew; `ebbwatch inputs" in told

    with pytest.raises(StillRead):
        await delete_offsets(deployment.kafka, group, other, [0])
    deployment.ebbwatch("inputs", "reset", "gateway", "--created-anew", "--yes")

    await live.counted(a=2, o=2)


async def read_and_ended(live: Live) -> None:
    """Let ingest read two records of the input, and end."""
    await live.produce(usage("1", "a"), usage("2", "a"))
    await live.counted(a=2)
    await read_up_to(live, "gateway", 2)
    live.deployment.end("ingest-0")


async def commit(kafka: str, group: str, topic: str, offset: int) -> None:
    """Commit an offset as a member of a group would."""
    part = TopicPartition(topic, 0)
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka, group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([part])
        await consumer.commit({part: offset})
    finally:
        await consumer.stop()


async def test_offsets_that_kafka_forgot_are_made_up_for_and_nothing_counts_twice(
    live: Live,
) -> None:
    deployment = live.deployment
    await read_and_ended(live)
    await delete_offsets(deployment.kafka, f"{deployment.prefix}ingest", live.topic, [0, 1])
    await live.produce(usage("3", "b"))

    unsure = deployment.ebbwatch("inputs", "reset", "gateway", "--yes", code=1)
    told = deployment.ebbwatch("inputs", "reset", "gateway", "--yes", "--same-topic")
    deployment.start("ingest")

    assert "(partition 0 holds 0 to 3, counted up to 1; " in unsure
    assert "restart ingest" in told
    await live.counted(a=2, b=1)


async def test_another_topic_under_an_old_name_counts_from_its_first_record(
    live: Live, tmp_path: Path
) -> None:
    deployment = live.deployment
    await live.produce(*(usage(str(n), "a") for n in range(3)))
    await live.counted(a=3)
    live.topic = f"{deployment.prefix}other"
    await create_topics(deployment.kafka, live.topic, partitions=2)
    (tmp_path / "company" / "inputs.toml").write_text(INPUTS.format(topic=live.topic))
    deployment.ebbwatch("config", "apply")
    await live.produce(usage("other-1", "a"))

    await live.counted(a=4)
    await read_up_to(live, "gateway~2", 1)
