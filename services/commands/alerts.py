"""`ebbwatch alerts list`: the alerts that stand, as a person wants to read them."""

import asyncio
import textwrap
from collections.abc import AsyncIterator
from datetime import date
from typing import Annotated

import typer

from schemas.alerts import Alert, AlertCleared, AlertEased, AlertRaised, AlertWorsened
from services import wording
from services.alert_log import AlertLog, AlertsUnavailable, Logged, opened
from services.alerts.cases.open_alerts import fold, ranked
from services.alerts.cases.standing import Standing
from services.commands.terminal import fail, printable, read_settings
from services.settings import ServiceSettings

WIDTH = 100
INDENT = " " * 4

app = typer.Typer(help="The alerts that stand.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """The alerts that stand."""


@app.command("list")
def list_(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with each record as it arises.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="The log as it is: every record, one a line.")
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="Alerts that were cleared, too.")
    ] = False,
    account: Annotated[str | None, typer.Option(help="Only this account.")] = None,
) -> None:
    """List the open alerts, the worst first."""
    settings = read_settings(ServiceSettings)
    work = _print_raw if json else _print_standing
    try:
        asyncio.run(work(settings.kafka, settings.prefix, account, follow, everything))
    except AlertsUnavailable as error:
        fail(str(error))
    except KeyboardInterrupt:
        raise typer.Exit from None


def render(alert: Alert) -> str:
    """Return an alert record as some lines for a person: who, what, since when, money, why.

    Args:
        alert: Any record of the alert log.
    """
    now = alert.account_now
    who = f"{now.name} ({alert.account})" if now.name else alert.account
    what = alert.because.get("headline") or alert.because.get("title") or alert.rule
    facts = [
        f"since {_date(alert.because.get('since_estimate')) or wording.day(alert.day)}",
        f"owner {now.owner}" if now.owner else "no owner",
        f"{wording.money(now.arr, now.currency)} a year" if now.arr is not None else "",
        f"renewal {wording.day(now.renewal_on)}" if now.renewal_on else "",
        f"rule {alert.rule}",
    ]
    lines = [f"{_mark(alert)}  {who}: {what}", INDENT + " · ".join(one for one in facts if one)]
    if text := alert.because.get("text"):
        lines += textwrap.wrap(
            printable(str(text)), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT
        )
    if isinstance(alert, AlertRaised | AlertWorsened) and (play := alert.because.get("play")):
        lines.append(f"{INDENT}next step: {str(play).replace('-', ' ')}")
    return "\n".join(printable(line) for line in lines)


def render_standing(standing: Standing) -> str:
    """Return an alert as it stands: its newest record, and how it ended if it did."""
    text = render(standing.latest)
    if standing.cleared is None:
        return text
    return f"{text}\n{INDENT}{_ending(standing.cleared)} on {wording.day(standing.cleared.day)}"


def _mark(alert: Alert) -> str:
    marks = [alert.severity.upper()]
    if isinstance(alert, AlertCleared):
        marks = ["CLEARED", f"({_ENDINGS[alert.reason]})"]
    elif not isinstance(alert, AlertRaised):
        marks.append("(less than before)" if isinstance(alert, AlertEased) else "(worse)")
    marks += [f"[{name}]" for name in ("historic", "shadow") if getattr(alert, name)]
    return " ".join(marks)


_ENDINGS = {
    "recovered": "recovered",
    "new_normal": "it is the new normal",
    "accepted": "a person accepted it",
    "superseded": "another alert or rule set took its place",
    "withdrawn": "later data took its reason away",
}


def _ending(cleared: AlertCleared) -> str:
    return f"cleared: {_ENDINGS[cleared.reason]},"


def _date(iso: object) -> str | None:
    return wording.day(date.fromisoformat(iso)) if isinstance(iso, str) else None


async def _print_raw(
    kafka: str, prefix: str, account: str | None, follow: bool, _everything: bool
) -> None:
    async with opened(kafka, prefix) as log:
        async for one in _records(log, account, follow):
            typer.echo(one.raw)


async def _print_standing(
    kafka: str, prefix: str, account: str | None, follow: bool, everything: bool
) -> None:
    async with opened(kafka, prefix) as log:
        found = [one.alert async for one in _records(log, account) if one.alert is not None]
        standings = ranked(one for one in fold(found).values() if everything or one.open)
        for standing in standings:
            typer.echo(render_standing(standing) + "\n")
        kind = "alert" if everything else "open alert"
        typer.echo(wording.counted(len(standings), kind) if standings else f"no {kind}")
        if follow:
            async for one in _only(log.onward(), account):
                if one.alert is not None:
                    typer.echo("\n" + render(one.alert))


async def _records(
    log: AlertLog, account: str | None, follow: bool = False
) -> AsyncIterator[Logged]:
    async for one in _only(log.to_end(), account):
        yield one
    if follow:
        async for one in _only(log.onward(), account):
            yield one


async def _only(records: AsyncIterator[Logged], account: str | None) -> AsyncIterator[Logged]:
    async for one in records:
        if account is None or one.account == account:
            yield one
