"""`ebbwatch topics`: create the deployment's topics, and compare them with what is declared."""

from typing import Annotated

import typer

from services.commands.terminal import ask_kafka, fail, read_settings, show_json
from services.runtime import ExitCode
from services.settings import ServiceSettings

app = typer.Typer(no_args_is_help=True, help="Kafka topics of this deployment.")

Json = Annotated[bool, typer.Option("--json", help="One line of JSON.")]


@app.command()
def apply(as_json: Json = False) -> None:
    """Create missing topics and set differing settings; partition counts are never touched."""
    from services.topic_admin import apply

    settings = read_settings(ServiceSettings)
    found = ask_kafka(settings.kafka, apply(settings.kafka, settings.prefix, settings.partitions))
    stuck = [each for each in found if each.kind == "partitions"]
    mended = [each for each in found if each.kind != "partitions"]
    if as_json:
        show_json({"mended": [e.as_json() for e in mended], "left": [e.as_json() for e in stuck]})
    else:
        for each in mended:
            done = "created" if each.kind == "missing" else f"set {each.setting}={each.wants}"
            typer.echo(f"{each.topic}: {done}")
        if not found:
            typer.echo("all topics are as declared")
    if stuck:
        fail("\n".join(map(str, stuck)))


@app.command()
def diff(as_json: Json = False) -> None:
    """Show how the broker's topics differ from what is declared; exit 1 if they do."""
    from services.topic_admin import compare, describe

    settings = read_settings(ServiceSettings)
    found = ask_kafka(settings.kafka, describe(settings.kafka, settings.prefix))
    differences = compare(found, settings.prefix, settings.partitions)
    if as_json:
        show_json([each.as_json() for each in differences])
    else:
        for each in differences:
            typer.echo(str(each))
        if not differences:
            typer.echo("all topics are as declared")
    if differences:
        raise typer.Exit(ExitCode.FAILED)
