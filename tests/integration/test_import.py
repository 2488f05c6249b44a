import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
import typer
from aiokafka import AIOKafkaConsumer, TopicPartition
from typer.testing import CliRunner

from schemas import topics
from schemas.config import MODE_KEY, ModeRecord, RuleSetContent, RuleSetRecord
from schemas.envelope import Entry, decode
from schemas.events import ClockTicked, RulesApplied, UsageRecorded
from schemas.rejects import Reject
from services.commands.config import newest_rules
from services.commands.history import import_, import_files, live
from services.config_log import ConfigLog
from services.ingest.history.files import HistoryError, find
from services.ingest.history.importer import Outside, Progress, run_import
from services.ingest.history.play import Item
from services.publishing.publisher import Publisher, publishing
from services.settings import ServiceSettings
from tests.platform import create_topics, free_port

pytestmark = pytest.mark.integration

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAYS = [date(2026, 5, 1) + timedelta(days) for days in range(31)]
ACCOUNTS = [f"acct_{n}" for n in range(20)]


Show = Callable[[Progress], None]


def rules(n: int = 1) -> RuleSetRecord:
    content = msgspec.json.encode(RuleSetContent(rules=[])).decode()
    return RuleSetRecord(n=n, content=content, applied_at=NOW)


@dataclass
class Deployment:
    """One deployment of a test, with topics of its own, and what was said and shown."""

    kafka: str
    partitions: int = 4
    prefix: str = field(default_factory=lambda: f"{uuid4().hex}.")
    said: list[str] = field(default_factory=list)

    @property
    def config(self) -> ConfigLog:
        return ConfigLog(self.kafka, self.prefix)

    async def create(self) -> "Deployment":
        for topic in (topics.EVENTS, topics.REJECTS):
            name = topics.full_name(topic, self.prefix)
            await create_topics(self.kafka, name, partitions=self.partitions)
        await create_topics(self.kafka, topics.full_name(topics.CONFIG, self.prefix))
        return self

    async def run(
        self,
        paths: Sequence[Path],
        *,
        again: bool = False,
        show: Show = print,
    ) -> Progress:
        async with self.publisher() as publisher:
            return await run_import(
                find(paths), replace(self.outside(show), publisher=publisher), again=again
            )

    def publisher(self) -> AbstractAsyncContextManager[Publisher]:
        name = topics.full_name(topics.EVENTS, self.prefix)
        return publishing(self.kafka, name, self.partitions)

    def outside(self, show: Show) -> Outside:
        async def ensure_rules() -> RuleSetRecord:
            return rules()

        return Outside(
            config=self.config,
            publisher=Silent(),
            partitions=self.partitions,
            refuse=self.refuse,
            ensure_rules=ensure_rules,
            now=lambda: NOW,
            tell=self.said.append,
            show=show,
        )

    async def refuse(self, rejects: Sequence[Reject]) -> None:
        self.said += [reject.detail for reject in rejects]

    async def mode(self) -> str:
        return msgspec.json.decode((await self.config.read())[MODE_KEY], type=ModeRecord).mode

    async def entries(self) -> list[list[Entry]]:
        """Everything in `events.v1`, a list per partition."""
        return [
            [entry for message in messages for _, entry in decode(message)[0]]
            for messages in await self.messages(topics.full_name(topics.EVENTS, self.prefix))
        ]

    async def messages(self, name: str) -> list[list[bytes]]:
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            parts = [TopicPartition(name, number) for number in range(self.partitions)]
            consumer.assign(parts)
            ends = await consumer.end_offsets(parts)
            found: list[list[bytes]] = [[] for _ in parts]
            for part in parts:
                while await consumer.position(part) < ends[part]:
                    for owner, records in (await consumer.getmany(timeout_ms=200)).items():
                        found[owner.partition] += [record.value for record in records]
            return found
        finally:
            await consumer.stop()


class Silent:
    """A publisher whose broker falls silent after some batches, at once unless told."""

    def __init__(self, publisher: Publisher | None = None, batches: int = 0) -> None:
        self._publisher = publisher
        self._left = batches

    async def publish(self, items: Sequence[Item]) -> None:
        self._left -= 1
        if self._left < 0 or self._publisher is None:
            await asyncio.Event().wait()
        else:
            await self._publisher.publish(items)


def known_once(entries: Sequence[Entry]) -> list[Entry]:
    """What is left of a partition when every entry whose origin is not newer is dropped."""
    kept: list[Entry] = []
    newest = (0, -1)
    for entry in entries:
        if entry.origin is None:
            continue
        if (entry.origin.offset, entry.origin.place) > newest:
            newest = (entry.origin.offset, entry.origin.place)
            kept.append(entry)
    return kept


def counted(partitions: Sequence[Sequence[Entry]]) -> Counter[tuple[str, int | None]]:
    sums: Counter[tuple[str, int | None]] = Counter()
    for entry in (entry for entries in partitions for entry in entries):
        if isinstance(entry.event, UsageRecorded):
            sums[entry.subjects[0].removeprefix("account:"), entry.day] += int(entry.event.quantity)
    return sums


@pytest.fixture
def history(tmp_path: Path, seed: int) -> list[Path]:
    """A month of usage of 20 accounts in shuffled rows, and the accounts themselves."""
    chance = random.Random(seed)
    rows = [f"{a},{day},{chance.randrange(50)}" for a in ACCOUNTS for day in DAYS]
    chance.shuffle(rows)
    usage, accounts = tmp_path / "usage.csv", tmp_path / "accounts.csv"
    usage.write_text("\n".join(["account_id,date,count", *rows]))
    accounts.write_text("\n".join(["account_id,owner", *(f"{a},ana" for a in ACCOUNTS)]))
    return [usage, accounts]


def recount(usage: Path) -> Counter[tuple[str, int | None]]:
    sums: Counter[tuple[str, int | None]] = Counter()
    for line in usage.read_text().splitlines()[1:]:
        account, day, count = line.split(",")
        sums[account, (date.fromisoformat(day) - date(1970, 1, 1)).days] += int(count)
    return sums


async def test_history_is_played_in_its_order_with_rules_first_and_ends_live(
    kafka: str, history: list[Path]
) -> None:
    deployment = await Deployment(kafka).create()
    progress = await deployment.run(history)
    partitions = await deployment.entries()
    assert counted(partitions) == recount(history[0])
    assert await deployment.mode() == "live"
    assert (progress.rows, progress.events, progress.total) == (640, 640, 640)
    for entries in partitions:
        assert entries[0].event == RulesApplied(n=1, content=rules().content)
        assert [e.time for e in entries[1:]] == sorted(e.time for e in entries[1:])
        assert known_once(entries) == entries[1:]
        assert isinstance(entries[1].event, ClockTicked)
        # Due in every zone at 14:00, but the wall clock says 12:00.
        assert entries[-1].time == int(NOW.timestamp() * 1_000_000)


async def test_four_and_eight_partitions_play_the_same_entries(
    kafka: str, history: list[Path]
) -> None:
    found = []
    for partitions in (4, 8):
        deployment = await Deployment(kafka, partitions).create()
        await deployment.run(history)
        merged = {
            e.origin: e for entries in await deployment.entries() for e in entries if e.origin
        }
        found.append(merged)
    assert found[0] == found[1]


async def test_files_that_were_imported_are_refused_unless_told_to_count_again(
    kafka: str, history: list[Path]
) -> None:
    deployment = await Deployment(kafka).create()
    await deployment.run(history)
    with pytest.raises(HistoryError, match="imported already as run 1; --again counts it again"):
        await deployment.run(history)
    before = await deployment.entries()
    await deployment.run(history, again=True)
    added = [now[len(then) :] for then, now in zip(before, await deployment.entries(), strict=True)]
    assert counted(added) == recount(history[0])
    # A deployment that is live keeps its own clock.
    assert [e for entries in added for e in entries if isinstance(e.event, ClockTicked)] == []
    assert {e.origin.offset for entries in added for e in entries if e.origin} == {2}


async def test_an_interrupted_import_is_repeated_and_nothing_counts_twice(
    kafka: str, history: list[Path]
) -> None:
    deployment = await Deployment(kafka).create()
    async with deployment.publisher() as publisher:
        outside = replace(deployment.outside(print), publisher=Silent(publisher, 2), stalled=0.5)
        with pytest.raises(HistoryError, match="run the same command again: nothing counts twice"):
            await run_import(find(history), outside)
    assert await deployment.mode() == "importing"
    other = history[0].with_name("other.csv")
    other.write_text("account_id,date,count\nx,2026-05-04,1\n")
    with pytest.raises(HistoryError, match="run 1 imported other files and was interrupted"):
        await deployment.run([other])
    await deployment.run(history)
    assert deployment.said[-1].startswith("run 1 repeats")
    partitions = await deployment.entries()
    assert counted(partitions) != recount(history[0])
    assert counted([known_once(entries) for entries in partitions]) == recount(history[0])
    whole = await Deployment(kafka).create()
    await whole.run(history)
    assert [known_once(entries) for entries in partitions] == [
        known_once(entries) for entries in await whole.entries()
    ]


async def test_two_imports_of_the_same_files_at_once_count_once(
    kafka: str, history: list[Path]
) -> None:
    deployment = await Deployment(kafka).create()
    await asyncio.gather(deployment.run(history), deployment.run(history), return_exceptions=True)
    partitions = await deployment.entries()
    assert counted([known_once(entries) for entries in partitions]) == recount(history[0])
    assert await deployment.mode() == "live"


async def test_a_refused_import_writes_nothing(kafka: str, history: list[Path]) -> None:
    deployment = await Deployment(kafka).create()
    broken = history[0].with_name("broken.csv")
    broken.write_text("account_id,date,count\nx,4.5.2026,1\n")
    with pytest.raises(HistoryError, match="no row has a readable date"):
        await deployment.run([*history, broken])
    assert (await deployment.config.read(), await deployment.entries()) == ({}, [[]] * 4)


async def test_refused_rows_are_in_rejects_and_the_others_in_events(
    kafka: str, tmp_path: Path
) -> None:
    deployment = await Deployment(kafka).create()
    path = tmp_path / "u.csv"
    path.write_text("account_id,date,count\na,2026-05-04,1\nb,2026-05-04,-1\n")
    await deployment.config.write("rules/1", msgspec.json.encode(rules()))
    settings = ServiceSettings(
        kafka=kafka, prefix=deployment.prefix, partitions=deployment.partitions
    )
    progress = await import_files(settings, [path], tell=deployment.said.append)
    assert (progress.events, dict(progress.refused)) == (1, {"invalid": 1})
    raw = await deployment.messages(topics.full_name(topics.REJECTS, deployment.prefix))
    [found] = [msgspec.json.decode(value, type=Reject) for part in raw for value in part]
    assert found == Reject(
        stage="ingest",
        reason="invalid",
        detail="u.csv row 2: -1 is refused: write a number from 0 to 1000000000000, with a point "
        "before at most three decimals, such as 12 or 2.5",
        raw=b'{"account_id":"b","date":"2026-05-04","count":"-1"}',
        field="count",
        source="import/usage",
    )


async def test_without_a_rule_set_the_shipped_rules_are_put_in_force(
    kafka: str, history: list[Path]
) -> None:
    deployment = await Deployment(kafka).create()
    settings = ServiceSettings(kafka=kafka, prefix=deployment.prefix, partitions=4)
    await import_files(settings, history, tell=deployment.said.append)
    record = newest_rules(await deployment.config.read())
    assert record is not None
    for entries in await deployment.entries():
        assert entries[0].event == RulesApplied(n=1, content=record.content)


def test_the_commands_say_what_is_wrong_and_exit_with_one(
    history: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    app = typer.Typer()
    app.command("import")(import_)
    app.command()(live)
    monkeypatch.setenv("EBBWATCH_KAFKA", f"127.0.0.1:{free_port()}")
    for command in (["import", str(history[0])], ["live"]):
        result = CliRunner().invoke(app, command)
        assert (result.exit_code, "does not answer" in result.stderr) == (1, True)
