"""What every command begins and ends with: settings from the environment, errors as one line."""

import os
from pathlib import Path
from typing import NoReturn

import typer

from services.runtime import ExitCode
from services.settings import ConfigurationError, ServiceSettings, load_settings, local_environment

FOLDER = Path(".ebbwatch")
"""The folder of the local platform, in the folder where the command is run."""


def environment() -> dict[str, str]:
    """Return the environment, with the local platform's secret where it brings none."""
    return local_environment(FOLDER, os.environ)


def settings() -> ServiceSettings:
    """Return the settings of the environment, or end with all that is wrong with them."""
    try:
        return load_settings(ServiceSettings, environment())
    except ConfigurationError as error:
        fail(str(error), ExitCode.CONFIG)


def fail(message: str, code: ExitCode = ExitCode.FAILED) -> NoReturn:
    """Say what went wrong, and end."""
    typer.echo(message, err=True)
    raise typer.Exit(code)
