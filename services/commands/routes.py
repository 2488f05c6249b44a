"""`ebbwatch routes test`: who would be told of an account's alert, by what, and why."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec
import typer

from schemas import topics
from schemas.accounts import AccountSummary
from services.commands.config import newest_rules
from services.commands.terminal import ask_kafka, fail, printable, read_settings, show_json
from services.config_log import ConfigLog, ConfigUnavailable
from services.settings import ServiceSettings
from services.wording import listed

if TYPE_CHECKING:
    from services.alerts.directory import DirectorySnapshot

app = typer.Typer(help="Who is told of what.", no_args_is_help=True)


class Route(NamedTuple):
    """Who would be told.

    Attributes:
        person: Id; None if nobody in particular.
        name: As the directory knows the person; None if it does not.
        why: `owner`, `signal_manager`, or `nobody`.
        channels: By which channels it would go.
        silent: Why nothing at all would be sent; empty if something would.
        off: Which of the channels are switched off: it would wait for them, at most three days.
    """

    person: str | None
    name: str | None
    why: str
    channels: tuple[str, ...]
    silent: str = ""
    off: tuple[str, ...] = ()


@app.callback()
def _group() -> None:
    """Who is told of what."""


@app.command("test")
def try_route(
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")],
    rule: Annotated[
        str | None, typer.Argument(metavar="[RULE]", help="A rule's id; else any rule.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
) -> None:
    """Say who would be told of an alert of an account, by what, and why."""
    from services.alerts import directory

    settings = read_settings(ServiceSettings)
    summary = ask_kafka(settings.kafka, _summary(settings, account))
    if summary is None:
        fail(f"account {account!r} is not known yet; `ebbwatch accounts show {account}` says more")
    try:
        found = asyncio.run(ConfigLog(settings.kafka, settings.prefix).read())
    except ConfigUnavailable as error:
        fail(str(error))
    route = routed(summary, directory.read(None, found), silence(found, rule, summary.segment))
    if as_json:
        show_json({"account": account, **route._asdict()})
    else:
        typer.echo(render(route, summary))


def routed(summary: AccountSummary, known: "DirectorySnapshot", silent: str) -> Route:
    """Return who would be told of an alert of an account to which nobody is assigned.

    Args:
        summary: The account.
        known: The directory.
        silent: Why the rule sends nothing; empty if it does.
    """
    from services.alerts.cases.case import Case
    from services.alerts.routing import route

    recipient = route(Case(id=summary.account), summary, known.people, known.routing)
    person = known.people.get(recipient.person or "")
    silent = silent or ("" if known.channels else "there is no channel")
    channels = () if silent else tuple(known.channels)
    off = tuple(name for name in channels if known.channels[name].disabled)
    name = person.name if person else None
    return Route(recipient.person, name, recipient.why, channels, silent, off)


def silence(found: Mapping[str, bytes], rule: str | None, segment: str | None) -> str:
    """Return why a rule sends nothing for accounts of a segment; empty if it does.

    Args:
        found: The newest value of every key of `config.v1`.
        rule: Its id; None for any that does.
        segment: The account's.
    """
    from services.company import shipped
    from services.detector.rules import compile_rules

    if rule is None:
        return ""
    newest = newest_rules(found)
    rules = compile_rules(1, shipped().content if newest is None else newest.content)
    if rule not in rules.by_id:
        fail(f"there is no rule {rule!r}; known are {', '.join(rules.by_id)}")
    variant = rules.by_id[rule].variant(segment)
    if variant.off:
        return f"rule {rule} is off for this account"
    return f"rule {rule} is in shadow: it is measured and tells nobody" if variant.shadow else ""


def render(route: Route, summary: AccountSummary) -> str:
    """Return a route as some lines for a person."""
    who = f"{summary.name} ({summary.account})" if summary.name else summary.account
    if route.silent:
        first = f"{who}: nobody would be told, because {route.silent}"
    else:
        first = f"{who}: {_person(route)} would be told by {listed(route.channels)}"
        if route.off:
            first += f"; it would wait for {listed(route.off)}, switched off, at most three days"
    rest = f"    {_REASONS[route.why]}; whoever a case is assigned to comes first"
    return f"{printable(first)}\n{rest}"


_REASONS = {
    "owner": "the account's owner",
    "signal_manager": "the signal manager of company.toml, because the account has no owner whom "
    "directory.toml knows",
    "nobody": "the account has no owner whom directory.toml knows, and company.toml names no "
    "signal_manager",
}


def _person(route: Route) -> str:
    if route.person is None:
        return "nobody in particular"
    return f"{route.name} ({route.person})" if route.name else route.person


async def _summary(settings: ServiceSettings, account: str) -> AccountSummary | None:
    from services.partitioning import partition_of
    from services.snapshots import LoadTooSlow, load

    topic = topics.full_name(topics.ACCOUNTS, settings.prefix)
    number = partition_of(account, settings.partitions)
    try:
        raw = (await load(settings.kafka, topic, number)).get(account)
    except LoadTooSlow as error:
        fail(str(error))
    return None if raw is None else msgspec.json.decode(raw, type=AccountSummary)
