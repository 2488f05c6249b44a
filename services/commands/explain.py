"""`ebbwatch explain`: computes an alert's numbers once more, and says whether each agrees."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from schemas.alerts import Alert
from services import wording
from services.alert_log import AlertsUnavailable, opened
from services.commands.terminal import (
    ask_kafka,
    fail,
    printable,
    printable_lines,
    read_settings,
    show_json,
)
from services.config_log import ConfigUnavailable
from services.settings import ServiceSettings

if TYPE_CHECKING:
    from services.commands.recounting import Recounted
    from services.detector.recompute import Line, Recomputed

MOST_NAMED = 10
"""Alerts that are named where a prefix is that of several."""


class Checked(NamedTuple):
    """One record of the alert, and what came out of it."""

    record: Alert
    found: "Recomputed"


class Explained(NamedTuple):
    """All that was checked of an alert.

    Attributes:
        records: Its records, the oldest first.
        events: What its days are in the log of events; None where nobody asked, or could.
    """

    records: list[Checked]
    events: "Recounted | None"

    @property
    def computed(self) -> bool:
        """Whether anything was computed at all."""
        return any(one.found.lines for one in self.records)

    @property
    def agrees(self) -> bool:
        """Whether every number that was computed agrees, and there is one."""
        counted = self.events is None or self.events.agrees
        return self.computed and counted and all(one.found.agrees for one in self.records)


def explain(
    alert: Annotated[str, typer.Argument(help="The alert's id, or how it begins.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    events: Annotated[
        bool, typer.Option(help="Count its days once more from events.v1, while they last.")
    ] = True,
) -> None:
    """Compute an alert's numbers from its stored evidence and its events, and compare each.

    Exit code 0 if every number agrees, 1 if one does not or none could be computed.
    """
    known = read_settings(ServiceSettings)
    try:
        found = ask_kafka(known.kafka, _explained(known, alert, events))
    except (AlertsUnavailable, ConfigUnavailable) as error:
        fail(str(error))
    if json:
        show_json(_plain(found))
    else:
        typer.echo(printable_lines("\n".join(_lines(found))))
    raise typer.Exit(0 if found.agrees else 1)


async def _explained(known: ServiceSettings, prefix: str, events: bool) -> Explained:
    from services.commands.recounting import recounted

    records = await _records(known, prefix)
    checked = await _checked(known, records)
    last = next((one for one in reversed(records) if _counts(one)), None)
    counted = await recounted(known, last) if events and last is not None else None
    return Explained(checked, counted)


async def _records(known: ServiceSettings, prefix: str) -> list[Alert]:
    """Return the records of the one alert whose id begins so."""
    found: dict[str, list[Alert]] = {}
    async with opened(known.kafka, known.prefix) as log:
        async for one in log.to_end():
            if one.alert is not None and one.alert.alert_id.startswith(prefix):
                found.setdefault(one.alert.alert_id, []).append(one.alert)
    if not found:
        fail(
            f"no alert whose id begins with {prefix!r} is in the alert log, which keeps 400 days; "
            "`ebbwatch alerts list --all --json` shows all ids"
        )
    if len(found) > 1:
        named = ", ".join(sorted(found)[:MOST_NAMED])
        fail(f"{len(found)} alerts have ids that begin with {prefix!r}: {named}; give more of it")
    return list(found.popitem()[1])


async def _checked(known: ServiceSettings, records: Sequence[Alert]) -> list[Checked]:
    from services.commands.rule_sets import RuleSets
    from services.detector.recompute import Recomputed, is_raising, recompute

    rule_sets = await RuleSets.read(known)
    raised_on = next((one.day for one in records if is_raising(one)), None)
    checked = []
    for record in records:
        rules = rule_sets.get(record.rule_set)
        if rules is None:
            note = rule_sets.missing(record.rule_set)
            checked.append(Checked(record, Recomputed([], [note])))
        else:
            checked.append(Checked(record, recompute(record, rules, raised_on)))
    return checked


def _counts(record: Alert) -> bool:
    return bool(record.because.get("computed_from"))


def _plain(found: Explained) -> dict[str, Any]:
    first = found.records[0].record
    return {
        "alert_id": first.alert_id,
        "account": first.account,
        "rule": first.rule,
        "object": first.object,
        "agrees": found.agrees,
        "records": [
            {
                "type": one.record.__struct_config__.tag,
                "day": one.record.day,
                "rule_set": one.record.rule_set,
                "agrees": one.found.agrees,
                "lines": [_plain_line(line) for line in one.found.lines],
                "notes": one.found.notes,
            }
            for one in found.records
        ],
        "events": None if found.events is None else found.events.plain(),
    }


def _plain_line(line: "Line") -> dict[str, Any]:
    return line._asdict() | {"agrees": line.agrees}


def _lines(found: Explained) -> list[str]:
    first = found.records[0].record
    told = first.because.get("headline") or first.because.get("title") or first.rule
    lines = [
        f"{first.account}: {printable(str(told))}",
        f"alert {first.alert_id}, rule {first.rule}, about {printable(first.object)}",
    ]
    newest = found.records[-1]
    for one in found.records:
        lines += ["", *_record(one, everything=one is newest)]
    if found.events is not None:
        lines += ["", *found.events.lines()]
    return [*lines, "", _verdict(found)]


def _record(one: Checked, *, everything: bool) -> list[str]:
    """Tell one record: all lines of the newest one, of others those that do not agree."""
    wrong = [line for line in one.found.lines if not line.agrees]
    what = str(one.record.__struct_config__.tag).partition(".")[2]
    said = (
        f"{what} for {wording.day(one.record.day)}, by rule set {one.record.rule_set}: "
        f"{_agreement(len(one.found.lines), len(wrong))}"
    )
    shown = one.found.lines if everything else wrong
    return [said, *table(shown), *(f"  not computed: {note}" for note in one.found.notes)]


def _agreement(computed: int, wrong: int) -> str:
    if not computed:
        return "nothing was computed"
    numbers = wording.counted(computed, "number")
    return f"{numbers}, {wrong} of them WRONG" if wrong else f"{numbers}, all agree"


def table(lines: "Sequence[Line]") -> list[str]:
    """Return numbers as rows: name, as stored, as computed, and whether they agree.

    Args:
        lines: What was compared.
    """
    rows = [(one.name, _told(one.stored), _told(one.computed)) for one in lines]
    widths = [max((len(row[k]) for row in rows), default=0) for k in range(3)]
    return [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        + ("  agrees" if one.agrees else "  DIFFERS")
        for row, one in zip(rows, lines, strict=True)
    ]  # fmt: skip


def _told(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:,.6g}" if isinstance(value, float) else printable(str(value))


def _verdict(found: Explained) -> str:
    if found.agrees:
        return "every number agrees"
    return "NOT every number agrees" if found.computed else "nothing could be computed"
