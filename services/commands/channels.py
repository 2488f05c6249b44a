"""`ebbwatch channels`: where notices go, how the endpoints do, and whether they take a test."""

import asyncio
import os
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple
from uuid import uuid4

import typer

from schemas.config import HEALTH_PREFIX, ChannelHealth
from services.commands.terminal import Outcome, fail, pepper, read_settings, show_json
from services.config_log import ConfigConflict, ConfigLog, ConfigUnavailable
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.alerts.channels import Channel
    from services.alerts.directory import DirectorySnapshot

SECRET_BYTES = 32
TEST_SECONDS = 15.0

Name = Annotated[str, typer.Argument(metavar="NAME", help="As in channels.toml.")]

app = typer.Typer(help="Where notices go, by what.", no_args_is_help=True)


class Trial(NamedTuple):
    """What became of a test.

    Attributes:
        taken: Whether the endpoint took it.
        text: For a person: what it answered, or why it failed.
    """

    taken: bool
    text: str


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="One channel a line.")] = False,
) -> None:
    """List the channels in force and how their endpoints do; no secret is shown."""
    channels = _directory(read_settings(ServiceSettings)).channels
    for channel in channels.values():
        if as_json:
            show_json(shown(channel))
        else:
            typer.echo(f"{channel.name}  {channel.kind}  {channel.host}  {state(channel)}")
    if not channels and not as_json:
        typer.echo(
            "there is no channel; channels.toml names them, `ebbwatch config apply` puts them in "
            "force"
        )


@app.command("test")
def try_channel(name: Name) -> None:
    """Send a test message by a channel, also by one that is switched off; 1 if it is not taken."""
    settings = read_settings(ServiceSettings)
    pepper(settings)
    trial = asyncio.run(try_out(_channel(settings, name), datetime.now(UTC)))
    if not trial.taken:
        fail(trial.text)
    typer.echo(trial.text)


@app.command()
def enable(name: Name) -> None:
    """Switch a channel on again; what has waited for it, at most three days, is sent now."""
    settings = read_settings(ServiceSettings)
    before = _channel(settings, name).health
    _run(ConfigLog(settings.kafka, settings.prefix).write(f"{HEALTH_PREFIX}{name}", None))
    if before.disabled_at is None:
        typer.echo(f"channel {name} was not switched off")
    else:
        typer.echo(f"channel {name} is switched on; `ebbwatch channels test {name}` tries it out")


@app.command()
def secret() -> None:
    """Print a fresh secret for a webhook; nothing else knows it."""
    from services.alerts.channels import webhook

    typer.echo(webhook.make_secret(os.urandom(SECRET_BYTES)))


async def try_out(channel: "Channel", now: datetime, within: float = TEST_SECONDS) -> Trial:
    """Send a test message by a channel.

    Args:
        channel: Any, also one that is switched off.
        now: Aware UTC.
        within: Seconds, > 0.
    """
    from services.alerts.channels import Delivered, Sender
    from services.alerts.channels.message import compose_test

    sender, begin = Sender(within), time.monotonic()
    try:
        body = compose_test(channel.name, now)
        outcome = await sender.attempt(channel, str(uuid4()), body, now)
    finally:
        await sender.close()
    if isinstance(outcome, Delivered):
        took = time.monotonic() - begin
        return Trial(True, f"{channel.name} took it: {outcome.status}, after {took:.2f} s")
    return Trial(False, f"{channel.name} did not take it: {outcome.reason} ({outcome.detail})")


def state(channel: "Channel") -> str:
    """Return in words how a channel does, and what to do about it."""
    health = channel.health
    if channel.fault:
        return f"cannot be used: {channel.fault}"
    if health.disabled_at is not None:
        return (
            f"switched off since {_at(health.disabled_at)} ({_REASONS.get(health.reason or '')}); "
            f"`ebbwatch channels enable {channel.name}` switches it on again"
        )
    if health.failing_since is not None:
        return f"failing since {_at(health.failing_since)}"
    return "in use"


def shown(channel: "Channel") -> dict[str, Any]:
    """Return a channel as JSON, without its secrets and the path of its address."""
    health = channel.health
    return {
        "name": channel.name,
        "kind": channel.kind,
        "host": channel.host,
        "allow": [str(one) for one in channel.allow],
        "allow_http": channel.allow_http,
        "state": _state(channel),
        "failing_since": health.failing_since,
        "disabled_at": health.disabled_at,
        "reason": health.reason,
        "fault": channel.fault or None,
    }


_REASONS = {"gone": "its endpoint is gone: 410", "failing": "it failed for five days", "": "?"}


def _state(channel: "Channel") -> str:
    if channel.fault:
        return "misconfigured"
    if channel.health == ChannelHealth():
        return "ok"
    return "failing" if channel.health.disabled_at is None else "disabled"


def _at(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _directory(settings: ServiceSettings) -> "DirectorySnapshot":
    from services.alerts import directory
    from services.sealing import Sealer

    key = settings.secret_key
    sealer = None if key is None else Sealer(key.get_secret_value())
    found = _run(ConfigLog(settings.kafka, settings.prefix).read())
    return directory.read(sealer, found)


def _channel(settings: ServiceSettings, name: str) -> "Channel":
    channels = _directory(settings).channels
    if name not in channels:
        known = f"known are {', '.join(channels)}" if channels else "there is none"
        fail(f"there is no channel {name!r} in force; {known}")
    return channels[name]


def _run(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    try:
        return asyncio.run(work)
    except (ConfigConflict, ConfigUnavailable) as error:
        fail(str(error))
