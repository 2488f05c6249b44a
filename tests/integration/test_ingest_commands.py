import asyncio
import json
from pathlib import Path
from uuid import uuid4

import pytest
import typer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from typer.testing import CliRunner, Result

from schemas.topics import TOPICS
from services import topic_admin
from services.commands import keys, topics
from services.ingest.config import Follower
from services.ingest.keys import Presented, parse, verify
from tests.platform import eventually, free_port

pytestmark = pytest.mark.integration

app = typer.Typer()
app.add_typer(topics.app, name="topics")
app.add_typer(keys.app, name="keys")


@pytest.fixture
def environ(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.chdir(tmp_path)
    variables = {
        "EBBWATCH_KAFKA": kafka,
        "EBBWATCH_PREFIX": f"t{uuid4().hex[:12]}.",
        "EBBWATCH_PARTITIONS": "3",
        "EBBWATCH_SECRET_KEY": "pepper",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, arguments)


async def set_config(kafka: str, topic: str, **settings: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        configs = {name.replace("_", "."): value for name, value in settings.items()}
        resource = ConfigResource(ConfigResourceType.TOPIC, topic, configs=configs)
        await admin.alter_configs([resource])
    finally:
        await admin.close()


def test_topics_are_created_as_declared_and_a_second_time_nothing_is_done(
    environ: dict[str, str],
) -> None:
    before = run("topics", "diff")
    created = run("topics", "apply")
    again = run("topics", "apply")
    after = run("topics", "diff", "--json")

    names = [f"{environ['EBBWATCH_PREFIX']}{topic.name}" for topic in TOPICS]
    assert before.exit_code == 1
    assert before.output.splitlines() == [
        f"{name} is missing; run `ebbwatch topics apply`" for name in names
    ]
    assert (created.exit_code, created.output.splitlines()) == (0, [f"{n}: created" for n in names])
    assert (again.exit_code, again.output) == (0, "all topics are as declared\n")
    assert (after.exit_code, after.output) == (0, "[]\n")


async def test_a_differing_setting_is_mended_and_the_others_of_the_topic_stay(
    environ: dict[str, str],
) -> None:
    kafka, prefix = environ["EBBWATCH_KAFKA"], environ["EBBWATCH_PREFIX"]
    await topic_admin.apply(kafka, prefix, 3)
    name = f"{prefix}rejects.v1"
    settings = {"retention_ms": "1000", "segment_bytes": "10485760"}
    await set_config(kafka, name, message_timestamp_type="LogAppendTime", **settings)

    async def differences() -> list[topic_admin.Difference]:
        return topic_admin.compare(await topic_admin.describe(kafka, prefix), prefix, 3)

    different = await eventually(differences)
    mended = await topic_admin.apply(kafka, prefix, 3)
    found = (await topic_admin.describe(kafka, prefix))[name]

    assert different == mended
    assert [str(each) for each in mended] == [
        f"{name}: retention.ms is '1000', declared is '1209600000'"
    ]
    assert (found.own["segment.bytes"], found.own["retention.ms"]) == ("10485760", "1209600000")


def test_another_partition_count_is_an_error_with_its_remedy(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run("topics", "apply")
    monkeypatch.setenv("EBBWATCH_PARTITIONS", "4")

    refused = run("topics", "apply", "--json")
    different = run("topics", "diff", "--json")

    assert (refused.exit_code, different.exit_code) == (1, 1)
    events = json.loads(different.output)[0]
    assert events == {
        "topic": f"{environ['EBBWATCH_PREFIX']}events.v1",
        "kind": "partitions",
        "setting": "",
        "has": "3",
        "wants": "4",
        "text": events["text"],
    }
    assert "set EBBWATCH_PARTITIONS=3, or import into new topics" in events["text"]
    assert "has 3 partitions" in refused.output


def test_without_kafka_a_command_says_so(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EBBWATCH_KAFKA", f"127.0.0.1:{free_port()}")

    for command in (("topics", "diff"), ("keys", "list")):
        outcome = run(*command)
        assert (outcome.exit_code, "EBBWATCH_KAFKA" in outcome.output) == (1, True)


def test_without_a_secret_no_key_can_be_made(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EBBWATCH_SECRET_KEY")

    outcome = run("keys", "create", "--source", "/api")

    assert (outcome.exit_code, "EBBWATCH_SECRET_KEY is not set" in outcome.output) == (78, True)


async def test_ingest_learns_of_a_key_and_of_its_end(environ: dict[str, str]) -> None:
    kafka, prefix = environ["EBBWATCH_KAFKA"], environ["EBBWATCH_PREFIX"]
    await topic_admin.apply(kafka, prefix, 3)
    follower = Follower(kafka, f"{prefix}config.v1")
    following = asyncio.create_task(follower.run())

    created = await asyncio.to_thread(
        run, "keys", "create", "--source", "/api", "--env", "test", "--save"
    )
    presented = parse(f"Bearer {created.output.strip()}")
    assert isinstance(presented, Presented)
    await eventually(lambda: presented.id in follower.configuration.keys)
    found = verify(presented, follower.configuration.keys, "pepper")
    revoked = await asyncio.to_thread(run, "keys", "revoke", created.output.strip())
    await eventually(lambda: follower.configuration.keys[presented.id].revoked_at)
    listed = await asyncio.to_thread(run, "keys", "list", "--json")
    following.cancel()

    assert (getattr(found, "source", None), presented.env) == ("/api", "test")
    assert Path(".ebbwatch/key").read_text() == created.output
    assert revoked.output.startswith(f"key {presented.id} is revoked since ")
    assert json.loads(listed.output).keys() == {"id", "source", "created_at", "revoked_at"}
    unknown = await asyncio.to_thread(run, "keys", "revoke", "nobody")
    assert (unknown.exit_code, "there is no key 'nobody'" in unknown.output) == (1, True)
