"""`ebbwatch config check` and `apply`: a company's files, and what is put in force of them."""

import asyncio
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from schemas.config import RULES_PREFIX, RuleSetContent, RuleSetRecord
from services.commands.input_lives import continued
from services.commands.terminal import fail, pepper, read_settings
from services.config_log import ConfigConflict, ConfigLog, ConfigUnavailable
from services.settings import ConfigurationError, ServiceSettings
from services.wording import counted, listed

if TYPE_CHECKING:
    from services.company import Company
    from services.company_files import Problem


app = typer.Typer(help="The company's files and the rule set in force.", no_args_is_help=True)

Folder = Annotated[
    Path | None,
    typer.Argument(metavar="[DIR]", help="The company's files; else EBBWATCH_CONFIG_DIR."),
]


@app.command()
def check(folder: Folder = None) -> None:
    """Say what is wrong with the company's files, and play the cases of its own rules."""
    company = _checked(folder or read_settings(ServiceSettings).config_dir)
    typer.echo(f"ok: {describe(company)}")


@app.command()
def apply(folder: Folder = None) -> None:
    """Put the company's files in force, if nothing is wrong: a numbered rule set, and the desk.

    The desk are people, routing and channels. What the files do not name any more is deleted.
    """
    from services.commands.applying import apply_company
    from services.sealing import Sealer

    settings = read_settings(ServiceSettings)
    company = _checked(folder or settings.config_dir)
    sealer = Sealer(pepper(settings)) if company.desk.channels else None
    log = ConfigLog(settings.kafka, settings.prefix)
    try:
        applied = asyncio.run(apply_company(log, company, sealer, datetime.now(UTC)))
    except (ConfigConflict, ConfigUnavailable) as error:
        fail(str(error))
    if applied.new:
        typer.echo(f"rule set {applied.record.n} is in force: {describe(company)}")
    else:
        nothing = "" if applied.desk else "; nothing was written"
        typer.echo(f"rule set {applied.record.n} says the same already{nothing}")
    for line in applied.desk:
        typer.echo(line)


async def apply_content(
    log: ConfigLog, content: RuleSetContent, now: datetime
) -> tuple[RuleSetRecord, bool]:
    """Write a rule set under the next number, unless the newest one says the same.

    Args:
        log: The deployment's configuration.
        content: A rule set in which nothing is wrong.
        now: Aware UTC.

    Returns:
        The newest rule set, and whether it was written now.

    Raises:
        ConfigConflict: Another command wrote one in between: nothing of ours was written.
        ConfigUnavailable: Kafka does not answer, or the topic does not exist.
    """
    record, new = next_rules(await log.read(), content, now)
    if new:
        await log.write(f"{RULES_PREFIX}{record.n}", msgspec.json.encode(record), expect=None)
    return record, new


def next_rules(
    found: Mapping[str, bytes], content: RuleSetContent, now: datetime
) -> tuple[RuleSetRecord, bool]:
    """Return the newest rule set if it says the same already; else the one after it, and True.

    Inputs keep the names under which they are counted (see `input_lives`).

    Args:
        found: The newest value of every key of `config.v1`.
        content: A rule set in which nothing is wrong.
        now: Aware UTC.
    """
    newest = newest_rules(found)
    text = msgspec.json.encode(continued(content, found), order="sorted").decode()
    if newest is not None and newest.content == text:
        return newest, False
    n = newest.n + 1 if newest is not None else 1
    return RuleSetRecord(n=n, content=text, applied_at=now), True


async def ensure_rules(log: ConfigLog, folder: Path | None, now: datetime) -> RuleSetRecord:
    """Return the newest rule set; where there is none, put the one of the company's files in force.

    People and channels are left to `ebbwatch config apply`, which can seal their secrets.

    Args:
        log: The deployment's configuration.
        folder: The company's files; None for the shipped defaults.
        now: Aware UTC.

    Raises:
        ConfigurationError: Something is wrong with the files.
        ConfigConflict: Another command wrote one in between.
        ConfigUnavailable: Kafka does not answer, or the topic does not exist.
    """
    from services.company import read_company

    newest = newest_rules(await log.read())
    if newest is not None:
        return newest
    company = read_company(folder, formats())
    if isinstance(company, list):
        raise ConfigurationError(map(str, company))
    return (await apply_content(log, company.content, now))[0]


def newest_rules(found: Mapping[str, bytes]) -> RuleSetRecord | None:
    """Return the rule set with the greatest number among the records of `config.v1`."""
    numbers = [
        int(number)
        for key in found
        if key.startswith(RULES_PREFIX) and (number := key.removeprefix(RULES_PREFIX)).isdigit()
    ]
    if not numbers:
        return None
    return msgspec.json.decode(found[f"{RULES_PREFIX}{max(numbers)}"], type=RuleSetRecord)


def formats() -> tuple[str, ...]:
    """Return the names of the intake formats that exist."""
    from services.ingest.formats import FORMATS

    return tuple(one.NAME for one in FORMATS)


def describe(company: "Company") -> str:
    """Return in a few words what a configuration holds, such as `10 rules (1 in shadow)`."""
    from services.detector.rules import compile_rules

    rules = compile_rules(1, company.content).rules
    off = sum(rule.default.off for rule in rules)
    shadow = sum(rule.default.shadow and not rule.default.off for rule in rules)
    states = [
        f"{number} {what}" for number, what in ((off, "off"), (shadow, "in shadow")) if number
    ]
    parts = [counted(len(rules), "rule") + (f" ({listed(states)})" if states else "")]
    if company.content.overrides:
        parts.append(counted(len(company.content.overrides), "override"))
    if company.content.inputs:
        parts.append(counted(len(company.content.inputs), "input"))
    if company.desk.people:
        parts.append(counted(len(company.desk.people), "person", "people"))
    if company.desk.channels:
        parts.append(counted(len(company.desk.channels), "channel"))
    if company.cases:
        parts.append(f"{counted(len(company.cases), 'case')} of your own played")
    return ", ".join(parts)


def failures(company: "Company") -> "Iterator[Problem]":
    """Yield the cases of the company's own rules that come out otherwise than they say."""
    from services.company_files import Problem
    from services.detector.rehearsal import rehearse

    for rule, case, file, line in company.cases:
        wrong = rehearse(company.content, rule, case)
        if wrong is not None:
            yield Problem(file, line, f"case {case.story!r} of rule {rule!r}: {wrong}")


def _checked(folder: Path | None) -> "Company":
    """Return the company's configuration; print everything that is wrong with it, and exit 1."""
    from services.company import read_company

    company = read_company(folder, formats())
    if isinstance(company, list):
        fail("\n".join(map(str, company)) + f"\nrefused: {counted(len(company), 'problem')}")
    for warning in company.warnings:
        typer.echo(f"warning: {warning}", err=True)
    if failed := list(failures(company)):
        fail("\n".join(map(str, failed)) + f"\nrefused: {counted(len(failed), 'case')} failed")
    return company
