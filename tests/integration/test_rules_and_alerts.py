import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from uuid import uuid4

import msgspec
import pytest
from aiokafka import AIOKafkaProducer

from schemas import alerts, topics
from schemas.alerts import AccountNow, Alert, AlertCleared, AlertRaised
from schemas.config import RULES_PREFIX, RuleSetContent, RuleSetRecord
from services.alert_log import AlertsUnavailable, opened
from services.commands import alerts as command
from services.commands.config import apply_content, ensure_rules, newest_rules
from services.company import shipped
from services.config_log import ConfigConflict, ConfigLog
from services.settings import ConfigurationError
from tests.platform import create_topics, eventually

pytestmark = pytest.mark.integration

NOW = datetime(2026, 5, 14, 12, tzinfo=UTC)
CONTENT = shipped().content
OTHER = msgspec.structs.replace(CONTENT, currency="USD")


async def config_log(kafka: str) -> ConfigLog:
    prefix = f"{uuid4().hex}."
    await create_topics(kafka, topics.full_name(topics.CONFIG, prefix))
    return ConfigLog(kafka, prefix)


def numbered(n: int, content: RuleSetContent) -> RuleSetRecord:
    text = msgspec.json.encode(content, order="sorted").decode()
    return RuleSetRecord(n=n, content=text, applied_at=NOW)


async def test_rule_sets_are_numbered_and_none_is_written_twice(kafka: str) -> None:
    log = await config_log(kafka)
    assert await apply_content(log, CONTENT, NOW) == (numbered(1, CONTENT), True)
    assert await apply_content(log, CONTENT, NOW) == (numbered(1, CONTENT), False)
    assert await apply_content(log, OTHER, NOW) == (numbered(2, OTHER), True)
    # What was in force before may come back, under a number of its own.
    assert await apply_content(log, CONTENT, NOW) == (numbered(3, CONTENT), True)
    assert newest_rules(await log.read()) == numbered(3, CONTENT)


async def test_of_two_that_apply_at_the_same_moment_each_gets_its_number_or_is_told(
    kafka: str,
) -> None:
    log = await config_log(kafka)
    contents = [msgspec.structs.replace(CONTENT, currency=code) for code in ("USD", "GBP", "CHF")]
    done = await asyncio.gather(
        *(apply_content(log, one, NOW) for one in contents), return_exceptions=True
    )
    written = [one[0] for one in done if isinstance(one, tuple)]
    refused = [one for one in done if isinstance(one, ConfigConflict)]
    assert len(written) + len(refused) == 3
    found = {
        key: msgspec.json.decode(one, type=RuleSetRecord) for key, one in (await log.read()).items()
    }
    assert found == {f"{RULES_PREFIX}{one.n}": one for one in written}
    assert sorted(one.n for one in written) == list(range(1, len(written) + 1))


async def test_what_is_in_force_is_kept_and_else_the_shipped_rules_are_applied(
    kafka: str, tmp_path: Path
) -> None:
    log = await config_log(kafka)
    (tmp_path / "rules.toml").write_text("[rulez]")
    with pytest.raises(ConfigurationError, match=r"rules\.toml:1: there is no key rulez"):
        await ensure_rules(log, tmp_path, NOW)
    assert await log.read() == {}
    assert await ensure_rules(log, None, NOW) == numbered(1, CONTENT)
    assert await ensure_rules(log, tmp_path, NOW) == numbered(1, CONTENT)


def raised(account: str, severity: str) -> Alert:
    return AlertRaised(**_fields(account), severity=severity)  # type: ignore[arg-type]


def cleared(account: str) -> Alert:
    return AlertCleared(**_fields(account), severity="high", reason="recovered")  # type: ignore[arg-type]


def _fields(account: str) -> dict[str, object]:
    return {
        "alert_id": f"alert of {account}",
        "account": account,
        "rule": "usage-drop",
        "rule_set": 1,
        "kind": "usage_drop",
        "object": "usage",
        "day": date(2026, 5, 14),
        "fired_at": NOW,
        "category": "early_signals",
        "churn_kind": "voluntary",
        "historic": False,
        "account_now": AccountNow(stamp=0),
        "because": {"headline": "usage fell"},
    }


@contextlib.asynccontextmanager
async def writer(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=uuid4().hex)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


class Deployment:
    """An alert log of three partitions, and who writes into it."""

    def __init__(self, kafka: str, prefix: str, producer: AIOKafkaProducer) -> None:
        self.kafka, self.prefix, self._producer = kafka, prefix, producer

    async def write(self, *written: Alert | bytes, commit: bool = True) -> None:
        topic = topics.full_name(topics.ALERTS, self.prefix)
        await self._producer.begin_transaction()
        for one in written:
            raw = one if isinstance(one, bytes) else alerts.encode(one)
            account = "acct_1" if isinstance(one, bytes) else one.account
            sent = await self._producer.send(topic, raw, account.encode(), ord(account[-1]) % 3)
            await sent
        if commit:
            await self._producer.commit_transaction()
        else:
            await self._producer.abort_transaction()

    async def shows(self, records: int) -> bool:
        """Tell whether readers see so many records: a commit is answered before they do."""
        async with opened(self.kafka, self.prefix) as log:
            return len([one async for one in log.to_end()]) == records


@pytest.fixture
async def deployment(kafka: str) -> AsyncIterator[Deployment]:
    prefix = f"{uuid4().hex}."
    await create_topics(kafka, topics.full_name(topics.ALERTS, prefix), partitions=3)
    async with writer(kafka) as producer:
        yield Deployment(kafka, prefix, producer)


async def test_only_what_was_committed_is_read_and_read_to_the_end(deployment: Deployment) -> None:
    first, second = raised("acct_1", "high"), raised("acct_2", "low")
    await deployment.write(first, second)
    await deployment.write(raised("acct_3", "critical"), commit=False)
    await deployment.write(cleared("acct_1"), b'{"type":"case.acknowledged","v":1}')
    await eventually(lambda: deployment.shows(4), what="what was committed")
    async with opened(deployment.kafka, deployment.prefix) as log:
        found = [one async for one in log.to_end()]
    assert [one.alert for one in found if one.account == "acct_1"] == [
        first,
        cleared("acct_1"),
        None,
    ]
    assert [one.alert for one in found if one.account != "acct_1"] == [second]


async def test_an_empty_log_ends_at_once(deployment: Deployment) -> None:
    async with opened(deployment.kafka, deployment.prefix) as log:
        assert [one async for one in log.to_end()] == []


async def test_a_missing_topic_is_told_with_the_remedy(kafka: str) -> None:
    with pytest.raises(AlertsUnavailable, match=r"nowhere\.alerts\.v1 .* `ebbwatch topics apply`"):
        async with opened(kafka, "nowhere."):
            pass


async def test_the_list_shows_what_stands_and_follows_what_arises(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    await deployment.write(raised("acct_1", "high"), raised("acct_2", "critical"))
    await deployment.write(cleared("acct_1"))
    await eventually(lambda: deployment.shows(3), what="what was committed")
    shown: list[str] = []

    def seen(text: str) -> bool:
        shown.append(capsys.readouterr().out)
        return text in "".join(shown)

    work = command._print_standing(deployment.kafka, deployment.prefix, None, True, False)
    listing = asyncio.create_task(work)
    try:
        await eventually(lambda: seen("1 open alert"), what="the list")
        assert "".join(shown).startswith("CRITICAL  acct_2: usage fell\n")
        assert "acct_1" not in "".join(shown)
        await deployment.write(raised("acct_3", "low"))
        await eventually(lambda: seen("LOW  acct_3: usage fell\n"), what="the new alert")
    finally:
        listing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listing


async def test_the_raw_log_is_shown_record_by_record(
    deployment: Deployment, capsys: pytest.CaptureFixture[str]
) -> None:
    unknown = b'{"type":"case.acknowledged","v":1}'
    await deployment.write(raised("acct_1", "high"), raised("acct_2", "low"), unknown)
    await eventually(lambda: deployment.shows(3), what="what was committed")
    await command._print_raw(deployment.kafka, deployment.prefix, "acct_1", False, False)
    assert capsys.readouterr().out.encode().splitlines() == [
        alerts.encode(raised("acct_1", "high")),
        unknown,
    ]
