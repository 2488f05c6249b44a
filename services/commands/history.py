"""`ebbwatch import` and `ebbwatch live`: past events in, then on to the present."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from schemas import topics
from schemas.config import RuleSetRecord
from services.commands.config import ensure_rules as ensure_rule_set
from services.commands.progress import shown
from services.commands.terminal import fail, read_settings
from services.config_log import ConfigConflict, ConfigLog, ConfigUnavailable
from services.settings import ConfigurationError, ServiceSettings
from services.wording import counted

if TYPE_CHECKING:
    from services.ingest.history.files import HistoryFile, Kind
    from services.ingest.history.importer import Outside, Progress

EnsureRules = Callable[[], Awaitable[RuleSetRecord]]


def import_(
    files: Annotated[list[Path], typer.Argument(help="CSV, Parquet or NDJSON, also gzipped CSV.")],
    kind: Annotated[
        Literal["usage", "accounts", "tickets", "events"] | None,
        typer.Option(help="usage, accounts, tickets or events; else found from the columns."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Count files once more that were imported already.")
    ] = False,
) -> None:
    """Play past events from files; the first import ends with the deployment going live.

    Name all files of the history in one command: they are merged into one order of time. In a
    live deployment the same command back-fills.
    """
    from services.ingest.history.files import HistoryError

    settings = read_settings(ServiceSettings)
    try:
        progress = asyncio.run(import_files(settings, files, kind=kind, again=again))
    except (HistoryError, ConfigConflict, ConfigUnavailable, ConfigurationError) as error:
        fail(str(error))
    except KeyboardInterrupt:
        fail("interrupted: run the same command again to finish; nothing counts twice")
    for line in summary(progress):
        typer.echo(line)


def live() -> None:
    """Go live without (more) history; what an interrupted import has not played is given up."""
    from services.ingest.history.plan import go_live

    settings = read_settings(ServiceSettings)

    async def write() -> bool | None:
        log = ConfigLog(settings.kafka, settings.prefix)
        found = await log.read()
        decided = go_live(found, datetime.now(UTC))
        if decided is None:
            return None
        values, given_up = decided
        await log.write_all(values, {key: found.get(key) for key in values})
        return given_up

    try:
        given_up = asyncio.run(write())
    except (ConfigConflict, ConfigUnavailable) as error:
        fail(str(error))
    if given_up is None:
        typer.echo("the deployment is live already")
    else:
        rest = "; the rest of the interrupted import is given up" if given_up else ""
        typer.echo(f"the deployment is live{rest}")


async def import_files(
    settings: ServiceSettings,
    paths: Sequence[Path],
    *,
    kind: "Kind | None" = None,
    again: bool = False,
    ensure_rules: EnsureRules | None = None,
    tell: Callable[[str], None] = typer.echo,
    show: "Callable[[Progress], None] | None" = None,
) -> "Progress":
    """Import files into the deployment that the settings name.

    Args:
        settings: Which deployment.
        paths: The files; their order counts among rows of the same time.
        kind: What all of them are; None finds it out.
        again: True to count files once more that were imported already.
        ensure_rules: Returns the newest rule set; None puts the company's files in force where
            there is none, and the shipped rules where there are no files.
        tell: Takes a line for the user.
        show: Is shown the progress; None shows it on the terminal.

    Raises:
        HistoryError: The files are refused as a whole, or Kafka does not answer any more.
        ConfigConflict: Another command changed the deployment's mode meanwhile.
        ConfigUnavailable: Kafka does not answer.
        ConfigurationError: There is no rule set, and the company's files are wrong.
    """
    from services.ingest.history.files import find
    from services.ingest.history.importer import run_import

    found = find(paths, kind)
    for line in _ignored(found):
        tell(line)
    config = ConfigLog(settings.kafka, settings.prefix)
    # Before the producer is started: it would wait for Kafka without end.
    await config.read()
    ensure = ensure_rules or partial(_rules_in_force, config, settings)
    with contextlib.nullcontext(show) if show else shown(tell) as watch:
        async with _outside(settings, config, ensure, tell, watch) as outside:
            return await run_import(found, outside, again=again)


@contextlib.asynccontextmanager
async def _outside(
    settings: ServiceSettings,
    config: ConfigLog,
    ensure_rules: EnsureRules,
    tell: Callable[[str], None],
    show: "Callable[[Progress], None]",
) -> "AsyncIterator[Outside]":
    """Connect an import to the deployment as long as the block lasts."""
    from services.ingest.history.importer import Outside
    from services.ingest.rejects import Rejects
    from services.publishing.publisher import publishing

    events = topics.full_name(topics.EVENTS, settings.prefix)
    async with publishing(settings.kafka, events, settings.partitions) as publisher:
        rejects = Rejects(publisher.producer, topics.full_name(topics.REJECTS, settings.prefix))
        yield Outside(
            config=config,
            publisher=publisher,
            partitions=settings.partitions,
            refuse=rejects.write,
            ensure_rules=ensure_rules,
            now=lambda: datetime.now(UTC),
            tell=tell,
            show=show,
        )


def _ignored(found: "Sequence[HistoryFile]") -> Iterator[str]:
    for file in found:
        if ignored := file.ignored():
            yield f"{file.path}: columns that are not read: {', '.join(ignored)}"


def summary(progress: "Progress") -> list[str]:
    """Return what an import did, and every kind of refusal with examples, as lines."""
    refused = progress.refused.total()
    lines = [
        f"imported {counted(progress.events, 'event')} from {counted(progress.rows, 'row')}"
        + (f"; {counted(refused, 'row')} refused, see rejects.v1" if refused else "")
    ]
    lines += [f"  {reason}: {number}" for reason, number in progress.refused.most_common()]
    lines += [f"  {example}" for example in progress.examples]
    if refused > len(progress.examples):
        lines.append(f"  ... and {refused - len(progress.examples)} more")
    return lines


async def _rules_in_force(config: ConfigLog, settings: ServiceSettings) -> RuleSetRecord:
    return await ensure_rule_set(config, settings.config_dir, datetime.now(UTC))
