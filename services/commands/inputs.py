"""`ebbwatch inputs`: how each input topic stands, and how one is accepted that was created anew."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Final

import typer

from services.commands.terminal import agree, ask_kafka, fail, printable, read_settings, show_json
from services.config_log import ConfigConflict, ConfigUnavailable
from services.runtime import ExitCode
from services.settings import ServiceSettings
from services.wording import counted

if TYPE_CHECKING:
    from services.commands.input_state import InputState

DEADLINE_SECONDS: Final = 30.0

app = typer.Typer(help="The input topics, and how far they are read.", no_args_is_help=True)


@app.command("list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="One input a line.")] = False,
) -> None:
    """List the inputs of the rule set in force; exit 1 if one of them is not read."""
    settings = read_settings(ServiceSettings)
    found = ask_kafka(settings.kafka, _states(settings))
    for one in found:
        if as_json:
            show_json(plain(one))
        else:
            typer.echo("\n".join(map(printable, lines(one))))
    if not found and not as_json:
        typer.echo("there are no inputs; name them in inputs.toml and run `ebbwatch config apply`")
    if any(one.fault for one in found):
        raise typer.Exit(ExitCode.FAILED)


@app.command()
def reset(
    name: Annotated[str, typer.Argument(help="The input's name, as `inputs list` shows it.")],
    created_anew: Annotated[
        bool, typer.Option("--created-anew", help="The topic is another one than was read before.")
    ] = False,
    same_topic: Annotated[
        bool, typer.Option("--same-topic", help="It is the same; only Kafka forgot the offsets.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Accept an input's topic as it is now, and read it from its beginning.

    A topic that was created anew is read under a new name, such as `usage~2`, because its offsets
    are smaller than those that were counted: everything in it counts. In one that is the same, only
    what was not counted before does.
    """
    from services.commands.input_reset import Kind, NotReset, Resetting, decide

    settings = read_settings(ServiceSettings)
    if created_anew and same_topic:
        fail("--created-anew and --same-topic exclude each other", ExitCode.USAGE)
    told: Kind | None = "anew" if created_anew else "same" if same_topic else None
    resetting = Resetting(settings)
    try:
        evidence = ask_kafka(settings.kafka, resetting.look(name))
        decision = decide(evidence, told)
        agree(decision.plan, yes)
        ask_kafka(settings.kafka, resetting.write(evidence, decision, datetime.now(UTC)))
    except (NotReset, ConfigConflict, ConfigUnavailable) as error:
        fail(str(error))
    typer.echo(decision.done)


def lines(one: "InputState") -> list[str]:
    """Return an input as some lines for a person."""
    last = f"{one.last:%Y-%m-%d %H:%M:%S} UTC" if one.last else "no record"
    partitions, behind = counted(len(one.parts), "partition"), counted(one.lag, "record")
    found = [
        f"{one.name}  topic {one.input.topic}, format {one.input.format}, {partitions}, "
        f"{behind} behind, newest {last}"
    ]
    if one.fault:
        found.append(f"    STOPPED: {one.fault}; {one.remedy}")
    if one.expired:
        found.append(f"    {counted(one.expired, 'record')} expired before they were read")
    found += [
        f"    partition {number}: holds {part.start} to {part.end}, read up to "
        f"{'nowhere yet' if part.committed is None else part.committed}"
        for number, part in sorted(one.parts.items())
        if part.lag or part.fault or part.expired
    ]
    return found


def plain(one: "InputState") -> dict[str, object]:
    """Return an input as plain JSON."""
    return {
        "name": one.name,
        "topic": one.input.topic,
        "format": one.input.format,
        "source": one.input.source,
        "state": "stopped" if one.fault else "ok",
        "fault": one.fault or None,
        "remedy": one.remedy or None,
        "lag": one.lag,
        "expired_unread": one.expired,
        "last_record_at": None if one.last is None else one.last.isoformat(),
        "partitions": [
            {
                "partition": number,
                "start": part.start,
                "end": part.end,
                "committed": part.committed,
                "lag": part.lag,
            }
            for number, part in sorted(one.parts.items())
        ],
    }


async def _states(settings: ServiceSettings) -> "list[InputState]":
    import asyncio

    from services.commands.input_state import states
    from services.commands.kafka_facts import asking
    from services.config_log import ConfigLog

    async with asyncio.timeout(DEADLINE_SECONDS):
        try:
            found: Mapping[str, bytes] = await ConfigLog(settings.kafka, settings.prefix).read()
        except ConfigUnavailable as error:
            fail(str(error))
        async with asking(settings.kafka) as kafka:
            return await states(kafka, found, settings.prefix)
