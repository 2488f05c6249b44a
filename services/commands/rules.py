"""`ebbwatch rules`: what is watched, by which bounds, what it means, and how good it has been."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import msgspec
import typer

from schemas.config import RuleSetContent
from services.commands import rule_proposal
from services.commands.config import formats, newest_rules
from services.commands.terminal import (
    ask_kafka,
    fail,
    printable_lines,
    read_settings,
    show_json,
)
from services.config_log import ConfigLog, ConfigUnavailable
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.company import Company
    from services.detector.cases import Case
    from services.detector.rules import RuleSet

app = typer.Typer(help="The rules in force.", no_args_is_help=True)

Json = Annotated[bool, typer.Option("--json", help="JSON, one rule a line.")]
Files = Annotated[
    bool, typer.Option("--files", help="What the company's files say, without asking Kafka.")
]


class InForce(NamedTuple):
    """A rule set and where it comes from, for a person.

    Attributes:
        source: Such as `rule set 3`.
        content: What it holds.
    """

    source: str
    content: RuleSetContent


@app.command("list")
def list_(json: Json = False, files: Files = False) -> None:
    """List the rules of the newest rule set, or the shipped ones before the first is applied."""
    from services.commands.rule_text import summaries

    found = _found(files)
    told = summaries(_compiled(found))
    if json:
        for one in told:
            show_json(one)
        return
    typer.echo(found.source)
    rows = [_row(one) for one in told]
    for line in _table([("ID", "TITLE", "PRIMITIVE", "SEVERITY", "STATE", "ROWS"), *rows]):
        typer.echo(line)


@app.command()
def explain(
    rule_id: Annotated[str, typer.Argument(metavar="ID")],
    json: Json = False,
    files: Files = False,
) -> None:
    """Say what a rule watches, by which bounds, when it is wrong, and what its cases are."""
    from services.commands.rule_text import describe, describe_common_fall, summaries

    found = _found(files)
    rules = _compiled(found)
    told = {one["id"]: one for one in summaries(rules)}
    if rule_id not in told:
        fail(f"there is no rule {rule_id!r} in {found.source}; known are {', '.join(told)}")
    rule = rules.by_id.get(rule_id)
    cases = [] if rule is None else _cases(found.content, rule_id)
    if json:
        show_json(told[rule_id] | {"cases": [case.model_dump(mode="json") for case in cases]})
    elif rule is None:
        typer.echo(describe_common_fall(rules.common_fall))
    else:
        typer.echo(describe(rule, cases))


@app.command()
def report(
    days: Annotated[int, typer.Option(min=1, max=3650, help="How far back.")] = 365,
    truth: Annotated[
        Path | None,
        typer.Option(help="Customers that left: a file with account_id, date.", exists=True),
    ] = None,
    events: Annotated[
        bool, typer.Option("--events", help="Read events.v1 for customers that left, too.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say what each rule raised, what people said of it, and how early it was.

    Rules in shadow are among them: they are judged and measured, and notify nobody.
    """
    from services.commands import rule_report

    settings = read_settings(ServiceSettings)
    today = datetime.now(UTC).date()
    try:
        found = ask_kafka(settings.kafka, rule_report.report(settings, days, today, truth, events))
    except ConfigUnavailable as error:
        fail(str(error))
    if json:
        show_json(found.plain())
    else:
        typer.echo(printable_lines("\n".join(rule_report.lines(found))))


app.command()(rule_proposal.propose)


def _found(files: bool) -> InForce:
    from services.company import shipped

    settings = read_settings(ServiceSettings)
    if files:
        return InForce("the files", _company(settings.config_dir).content)
    try:
        newest = newest_rules(asyncio.run(ConfigLog(settings.kafka, settings.prefix).read()))
    except ConfigUnavailable as error:
        fail(f"{error}; --files shows what the files say, without Kafka")
    if newest is None:
        return InForce("the shipped rules (none was applied yet)", shipped().content)
    content = msgspec.json.decode(newest.content, type=RuleSetContent)
    return InForce(f"rule set {newest.n}, applied {newest.applied_at:%Y-%m-%d %H:%M} UTC", content)


def _compiled(found: InForce) -> "RuleSet":
    from services.detector.rules import compile_rules

    return compile_rules(1, found.content)


def _company(folder: Path | None) -> "Company":
    from services.company import read_company

    found = read_company(folder, formats())
    if isinstance(found, list):
        fail("\n".join(map(str, found)))
    return found


def _cases(content: RuleSetContent, rule_id: str) -> "Sequence[Case]":
    """Return the cases of a rule that stands in a pack, or in the files, as it is in force."""
    from services.company import pack_cases, pack_names, read_company, shipped

    raw = next(one for one in content.rules if one["id"] == rule_id)
    ours = {one["id"]: one for one in shipped().content.rules}
    if _same(ours.get(rule_id), raw):
        return [case for name in pack_names() for case in pack_cases(name).get(rule_id, ())]
    company = read_company(read_settings(ServiceSettings).config_dir, formats())
    if isinstance(company, list):
        return ()
    theirs = {one["id"]: one for one in company.content.rules}
    if not _same(theirs.get(rule_id), raw):
        return ()
    return [one.case for one in company.cases if one.rule == rule_id]


def _same(one: Any, other: Any) -> bool:
    """Compare as JSON: a rule set that was applied has been through it."""
    return msgspec.json.encode(one, order="sorted") == msgspec.json.encode(other, order="sorted")


def _row(told: dict[str, Any]) -> tuple[str, ...]:
    state = "off" if told["off"] else "shadow" if told["shadow"] else "on"
    if told["overrides"]:
        state += f" ({', '.join(told['overrides'])} differ)"
    rows = " ".join(told["rows"])
    return told["id"], told["title"], told["primitive"], told["severity"], state, rows


def _table(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
