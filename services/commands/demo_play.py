"""The demo's course: set up, import, go live, tell the story, show what arises."""

import asyncio
import contextlib
import math
import os
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol

import typer

from schemas.alerts import Alert, AlertRaised
from services import topic_admin
from services.alert_log import opened
from services.alerts.cases.open_alerts import fold
from services.alerts.channels import webhook
from services.commands.alerts import render
from services.commands.applying import apply_company
from services.commands.channels import SECRET_BYTES
from services.commands.config import describe, formats
from services.commands.demo_data import DemoFiles, write_history
from services.commands.demo_sink import Sink
from services.commands.demo_stage import DemoError, Services, judged, ready, running_services
from services.commands.demo_story import CHANNELS, Step, digest, steps, suggestions
from services.commands.history import import_files
from services.commands.keys import create_key, write_key
from services.commands.send import send_events
from services.commands.terminal import pepper
from services.company import read_company
from services.config_log import ConfigLog
from services.ingest.history.importer import Progress
from services.sealing import Sealer
from services.settings import ServiceSettings, load_settings
from services.wording import counted

CAUGHT_UP_SECONDS: Final = 120.0
"""Partitions whose clock is younger have folded the past and the first tick of the present."""
PATIENCE_SECONDS: Final = 60.0
READING_SECONDS: Final = 2.0
"""Between two steps of the story, so that a person can follow."""
POLL_SECONDS: Final = 0.1
REPORT_SECONDS: Final = 4.0
SEND_SECONDS: Final = 30.0


class Say(Protocol):
    """Prints a line, and knows how long the demo has been running."""

    def __call__(self, line: str) -> None:
        """Print a line."""

    @property
    def seconds(self) -> float:
        """Seconds since the beginning."""


class Play:
    """One demo.

    Args:
        source: The folder `demo` of the repository.
        folder: Takes history, key and log.
        environ: The environment of everything that runs on the demo's platform.
        say: Prints progress.
    """

    def __init__(self, source: Path, folder: Path, environ: Mapping[str, str], say: Say) -> None:
        self._source = source
        self._folder = folder
        self._environ = dict(environ)
        self._say = say
        self._settings = load_settings(ServiceSettings, environ)
        self._heard: list[Alert] = []
        self._key = ""
        self._secret = webhook.make_secret(os.urandom(SECRET_BYTES))
        self._sink = Sink(self._secret)

    async def run(self, *, headless: bool) -> dict[str, Any]:
        """Play the demo; a person ends it, or with `headless` the end of the story.

        Returns:
            How many accounts and events, alerts by rule, notices delivered, seconds.

        Raises:
            DemoError: It cannot go on.
        """
        log = self._folder / "services.log"
        async with self._sink.listening() as receiver:
            await self._set_up(receiver)
            self._say(f"starting ingest, detector and alerts; their log is {log}")
            with running_services(self._environ, log) as services:
                files, progress = await self._import()
                async with self._listening():
                    await self._catch_up(services)
                    typer.echo("\n" + digest(fold(self._heard).values()) + "\n")
                    story = steps(files.names)
                    await self._tell(story, services, headless)
                    seconds = round(self._say.seconds, 1)
                    if not headless:
                        typer.echo(suggestions(self._folder, services.alerts, receiver))
                        # A person ends it with Ctrl-C, and that is no failure.
                        with contextlib.suppress(asyncio.CancelledError):
                            await self._go_on(services)
        raised = [one for one in self._heard if isinstance(one, AlertRaised)]
        return {
            "accounts": files.accounts,
            "events": progress.events + len(story),
            "alerts_by_rule": dict(sorted(Counter(one.rule for one in raised).items())),
            "delivered": self._sink.delivered,
            "seconds": seconds,
        }

    async def _set_up(self, receiver: str) -> None:
        """Create topics, rules, people, a channel and a key on a deployment that must be empty."""
        known = self._settings
        await topic_admin.apply(known.kafka, known.prefix, known.partitions)
        config = ConfigLog(known.kafka, known.prefix)
        if await config.read():
            raise DemoError(
                f"the deployment {known.prefix!r} at {known.kafka} is not empty, and the demo "
                "begins from nothing; name another with EBBWATCH_PREFIX"
            )
        company = read_company(self._write_config(receiver), formats())
        if isinstance(company, list):
            raise DemoError("\n".join(map(str, company)))
        secret_key = pepper(known)
        applied = await apply_company(config, company, Sealer(secret_key), datetime.now(UTC))
        self._say(f"topics are made; rule set {applied.record.n} is in force: {describe(company)}")
        self._key = await create_key(config, secret_key, "*", "demo")
        write_key(self._folder / "key", self._key)

    def _write_config(self, receiver: str) -> Path:
        """Return the demo's company files, with a channel to the demo's own receiver."""
        folder = self._folder / "config"
        shutil.copytree(self._source / "config", folder)
        (folder / "crm.secret").write_text(self._secret)
        (folder / "channels.toml").write_text(CHANNELS.format(url=receiver))
        return folder

    async def _import(self) -> tuple[DemoFiles, Progress]:
        today = datetime.now(UTC).date()
        files = write_history(self._source / "data", self._folder / "history", today)
        for source, (last, moved) in files.moved.items():
            self._say(f"{source}: what ended on {last} now ends on {moved}")
        progress = await import_files(self._settings, files.paths, tell=self._say)
        what = counted(progress.events, "event")
        self._say(f"imported {what} of {counted(files.accounts, 'account')}; live from now on")
        return files, progress

    @contextlib.asynccontextmanager
    async def _listening(self) -> AsyncIterator[None]:
        async def listen() -> None:
            async with opened(self._settings.kafka, self._settings.prefix) as log:
                async for one in log.onward():
                    if one.alert is not None:
                        self._heard.append(one.alert)

        task = asyncio.create_task(listen())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _catch_up(self, services: Services) -> None:
        """Wait, as long as it goes forward, until all of the past is judged and ingest is open."""
        age, decided = math.inf, 0
        forward_at = told_at = time.monotonic()
        while age > CAUGHT_UP_SECONDS:
            services.check()
            found = await asyncio.to_thread(judged, services, self._settings.partitions)
            now = time.monotonic()
            if found is not None and found.age < age:
                age, decided, forward_at = found.age, found.alerts, now
            if now - forward_at > PATIENCE_SECONDS:
                raise services.failure(f"nothing was judged for {PATIENCE_SECONDS:g} s")
            if now - told_at > REPORT_SECONDS and age < math.inf:
                told_at = now
                day = datetime.now(UTC) - timedelta(seconds=age)
                self._say(f"judging the past, day by day: now at {day:%Y-%m-%d}")
            await asyncio.sleep(POLL_SECONDS)
        await self._until(
            lambda: asyncio.to_thread(ready, services), services, "ingest is not ready"
        )
        await self._until(lambda: self._has(decided), services, "not every alert is in the log")
        self._say("the present is reached")

    async def _has(self, alerts: int) -> bool:
        return len(self._heard) >= alerts

    async def _tell(self, story: list[Step], services: Services, headless: bool) -> None:
        for step in story:
            before = len(self._heard)
            self._say(f"live: {step.says}")
            began = time.monotonic()
            sent = await asyncio.to_thread(
                send_events, [step.event], services.ingest, self._key, SEND_SECONDS, self._say
            )
            if sent.rejected:
                raise DemoError(f"event refused: {sent.rejected[0].detail}")
            if step.rule is not None:
                alert = await self._answer(step, before, services)
                took = time.monotonic() - began
                self._say(f"alert, {took:.2f} s after the event was sent:")
                typer.echo(f"\n{render(alert)}\n")
                await self._delivered(alert, services)
                took = time.monotonic() - began
                self._say(f"the webhook has it {took:.2f} s after the event, for the owner")
            if not headless:
                await asyncio.sleep(READING_SECONDS)

    async def _answer(self, step: Step, before: int, services: Services) -> Alert:
        """Return the alert that answers a step."""

        def found() -> list[Alert]:
            wanted = (step.account, step.rule)
            return [one for one in self._heard[before:] if (one.account, one.rule) == wanted]

        async def heard() -> bool:
            return bool(found())

        await self._until(heard, services, f"rule {step.rule} has not answered")
        return found()[0]

    async def _delivered(self, alert: Alert, services: Services) -> None:
        async def received() -> bool:
            return self._sink.has(alert.account, alert.rule)

        await self._until(received, services, "the webhook has not received the alert")

    async def _go_on(self, services: Services) -> None:
        """Show what else arises, until a person ends it."""
        shown = len(self._heard)
        while True:
            services.check()
            for alert in self._heard[shown:]:
                typer.echo(f"\n{render(alert)}\n")
            shown = len(self._heard)
            await asyncio.sleep(POLL_SECONDS)

    async def _until(self, done: "Callable[[], Any]", services: Services, otherwise: str) -> None:
        end = time.monotonic() + PATIENCE_SECONDS
        while not await done():
            services.check()
            if time.monotonic() > end:
                raise services.failure(f"{otherwise} within {PATIENCE_SECONDS:g} s")
            await asyncio.sleep(POLL_SECONDS)
