"""`ebbwatch ...`: every command in one place; each group's own module does the work."""

import typer

from services.commands import (
    accounts,
    alerts,
    backtest,
    channels,
    config,
    demo,
    doctor,
    erase,
    explain,
    history,
    inputs,
    keys,
    platform,
    rejects,
    routes,
    rules,
    send,
    subjects,
)
from services.commands import topics as topics_commands
from services.runtime import version

app = typer.Typer(
    name="ebbwatch",
    help="Tells the owner of an account, early and with reasons, that its revenue is at risk.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
app.add_typer(platform.local, name="local")
app.add_typer(topics_commands.app, name="topics")
app.command()(platform.run)
app.command()(platform.serve)
app.command(name="import")(history.import_)
app.command()(history.live)
app.command()(backtest.backtest)
app.command()(send.send)
app.command()(demo.demo)
app.add_typer(config.app, name="config")
app.add_typer(rules.app, name="rules")
app.add_typer(keys.app, name="keys")
app.add_typer(accounts.app, name="accounts")
app.add_typer(subjects.app, name="subjects")
app.add_typer(erase.app, name="erase")
app.add_typer(alerts.app, name="alerts")
app.command()(explain.explain)
app.add_typer(channels.app, name="channels")
app.add_typer(routes.app, name="routes")
app.add_typer(rejects.app, name="rejects")
app.add_typer(inputs.app, name="inputs")
app.command()(doctor.doctor)


@app.command(name="version")
def show_version() -> None:
    """Show the version."""
    typer.echo(version())


def main() -> None:
    """Run the command line."""
    app()
