"""What the commands share: settings from the environment, what a terminal is shown, errors."""

import os
import sys
import unicodedata
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import msgspec
import typer

from services.runtime import ExitCode
from services.settings import (
    ConfigurationError,
    ServiceSettings,
    Settings,
    load_settings,
    local_environment,
)

LOCAL_FOLDER = Path(".ebbwatch")

Outcome = TypeVar("Outcome")


def environment() -> dict[str, str]:
    """Return the environment, with the local platform's secret where it brings none."""
    return local_environment(LOCAL_FOLDER, os.environ)


def read_settings(cls: type[Settings]) -> Settings:
    """Return the settings of this environment, or end with 78 naming all that is wrong."""
    try:
        return load_settings(cls, environment())
    except ConfigurationError as error:
        fail(str(error), ExitCode.CONFIG)


def pepper(settings: ServiceSettings) -> str:
    """Return what API keys are hashed with, or end with 78 if there is nothing."""
    if settings.secret_key is None:
        fail(
            "EBBWATCH_SECRET_KEY is not set: set it, or EBBWATCH_SECRET_KEY_FILE, to what the "
            "services use; `ebbwatch local up` makes one for this folder",
            ExitCode.CONFIG,
        )
    return settings.secret_key.get_secret_value()


def ask_kafka(kafka: str, work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Run what talks to Kafka, and end with 1 and a remedy if it does not answer.

    Args:
        kafka: Bootstrap servers, for the message.
        work: What to run.
    """
    import asyncio

    from aiokafka.errors import KafkaError

    try:
        return asyncio.run(work)
    except (KafkaError, OSError, TimeoutError) as error:
        fail(
            f"Kafka at {kafka} does not do what was asked: {error or type(error).__name__}. Is it "
            "running? `ebbwatch local up` starts a local one, EBBWATCH_KAFKA names another"
        )


def printable(text: str) -> str:
    r"""Return a text as one line that does nothing to a terminal but stand there.

    Names and comments come from other systems and people. A control character in one could clear
    the screen, rename the window, or forge a further line; one that turns the direction of writing
    could make a name read as another.

    Args:
        text: Anything; spaces of any kind become plain ones, what has no glyph a `�`.

    >>> printable("Acme\x1b[2J\nINFO all is well")
    'Acme�[2J�INFO all is well'
    """
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else _stand_in(one) for one in text)


def _stand_in(one: str) -> str:
    return " " if unicodedata.category(one) == "Zs" else "\ufffd"


def printable_lines(text: str) -> str:
    """Return a text whose line breaks are our own as lines that are `printable`."""
    return "\n".join(printable(line) for line in text.split("\n"))


def show_json(content: object) -> None:
    """Print one line of JSON."""
    typer.echo(msgspec.json.encode(content).decode())


def agree(plan: str, yes: bool) -> None:
    """Go on if whoever sits at the terminal agrees; end with 1 where nobody can be asked.

    Args:
        plan: What is going to be done; it is shown as `printable`.
        yes: Whether they agreed beforehand, with --yes.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        fail(f"{printable(plan)}: nobody can be asked here, so say --yes")
    typer.confirm(f"{printable(plan)}; go on?", abort=True, err=True)


def fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """Print an error and end."""
    typer.echo(printable_lines(message), err=True)
    raise typer.Exit(code)
