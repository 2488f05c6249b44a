"""`ebbwatch demo`: the product on real data, from an empty Kafka to the first live alert."""

import asyncio
import logging
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from services.commands.terminal import LOCAL_FOLDER, fail, show_json

if TYPE_CHECKING:
    from services.commands.demo_play import Say

FOLDER: Final = LOCAL_FOLDER / "demo"
REPOSITORY: Final = Path(__file__).parents[2]


def demo(
    headless: Annotated[
        bool, typer.Option("--headless", help="Wait for nobody; end with one line of JSON.")
    ] = False,
) -> None:
    """Show the product on real data: months of history, then a short story of live events.

    It begins with an empty Kafka of its own and leaves nothing running.
    """
    from services.alert_log import AlertsUnavailable
    from services.commands.demo_stage import DemoError
    from services.config_log import ConfigConflict, ConfigUnavailable
    from services.ingest.history.files import HistoryError
    from services.settings import ConfigurationError

    # Explicitly, for a shell starts what runs in its background with SIGINT ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, _interrupt)
    # What aiokafka logs while topics are made mends itself; what does not is told as an error.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    known = (AlertsUnavailable, ConfigConflict, ConfigUnavailable, ConfigurationError)
    try:
        outcome = _demo(headless, dict(os.environ), _Clock())
    except (*known, DemoError, HistoryError) as error:
        fail(f"the demo failed: {error}")
    except KeyboardInterrupt:
        fail("the demo was ended before its end; nothing is left running")
    if headless:
        show_json(outcome)
    else:
        typer.echo("the demo has ended; nothing is left running")


def _demo(headless: bool, environ: Mapping[str, str], say: "Say") -> dict[str, Any]:
    from services.commands.demo_play import Play
    from services.commands.demo_stage import DemoError, platform
    from services.commands.demo_story import INTRODUCTION

    source = REPOSITORY / "demo"
    if not source.is_dir():
        raise DemoError(f"{source} does not exist; run the demo from a clone of the repository")
    typer.echo(INTRODUCTION + "\n")
    with platform(FOLDER, LOCAL_FOLDER / "kafka" / "lib", environ, say) as complete:
        return asyncio.run(Play(source, FOLDER, complete, say).run(headless=headless))


class _Clock:
    """Prints lines with the seconds since the demo began."""

    def __init__(self) -> None:
        self._begun = time.monotonic()

    def __call__(self, line: str) -> None:
        typer.echo(f"{self.seconds:6.1f} s  {line}")

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._begun


def _interrupt(_number: int, _frame: object) -> None:
    # Whoever handles Ctrl-C at the moment, asyncio or Python, handles this alike.
    signal.raise_signal(signal.SIGINT)
