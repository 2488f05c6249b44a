"""`ebbwatch local`, `run`, `serve`: Kafka and Valkey on this machine, and the services."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from schemas.config import AWAITED, MODE_KEY, Mode, ModeRecord
from services.commands.terminal import LOCAL_FOLDER, environment, fail, read_settings
from services.runtime import ExitCode
from services.settings import ServiceSettings, without_password

local = typer.Typer(help="Apache Kafka and Valkey on this machine.", no_args_is_help=True)

Service = Literal["ingest", "detector", "alerts"]


@local.command()
def up() -> None:
    """Start Kafka and Valkey; what runs already is left alone."""
    from services.local import LocalError
    from services.local import up as start

    try:
        addresses = start(LOCAL_FOLDER, environ=environment(), tell=typer.echo)
    except LocalError as error:
        fail(str(error))
    typer.echo(f"kafka {addresses.kafka}, redis {without_password(addresses.redis_url)}")


@local.command()
def status(
    as_json: Annotated[bool, typer.Option("--json", help="One object a line.")] = False,
) -> None:
    """Show what runs; exit 1 if something is down."""
    from services.local import status as look

    found = look(LOCAL_FOLDER, environ=environment())
    for one in found:
        if as_json:
            typer.echo(json.dumps(asdict(one)))
        else:
            pid = f", pid {one.pid}" if one.pid else ""
            typer.echo(f"{one.name}: {one.state} at {one.address}{pid}")
    if any(one.state in {"stopped", "silent"} for one in found):
        raise typer.Exit(ExitCode.FAILED)


@local.command()
def down() -> None:
    """Stop Kafka and Valkey; their data stay."""
    from services.local import LocalError
    from services.local import down as stop

    try:
        stop(LOCAL_FOLDER, tell=typer.echo)
    except LocalError as error:
        fail(str(error))


def run(
    detectors: Annotated[int, typer.Option(min=1, max=64, help="How many detectors.")] = 1,
) -> None:
    """Start the services and keep them running until Ctrl-C."""
    from services.supervisor import run as supervise

    mode = asyncio.run(_mode())
    awaited = f": {AWAITED[mode]}" if mode in AWAITED else ""
    typer.echo(f"starting ingest, {detectors} detector(s) and alerts; mode {mode}{awaited}")
    code = supervise(commands(detectors), environment(), _print_line)
    raise typer.Exit(code)


def serve(
    service: Annotated[Service, typer.Argument(help="ingest, detector or alerts.")],
    number: Annotated[int, typer.Option(min=0, max=999, help="Which of several, from 0.")] = 0,
) -> None:
    """Run one service in the foreground."""
    raise typer.Exit(_main(service, number, environment()))


def commands(detectors: int) -> dict[str, list[str]]:
    """Return the services' commands by name.

    Args:
        detectors: How many detectors, >= 1.
    """
    start = [sys.executable, "-m", "services", "serve"]
    found = {"ingest": [*start, "ingest"]}
    for number in range(detectors):
        found[f"detector-{number}"] = [*start, "detector", "--number", str(number)]
    found["alerts"] = [*start, "alerts"]
    return found


def _main(service: Service, number: int, environ: Mapping[str, str]) -> int:
    numbered = {**_numbered(service, number), **environ}
    if service == "ingest":
        from services.ingest.app import main as ingest

        return ingest(numbered)
    if service == "alerts":
        from services.alerts.app import main as alerts

        return alerts(numbered)
    from services.detector.app import main as detector

    return detector(numbered)


def _numbered(service: Service, number: int) -> dict[str, str]:
    """Give each of several on one machine a port, and each detector a name of its own."""
    if service == "alerts":
        return {"EBBWATCH_ALERTS_PORT": str(8601 + number)}
    if service == "detector":
        return {
            "EBBWATCH_DETECTOR_PORT": str(8610 + number),
            "EBBWATCH_DETECTOR_INSTANCE": f"detector-{number}",
        }
    return {}


async def _mode() -> Mode:
    from services.config_log import ConfigLog, ConfigUnavailable

    known = read_settings(ServiceSettings)
    try:
        found = await ConfigLog(known.kafka, known.prefix).read()
    except ConfigUnavailable as error:
        fail(str(error))
    raw = found.get(MODE_KEY)
    if raw is None:
        return "new"
    import msgspec

    return msgspec.json.decode(raw, type=ModeRecord).mode


def _print_line(name: str, line: str) -> None:
    typer.echo(f"{name} | {line}")
