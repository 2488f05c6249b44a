"""People and channels from the company's files into `config.v1`, and what follows them there."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaProducer
from typer.testing import CliRunner

from schemas import topics
from schemas.accounts import AccountSummary
from schemas.config import ChannelHealth
from services import cli
from services.alerts.channels import webhook
from services.alerts.directory import Directory, following
from services.config_log import ConfigLog
from tests.platform import create_topics, eventually
from tests.unit.alerts.receiver import receiving

pytestmark = pytest.mark.integration

SECRET = webhook.make_secret(bytes(32))
NOW = datetime(2026, 5, 15, 12, tzinfo=UTC)


class Deployment:
    """A company's folder, and a Kafka with its topics."""

    def __init__(self, kafka: str, prefix: str, folder: Path) -> None:
        self.kafka, self.prefix, self.folder = kafka, prefix, folder
        self.log = ConfigLog(kafka, prefix)

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(exist_ok=True)
        (self.folder / name).write_text(text)

    def channel(self, url: str) -> None:
        self.write(
            "channels.toml",
            f'[channel.crm]\nkind = "webhook"\nurl = "{url}"\nsecret_file = "secrets/crm"\n'
            'allow = ["127.0.0.0/8"]\nallow_http = true\n',
        )

    async def run(self, *arguments: str) -> tuple[int, list[str]]:
        """Run a command in a thread, because each brings a loop of its own."""
        found = await asyncio.to_thread(CliRunner().invoke, cli.app, arguments)
        return found.exit_code, (found.stdout + found.stderr).splitlines()


@pytest.fixture
async def ours(kafka: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    prefix, folder = f"t{uuid4().hex[:12]}.", tmp_path / "company"
    folder.mkdir()
    await create_topics(kafka, topics.full_name(topics.CONFIG, prefix))
    await create_topics(kafka, topics.full_name(topics.ACCOUNTS, prefix), partitions=1)
    monkeypatch.chdir(tmp_path)
    for name, value in {
        "KAFKA": kafka,
        "PREFIX": prefix,
        "PARTITIONS": "1",
        "SECRET_KEY": "pepper",
        "CONFIG_DIR": str(folder),
    }.items():
        monkeypatch.setenv(f"EBBWATCH_{name}", value)
    made = Deployment(kafka, prefix, folder)
    made.write("directory.toml", '[person.ana]\nname = "Ana Lima"\n[person.kim]\nname = "Kim"\n')
    made.write("company.toml", 'signal_manager = "kim"\n')
    made.write("secrets/crm", f"{SECRET}\n")
    made.channel("https://crm.example.com/hook")
    return made


@pytest.fixture
async def directory(ours: Deployment) -> AsyncIterator[Directory]:
    made = following(ours.kafka, ours.prefix, "pepper")
    running = asyncio.create_task(made.run())
    yield made
    running.cancel()
    await asyncio.wait({running})


async def test_what_is_applied_is_in_force_and_what_is_taken_out_is_gone(
    ours: Deployment, directory: Directory
) -> None:
    code, said = await ours.run("config", "apply")
    assert (code, said) == (
        0,
        [
            "rule set 1 is in force: 19 rules (3 in shadow), 2 people, 1 channel",
            "people: 2 written (ana, kim)",
            "channels: 1 written (crm)",
            "routing: written",
        ],
    )
    assert not any(SECRET.encode() in value for value in (await ours.log.read()).values())
    await eventually(lambda: directory.snapshot.channels)
    snapshot = directory.snapshot
    assert (list(snapshot.people), snapshot.routing.signal_manager) == (["ana", "kim"], "kim")
    assert snapshot.channels["crm"].secrets == (SECRET,)

    assert await ours.run("config", "apply") == (
        0,
        ["rule set 1 says the same already; nothing was written"],
    )
    ours.write("directory.toml", '[person.kim]\nname = "Kim Larsen"\n')
    ours.write("channels.toml", "")
    assert await ours.run("config", "apply") == (
        0,
        [
            "rule set 1 says the same already",
            "people: 1 written (kim), 1 deleted (ana)",
            "channels: 1 deleted (crm)",
        ],
    )
    await eventually(lambda: not directory.snapshot.channels)
    assert [one.name for one in directory.snapshot.people.values()] == ["Kim Larsen"]


async def test_channels_need_the_key_that_seals_and_people_do_not(
    ours: Deployment, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("EBBWATCH_SECRET_KEY")
    code, said = await ours.run("config", "apply")
    assert (code, said[0].split(":")[0]) == (78, "EBBWATCH_SECRET_KEY is not set")
    ours.write("channels.toml", "")
    code, said = await ours.run("config", "apply")
    assert (code, said[1:]) == (0, ["people: 2 written (ana, kim)", "routing: written"])


async def test_health_goes_through_the_log_and_a_person_switches_on_again(
    ours: Deployment, directory: Directory
) -> None:
    await ours.run("config", "apply")
    await eventually(lambda: directory.snapshot.channels)

    def health() -> ChannelHealth:
        return directory.snapshot.channels["crm"].health

    await asyncio.gather(*(directory.failed("crm", NOW) for _ in range(5)))
    await eventually(lambda: health() == ChannelHealth(failing_since=NOW, failed_at=NOW))
    await directory.succeeded("crm")
    await eventually(lambda: health() == ChannelHealth())
    await directory.failed("crm", NOW)
    await eventually(lambda: health().failing_since == NOW)
    for day in range(1, 6):
        await directory.failed("crm", NOW + timedelta(days=day))
    await eventually(lambda: health().reason == "failing")

    code, (line,) = await ours.run("channels", "list")
    assert (code, line) == (
        0,
        "crm  webhook  crm.example.com  switched off since 2026-05-20 12:00 UTC (it failed for "
        "five days); `ebbwatch channels enable crm` switches it on again",
    )
    code, (line,) = await ours.run("channels", "list", "--json")
    assert json.loads(line)["state"] == "disabled"
    assert (await ours.run("channels", "enable", "crm"))[0] == 0
    await eventually(lambda: health() == ChannelHealth())
    assert await ours.run("channels", "enable", "fax") == (
        1,
        ["there is no channel 'fax' in force; known are crm"],
    )


async def test_two_replicas_notice_the_same_and_write_it_once(
    ours: Deployment, directory: Directory
) -> None:
    await ours.run("config", "apply")
    other = following(ours.kafka, ours.prefix, "pepper")
    running = asyncio.create_task(other.run())
    for one in (directory, other):
        await eventually(lambda one=one: one.snapshot.channels)  # type: ignore[misc]
    later = NOW + timedelta(seconds=1)
    await asyncio.gather(directory.failed("crm", NOW), other.failed("crm", later))
    raw = (await ours.log.read())["channel-health/crm"]
    assert msgspec.json.decode(raw, type=ChannelHealth).failing_since in (NOW, later)
    running.cancel()
    await asyncio.wait({running})


async def test_a_channel_is_tried_out(ours: Deployment) -> None:
    async with receiving() as receiver:
        ours.channel(receiver.url)
        await ours.run("config", "apply")
        code, (line,) = await ours.run("channels", "test", "crm")
        assert (code, bool(re.fullmatch(r"crm took it: 204, after \d\.\d\d s", line))) == (0, True)
        assert len(receiver.received) == 1
    code, (line,) = await ours.run("channels", "test", "crm")
    assert (code, line.split(" (")[0]) == (1, "crm did not take it: connection")


async def test_a_route_is_told_before_anything_happens(ours: Deployment) -> None:
    await ours.run("config", "apply")
    summary = AccountSummary(account="acct 42", stamp=1, name="Acme", owner="joe")
    producer = AIOKafkaProducer(bootstrap_servers=ours.kafka)
    await producer.start()
    topic = topics.full_name(topics.ACCOUNTS, ours.prefix)
    await producer.send_and_wait(topic, msgspec.json.encode(summary), b"acct 42", 0)
    await producer.stop()
    assert await ours.run("routes", "test", "acct 42", "usage-drop") == (
        0,
        [
            "Acme (acct 42): Kim (kim) would be told by crm",
            "    the signal manager of company.toml, because the account has no owner whom "
            "directory.toml knows; whoever a case is assigned to comes first",
        ],
    )
    code, (line,) = await ours.run("routes", "test", "acct 42", "--json")
    assert (code, json.loads(line)["person"]) == (0, "kim")
    code, (line,) = await ours.run("routes", "test", "nobody")
    assert (code, line.split(";")[0]) == (1, "account 'nobody' is not known yet")
