"""`ebbwatch rejects`: what was refused and why, and how it is tried again once that is mended."""

import asyncio
import heapq
import operator
from collections import Counter
from collections.abc import Coroutine, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Literal, NamedTuple

import msgspec
import typer

from services.commands import reject_text, replays
from services.commands.rejected import (
    Refusal,
    RejectsAway,
    Wanted,
    beginning,
    names_of,
    opened,
    topics_of,
)
from services.commands.terminal import Outcome, agree, fail, read_settings, show_json
from services.config_log import ConfigConflict, ConfigLog, ConfigUnavailable
from services.runtime import ExitCode
from services.settings import ConfigurationError, ServiceSettings
from services.wording import counted

REASONS: Final = frozenset(
    (
        *("bad_rules", "broken_json", "broken_row", "empty", "fold_raised", "forbidden_source"),
        *("format_failed", "future", "invalid", "key", "merged_in_a_circle", "nested"),
        *("sum_too_large", "tick_ahead", "too_deep", "too_large", "too_many", "too_many_closures"),
        *("too_many_contacts", "too_many_metrics", "too_many_months", "too_many_payment_methods"),
        "too_many_products",
        *("too_many_targets", "too_many_waiting", "unattributed", "unknown_timezone"),
        *("unknown_type", "unreadable", "unsupported_media"),
    )
)
"""All that `rejects.v1` may hold; `too_late` is counted only."""
LISTED: Final = 50
REPLAYED: Final = 10_000

app = typer.Typer(help="What was refused, and why.", no_args_is_help=True)

Since = Annotated[str, typer.Option(help="How far back: 90s, 30m, 2h, 14d.")]
From = Annotated[
    str | None, typer.Option("--from", help="A date or an instant in place of --since.")
]
Stage = Annotated[
    Literal["ingest", "detector", "alerts"] | None, typer.Option(help="Only what it refused.")
]
Reason = Annotated[list[str] | None, typer.Option(help="Only this reason; may be repeated.")]
Source = Annotated[
    str | None,
    typer.Option(
        help="Only of this source, or of this input: its name, or its topic. What the detector "
        "refused of events that named only a person is found by the source alone."
    ),
]
Json = Annotated[bool, typer.Option("--json", help="One object a line.")]


@app.command("list")
def list_(
    since: Since = "24h",
    begin: From = None,
    stage: Stage = None,
    reason: Reason = None,
    source: Source = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many at most.")] = LISTED,
    as_json: Json = False,
) -> None:
    """List refusals, the newest first, then how many there are of each reason.

    They are kept for 14 days.
    """
    settings = read_settings(ServiceSettings)
    wanted = _wanted(since, begin, stage, reason, source)
    found = _run(_newest(settings, wanted, limit))
    for one in found.newest:
        again = found.sent.done(one.partition, one.offset)
        if as_json:
            show_json(reject_text.listed(one, again))
        else:
            typer.echo("\n".join(reject_text.lines(one, again)))
    if not as_json:
        told = reject_text.summary(found.counts, wanted, len(found.newest), found.again)
        typer.echo("\n".join(told))


@app.command()
def replay(
    since: Since = "24h",
    begin: From = None,
    stage: Stage = None,
    reason: Reason = None,
    source: Source = None,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="So many at most.")] = REPLAYED,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would become of them; send nothing.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Try refused events again, after what made them fail was mended; none counts twice.

    What an input brought is read again with the format that the input has today, and from its topic
    as long as that still holds it. What the detector refused is folded again. A replay that was cut
    off is finished by the next one, whatever that one is asked for.
    """
    settings = read_settings(ServiceSettings)
    wanted = _wanted(since, begin, stage, reason, source)
    if not _run(_replay(settings, wanted, Options(limit, dry_run, yes, as_json))):
        raise typer.Exit(ExitCode.FAILED)


class Listed(NamedTuple):
    """What `rejects list` shows.

    Attributes:
        newest: The refusals, the newest first.
        counts: How many there are in all, by stage and reason.
        again: How many of those a replay has sent since.
        sent: Which those are.
    """

    newest: list[Refusal]
    counts: Counter[str]
    again: int
    sent: replays.Replays


async def _newest(settings: ServiceSettings, wanted: Wanted, limit: int) -> Listed:
    newest: list[tuple[int, int, int, Refusal]] = []
    counts, again = Counter[str](), 0
    config = await ConfigLog(settings.kafka, settings.prefix).read()
    wanted = _resolved(config, wanted)
    async with opened(settings.kafka, settings.prefix, wanted.since) as rejects:
        sent = _sent(config.get(replays.KEY), rejects.starts, rejects.ends)
        async for one in rejects.read():
            if one not in wanted:
                continue
            counts[f"{one.reject.stage} {one.reject.reason}"] += 1
            again += sent.done(one.partition, one.offset)
            heapq.heappush(newest, (one.at_ms, one.partition, one.offset, one))
            if len(newest) > limit:
                heapq.heappop(newest)
    ordered = sorted(newest, key=operator.itemgetter(0, 1, 2), reverse=True)
    return Listed([one for *_, one in ordered], counts, again, sent)


def _sent(raw: bytes | None, starts: Mapping[int, int], ends: Mapping[int, int]) -> replays.Replays:
    """Return what was replayed of the topic as it is; nothing where that cannot be read."""
    try:
        return replays.forget(replays.read(raw), starts, ends)
    except (ValueError, msgspec.MsgspecError) as error:
        typer.echo(f"which were sent again is not known: {error}", err=True)
        return replays.Replays()


class Options(NamedTuple):
    """How a replay is run: what it asks before, and how it tells what it did."""

    limit: int
    dry_run: bool
    yes: bool
    as_json: bool


async def _replay(settings: ServiceSettings, wanted: Wanted, options: Options) -> bool:
    """Replay; return whether all that was meant is sent."""
    from services.commands.replaying import Replaying

    replaying = Replaying(settings, datetime.now(UTC))
    run = await replaying.prepare()
    if run is not None:
        began = datetime.fromtimestamp(run.began_ms / 1000, UTC)
        what = f"{counted(run.size, 'refusal')} of a replay that was cut off at {began:%F %T} UTC"
        if options.dry_run:
            typer.echo(f"{what} would be sent first", err=True)
        else:
            agree(f"first send {what}", options.yes)
            typer.echo(f"sent {await replaying.resume(run)} of {what}", err=True)
    if wanted.source:
        wanted = _resolved(await ConfigLog(settings.kafka, settings.prefix).read(), wanted)
    chosen, tried = await replaying.try_out(wanted, options.limit)
    if not options.dry_run and any(one.items for one in tried):
        agree("; ".join(reject_text.replayed(tried, "can be sent")), options.yes)
        await replaying.send(chosen, tried)
    done = "can be sent" if options.dry_run else "sent"
    if options.as_json:
        for one in tried:
            show_json(reject_text.tried(one))
    else:
        typer.echo("\n".join([*reject_text.replayed(tried, done), *reject_text.examples(tried)]))
    for line in reject_text.rest(chosen):
        typer.echo(line, err=options.as_json)
    return not any(one.refused for one in tried)


def _wanted(
    since: str, begin: str | None, stage: str | None, reasons: list[str] | None, source: str | None
) -> Wanted:
    found = beginning(since, begin, datetime.now(UTC))
    if isinstance(found, str):
        fail(found, ExitCode.USAGE)
    unknown = sorted(set(reasons or ()) - REASONS)
    if unknown:
        what = f"--reason {unknown[0]!r} is unknown; there are {', '.join(sorted(REASONS))}"
        fail(what, ExitCode.USAGE)
    return Wanted(found, stage or "", frozenset(reasons or ()), source or "")


def _resolved(found: Mapping[str, bytes], wanted: Wanted) -> Wanted:
    """Return what is meant, with topics and names of the input whose name may have been given."""
    if not wanted.source:
        return wanted
    return wanted._replace(
        topics=topics_of(found, wanted.source), inputs=names_of(found, wanted.source)
    )


def _run(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    from services.commands.replaying import CannotReplay
    from services.publishing.publisher import Unavailable

    try:
        return asyncio.run(work)
    except Unavailable as error:
        fail(f"{error}; replay again: what was sent already counts once")
    except KeyboardInterrupt:
        fail("interrupted: the next replay finishes this one, and nothing counts twice")
    except (ConfigConflict, ConfigUnavailable, RejectsAway, CannotReplay) as error:
        fail(str(error))
    except ConfigurationError as error:
        fail(str(error), ExitCode.CONFIG)
