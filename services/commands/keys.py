"""`ebbwatch keys`: API keys of ingest, each for one source."""

import asyncio
import os
import secrets
from collections.abc import Coroutine
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from schemas.config import KEYS_PREFIX, ApiKey
from services.commands.terminal import (
    LOCAL_FOLDER,
    Outcome,
    fail,
    pepper,
    read_settings,
    show_json,
)
from services.config_log import ConfigConflict, ConfigLog, ConfigUnavailable
from services.ingest.keys import SECRET_BYTES, Presented, digest
from services.settings import ServiceSettings

ID_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"
ID_LENGTH = 12
KEY_FILE = LOCAL_FOLDER / "key"

app = typer.Typer(no_args_is_help=True, help="API keys of ingest.")


@app.command()
def create(
    source: Annotated[str, typer.Option(help="The source it may send for; * for any.")],
    env: Annotated[
        str, typer.Option(help="Stands in the key, so that people see what it is for.")
    ] = "live",
    save: Annotated[bool, typer.Option("--save", help=f"Also keep it in {KEY_FILE}.")] = False,
) -> None:
    """Create a key and print it; it is shown this once and stored as a hash only."""
    settings = read_settings(ServiceSettings)
    if not (env.isascii() and env.isalnum() and env.islower() and len(env) <= 20):
        fail(f"--env {env!r} must be 1 to 20 lower-case letters or digits")
    if not 1 <= len(source) <= 256:
        fail(f"--source must be 1 to 256 characters long, not {len(source)}")
    key = _run(create_key(_log(settings), pepper(settings), source, env))
    if save:
        write_key(KEY_FILE, key)
    typer.echo(key)


@app.command(name="list")
def list_(
    as_json: Annotated[bool, typer.Option("--json", help="One key a line.")] = False,
) -> None:
    """List all keys, revoked ones too."""
    for key in _run(_read(_log(read_settings(ServiceSettings)))).values():
        if as_json:
            show_json(_shown(key))
        else:
            state = "in force" if key.revoked_at is None else f"revoked {key.revoked_at:%Y-%m-%d}"
            typer.echo(f"{key.id}  {key.source}  created {key.created_at:%Y-%m-%d}  {state}")


@app.command()
def revoke(
    id: Annotated[str, typer.Argument(help="The key's id, or the key itself.")],
) -> None:
    """Revoke a key; requests with it get 401 within seconds."""
    log = _log(read_settings(ServiceSettings))
    wanted = id.split("_")[2] if id.startswith("ebw_") and id.count("_") >= 3 else id
    outcome = _run(revoke_key(log, wanted))
    if outcome is None:
        fail(f"there is no key {wanted!r}; `ebbwatch keys list` shows all")
    typer.echo(f"key {wanted} is revoked since {outcome:%Y-%m-%d %H:%M} UTC")


async def create_key(log: ConfigLog, pepper: str, source: str, env: str = "live") -> str:
    """Create a key in `config.v1` and return it.

    Args:
        log: The deployment's configuration.
        pepper: What keys are hashed with.
        source: The source that it may send for; `*` for any.
        env: Stands in the key; lower-case letters and digits.

    Raises:
        ConfigConflict: Another command wrote the configuration meanwhile.
        ConfigUnavailable: Kafka does not answer.
    """
    id = "".join(secrets.choice(ID_ALPHABET) for _ in range(ID_LENGTH))
    presented = Presented(env, id, secrets.token_urlsafe(SECRET_BYTES))
    record = ApiKey(
        id=id,
        hash=digest(pepper, presented.secret),
        source=source,
        created_at=datetime.now(UTC),
    )
    await log.write(KEYS_PREFIX + id, msgspec.json.encode(record), expect=None)
    return presented.text()


async def revoke_key(log: ConfigLog, id: str) -> datetime | None:
    """Revoke a key; one that is revoked already stays so since then.

    Args:
        log: The deployment's configuration.
        id: The key's id.

    Returns:
        Since when it is revoked; None if there is no such key.

    Raises:
        ConfigConflict: Another command wrote the configuration meanwhile.
        ConfigUnavailable: Kafka does not answer.
    """
    before = (await log.read()).get(KEYS_PREFIX + id)
    if before is None:
        return None
    key = msgspec.json.decode(before, type=ApiKey)
    if key.revoked_at is not None:
        return key.revoked_at
    now = datetime.now(UTC)
    after = msgspec.structs.replace(key, revoked_at=now)
    await log.write(KEYS_PREFIX + id, msgspec.json.encode(after), expect=before)
    return now


def write_key(path: Path, key: str) -> None:
    """Keep a key in a file that only its owner may read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Made anew, because the mode of an existing file would stay.
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(key + "\n")


async def _read(log: ConfigLog) -> dict[str, ApiKey]:
    return {
        key: msgspec.json.decode(value, type=ApiKey)
        for key, value in sorted((await log.read()).items())
        if key.startswith(KEYS_PREFIX)
    }


def _shown(key: ApiKey) -> dict[str, object]:
    shown: dict[str, object] = msgspec.to_builtins(key)
    del shown["hash"]
    return shown


def _log(settings: ServiceSettings) -> ConfigLog:
    return ConfigLog(settings.kafka, settings.prefix)


def _run(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    try:
        return asyncio.run(work)
    except (ConfigConflict, ConfigUnavailable) as error:
        fail(str(error))
