"""What stands on this machine: the company's files, secrets, the disk; and Redis."""

import shutil
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

from services.commands.applying import desk_changes
from services.commands.checks.finding import Finding, fail, ok, some, warn
from services.commands.config import formats, next_rules
from services.sealing import Sealer
from services.settings import ServiceSettings, without_password
from services.wording import counted

STALE_SECONDS: Final = 15.0
"""Source: the default of EBBWATCH_ALERTS_STALE_SECONDS."""
LOW_SHARE: Final = 0.1
FULL_SHARE: Final = 0.02


def files(settings: ServiceSettings, config: Mapping[str, bytes], now: datetime) -> Finding:
    """Return whether the company's files say what was applied of them.

    Args:
        settings: Names the folder.
        config: The newest value of every key of `config.v1`.
        now: Aware UTC.
    """
    from services.company import read_company

    folder = settings.config_dir
    if folder is None:
        return ok("files", "EBBWATCH_CONFIG_DIR is not set here, so none are compared")
    company = read_company(folder, formats())
    if isinstance(company, list):
        text = f"{counted(len(company), 'problem')} in {folder}: {company[0]}"
        return warn("files", text, "`ebbwatch config check` shows all of them")
    key = settings.secret_key
    differs = ["rules"] if next_rules(config, company.content, now)[1] else []
    if key is not None or not company.desk.channels:
        sealer = None if key is None else Sealer(key.get_secret_value())
        changed = desk_changes(config, company.desk, sealer)
        differs += sorted({one.partition("/")[0] for one in changed})
    if differs:
        text = f"{folder} says something else than was applied: {some(differs)}"
        return warn("files", text, "`ebbwatch config apply` puts it in force")
    return ok("files", f"{folder} is as it was applied")


def secrets(settings: ServiceSettings) -> Finding:
    """Return whether the secrets of the services are set here."""
    if settings.secret_key is None:
        remedy = "set EBBWATCH_SECRET_KEY or EBBWATCH_SECRET_KEY_FILE as the services have it"
        return fail("secrets", "EBBWATCH_SECRET_KEY is not set: ingest does not start", remedy)
    if settings.token is None:
        text = (
            "EBBWATCH_TOKEN is not set here: without it console and API are open to everybody on "
            "the machine of the alerts service, and to nobody else"
        )
        remedy = "to serve others, set EBBWATCH_TOKEN for the alerts service"
        return warn("secrets", text, remedy)
    return ok("secrets", "EBBWATCH_SECRET_KEY and EBBWATCH_TOKEN are set")


def disk(folder: Path) -> Finding | None:
    """Return how full the disk is on which the local Kafka stands; None without one.

    Args:
        folder: Of `ebbwatch local up`.
    """
    if not (folder / "kafka").is_dir():
        return None
    total, _, free = shutil.disk_usage(folder)
    text = f"{free / 2**30:.1f} GiB of {total / 2**30:.1f} free where {folder} is"
    if free >= LOW_SHARE * total:
        return ok("disk", text)
    remedy = "make room: Kafka stops when its disk is full"
    return (fail if free < FULL_SHARE * total else warn)("disk", text, remedy)


async def view(settings: ServiceSettings, now: datetime) -> Finding:
    """Return whether Redis answers, and whether the view in it can be relied on.

    Args:
        settings: Name the Redis.
        now: Aware UTC.
    """
    from services.alerts.view.link import ViewAway
    from services.alerts.view.view import View

    where = without_password(settings.redis_url)
    seen = View(
        settings.redis_url, settings.prefix, settings.partitions, STALE_SECONDS, now.timestamp
    )
    try:
        found = await seen.freshness()
    except ViewAway as error:
        text, _, remedy = str(error).rpartition("; ")
        return fail("redis", f"{text}: no console, no API; alerts are delivered", remedy)
    finally:
        await seen.close()
    if found.stale:
        return warn("redis", f"{where} answers; {found.reason}", "the view is rebuilt by itself")
    return ok("redis", f"{where} holds the view, complete as of {found.as_of:%H:%M:%S} UTC")
