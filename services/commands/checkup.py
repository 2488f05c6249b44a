"""Runs all checks of the doctor side by side, each within its time."""

import asyncio
from collections.abc import Awaitable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
from aiokafka.errors import KafkaError

from schemas.topics import EVENTS, full_name
from services.commands.checks import cluster, desk, detector, here, intake, subjects
from services.commands.checks.finding import Finding, fail, warn
from services.commands.config import newest_rules
from services.commands.input_state import states
from services.commands.kafka_facts import Group, asking
from services.commands.ledgers import Unreadable
from services.commands.rejected import RejectsAway
from services.config_log import ConfigLog, ConfigUnavailable
from services.settings import ServiceSettings

CONNECT_SECONDS: Final = 3.0
CHECK_SECONDS: Final = 5.0
"""For each check; all of them run at once, so that the command ends within ten seconds."""

_EXPECTED: Final = (
    KafkaError,
    OSError,
    ConfigUnavailable,
    RejectsAway,
    Unreadable,
    ValueError,
    msgspec.MsgspecError,
)


class Basis(NamedTuple):
    """What several checks need.

    Attributes:
        settings: Which deployment.
        now: Aware UTC.
        config: The newest value of every key of `config.v1`.
        rules: Number of the newest rule set; 0 for none.
        cluster: What is known of Kafka.
    """

    settings: ServiceSettings
    now: datetime
    config: Mapping[str, bytes]
    rules: int
    cluster: cluster.Cluster


async def examine(settings: ServiceSettings, now: datetime, folder: Path) -> list[Finding]:
    """Look at a deployment, whatever of it is down.

    Args:
        settings: Which deployment.
        now: Aware UTC.
        folder: Of `ebbwatch local up`.

    Returns:
        What was found, in the order of the flow.
    """
    local = [here.secrets(settings)]
    free = here.disk(folder)
    redis = asyncio.ensure_future(_bounded("redis", _listed(here.view(settings, now))))
    try:
        async with asyncio.timeout(CONNECT_SECONDS + CHECK_SECONDS):
            found = await _through_kafka(settings, now)
    except TimeoutError:
        found = [warn("the rest", "Kafka became silent meanwhile", "ask again")]
    return [*found, *await redis, *local, *([free] if free else [])]


async def _through_kafka(settings: ServiceSettings, now: datetime) -> list[Finding]:
    try:
        async with asyncio.timeout(CONNECT_SECONDS), asking(settings.kafka) as kafka:
            known = await cluster.look(kafka, settings)
    except (KafkaError, OSError, TimeoutError) as error:
        text = f"{settings.kafka} does not answer ({type(error).__name__})"
        remedy = "start it (`ebbwatch local up` starts a local one), or set EBBWATCH_KAFKA"
        return [
            fail("kafka", text, remedy),
            warn("the rest", "what is seen through Kafka was not looked at"),
        ]
    try:
        log = ConfigLog(settings.kafka, settings.prefix, deadline=CONNECT_SECONDS)
        config: Mapping[str, bytes] = await log.read()
        newest = newest_rules(config)
    except (ConfigUnavailable, msgspec.MsgspecError) as error:
        return [*cluster.judge(known), fail("config", str(error), "see topics")]
    basis = Basis(settings, now, config, 0 if newest is None else newest.n, known)
    found = await asyncio.gather(
        _bounded("inputs", _inputs(basis)),
        _bounded("refusals", _refused(basis)),
        _bounded("detector", _detector(basis)),
        _bounded("accounts", _subjects(basis)),
        _bounded("alerts", _desk(basis)),
    )
    first = [*cluster.judge(known), intake.mode(config), intake.keys(config)]
    return [*first, *(each for some in found for each in some), here.files(settings, config, now)]


async def _inputs(basis: Basis) -> list[Finding]:
    settings = basis.settings
    group = f"{settings.prefix}ingest"
    async with asking(settings.kafka) as kafka:
        known = await states(kafka, basis.config, settings.prefix)
        found = (await kafka.groups([group])).get(group, Group("Dead", 0))
    return list(intake.inputs(known, found, basis.now))


async def _refused(basis: Basis) -> list[Finding]:
    return [intake.judge_refused(await intake.refused(basis.settings, basis.now))]


async def _detector(basis: Basis) -> list[Finding]:
    events = basis.cluster.found.get(full_name(EVENTS, basis.settings.prefix))
    retention = float((events.settings if events else {}).get("retention.ms", "0")) / 1000
    live = intake.mode_of(basis.config) == "live"
    async with asking(basis.settings.kafka) as kafka:
        known = await detector.look(kafka, basis.settings, basis.rules, live, max(0.0, retention))
    return [] if known is None else detector.judge(known, basis.now.timestamp())


async def _subjects(basis: Basis) -> list[Finding]:
    async with asking(basis.settings.kafka) as kafka:
        return subjects.judge(await subjects.look(kafka, basis.settings), basis.rules)


async def _desk(basis: Basis) -> list[Finding]:
    async with asking(basis.settings.kafka) as kafka:
        known = await desk.look(kafka, basis.settings, basis.config)
    return [] if known is None else desk.judge(known, basis.now.timestamp())


async def _listed(one: Awaitable[Finding]) -> list[Finding]:
    return [await one]


async def _bounded(name: str, check: Awaitable[list[Finding]]) -> list[Finding]:
    """Give a check its time; what it could not find out is a finding too."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await check
    except TimeoutError:
        return [warn(name, f"not found out within {CHECK_SECONDS:g} s", "ask again")]
    except _EXPECTED as error:
        return [warn(name, f"could not be found out: {str(error) or type(error).__name__}")]
