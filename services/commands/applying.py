"""Puts a company's files in force: one transaction, in which only what changed is written."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

import msgspec

from schemas.config import (
    CHANNEL_PREFIX,
    HEALTH_PREFIX,
    PERSON_PREFIX,
    ROUTING_KEY,
    RULES_PREFIX,
    ChannelRecord,
    RoutingRecord,
    RuleSetRecord,
)
from services.commands.config import next_rules
from services.company import Company
from services.company_channels import ToldChannel
from services.company_desk import DeskFiles
from services.config_log import ConfigLog
from services.sealing import Sealer

NAMES_SHOWN = 10

Values = Mapping[str, bytes | None]


class Applied(NamedTuple):
    """What was put in force.

    Attributes:
        record: The rule set in force.
        new: Whether it was written now.
        desk: What was written of people, routing and channels, a line each; empty for nothing.
    """

    record: RuleSetRecord
    new: bool
    desk: tuple[str, ...] = ()


async def apply_company(
    log: ConfigLog, company: Company, sealer: Sealer | None, now: datetime
) -> Applied:
    """Write a company's rule set, people, routing and channels as far as they have changed.

    What the files do not name any more is deleted, but for rule sets.

    Args:
        log: The deployment's configuration.
        company: A configuration in which nothing is wrong.
        sealer: Seals the secrets of channels; None only if there are no channels.
        now: Aware UTC.

    Raises:
        ConfigConflict: Another command wrote in between: nothing of ours was written.
        ConfigUnavailable: Kafka does not answer, or the topic does not exist.
    """
    found = await log.read()
    record, new = next_rules(found, company.content, now)
    desk = desk_changes(found, company.desk, sealer)
    values = dict(desk)
    if new:
        values[f"{RULES_PREFIX}{record.n}"] = msgspec.json.encode(record)
    if values:
        await log.write_all(values, {key: found.get(key) for key in values})
    return Applied(record, new, tuple(told(desk)))


def desk_changes(found: Mapping[str, bytes], desk: DeskFiles, sealer: Sealer | None) -> Values:
    """Return what is to be written of people, routing and channels, by key; None deletes.

    A channel that changed or is gone loses what was known of its endpoint's health.

    Args:
        found: The newest value of every key of `config.v1`.
        desk: What the files say.
        sealer: Seals the secrets of channels; None only if there are no channels.
    """
    wanted = {f"{PERSON_PREFIX}{id}": msgspec.json.encode(one) for id, one in desk.people.items()}
    if desk.routing != RoutingRecord():
        wanted[ROUTING_KEY] = msgspec.json.encode(desk.routing)
    for name, channel in desk.channels.items():
        assert sealer is not None, "channels need a sealer"
        key = f"{CHANNEL_PREFIX}{name}"
        wanted[key] = _sealed(sealer, key, channel, found.get(key))
    prefixes = (PERSON_PREFIX, CHANNEL_PREFIX)
    known = {key for key in found if key == ROUTING_KEY or key.startswith(prefixes)}
    values: dict[str, bytes | None] = {
        key: wanted.get(key)
        for key in sorted(known | wanted.keys())
        if wanted.get(key) != found.get(key)
    }
    changed = [one.removeprefix(CHANNEL_PREFIX) for one in values if one.startswith(CHANNEL_PREFIX)]
    healths = [f"{HEALTH_PREFIX}{name}" for name in changed]
    return values | {key: None for key in healths if key in found}


def _sealed(sealer: Sealer, key: str, channel: ToldChannel, before: bytes | None) -> bytes:
    """Return a channel's record; the one that is there if it says the same.

    A secret that is sealed anew looks different each time.
    """
    secrets = channel.secrets.get_secret_value()
    if before is not None:
        record = msgspec.json.decode(before, type=ChannelRecord)
        same = msgspec.structs.replace(record, secret="") == channel.record
        if same and sealer.open(record.secret, key) == secrets:
            return before
    record = msgspec.structs.replace(channel.record, secret=sealer.seal(secrets, key))
    return msgspec.json.encode(record)


def told(values: Values) -> Iterator[str]:
    """Yield a line for each kind of record: what was written, what deleted.

    Args:
        values: By key; None for what is deleted.
    """
    for what, prefix in (("people", PERSON_PREFIX), ("channels", CHANNEL_PREFIX)):
        mine = {k.removeprefix(prefix): v for k, v in values.items() if k.startswith(prefix)}
        written = [name for name, value in mine.items() if value is not None]
        deleted = [name for name, value in mine.items() if value is None]
        parts = [
            f"{len(names)} {done} ({_some(names)})"
            for names, done in ((written, "written"), (deleted, "deleted"))
            if names
        ]
        if parts:
            yield f"{what}: {', '.join(parts)}"
    if ROUTING_KEY in values:
        yield f"routing: {'deleted' if values[ROUTING_KEY] is None else 'written'}"


def _some(names: Sequence[str]) -> str:
    more = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {more} more" if more > 0 else "")
