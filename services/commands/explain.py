"""`ebbwatch explain`: computes an alert's numbers once more, and says whether each agrees."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from schemas.alerts import Alert, AlertRaised
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
    from services.detector.compared import Line
    from services.detector.recompute import Recomputed

MOST_NAMED = 10
"""Alerts that are named where a prefix is that of several."""
WIDEST = 60
"""Characters of a number, date or name in a row; what is longer is a text, and told by itself."""


class Checked(NamedTuple):
    """One record of the alert, and what came out of it."""

    record: Alert
    found: "Recomputed"


class Found(NamedTuple):
    """What the alert log says of an alert.

    Attributes:
        records: Its records, the oldest first.
        earlier: On which days its rule raised other alerts of its account.
    """

    records: list[Alert]
    earlier: list[date]


class Explained(NamedTuple):
    """All that was checked of an alert.

    Attributes:
        records: Its records, the oldest first.
        events: What the days of one of them are in the log of events; None where nobody asked, or
            could.
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

    @property
    def read(self) -> list[str]:
        """Names of what could not be computed of any record, and has to be believed."""
        return list(dict.fromkeys(name for one in self.records for name in one.found.read))


def explain(
    alert: Annotated[str, typer.Argument(help="The alert's id, or how it begins.")],
    json: Annotated[bool, typer.Option("--json", help="One JSON object.")] = False,
    events: Annotated[
        bool, typer.Option(help="Count its days once more from events.v1, while they last.")
    ] = True,
) -> None:
    """Compute an alert's numbers from its stored evidence and its events, and compare each.

    So are its headline and its text. What can only be read, such as what other customers did then,
    is named. Exit code 0 if every number that can be computed agrees, 1 if one does not or none
    can.
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

    found = await _found(known, prefix)
    checked = await _checked(known, found)
    last = next((one for one in reversed(found.records) if _counts(one)), None)
    counted = await recounted(known, last) if events and last is not None else None
    return Explained(checked, counted)


async def _found(known: ServiceSettings, prefix: str) -> Found:
    """Return the records of the one alert whose id begins so."""
    found: dict[str, list[Alert]] = {}
    raised: defaultdict[tuple[str, str], list[tuple[str, date]]] = defaultdict(list)
    async with opened(known.kafka, known.prefix) as log:
        async for one in log.to_end():
            alert = one.alert
            if alert is not None and alert.alert_id.startswith(prefix):
                found.setdefault(alert.alert_id, []).append(alert)
            if isinstance(alert, AlertRaised):
                raised[alert.account, alert.rule].append((alert.alert_id, alert.day))
    if not found:
        fail(
            f"no alert whose id begins with {prefix!r} is in the alert log, which keeps 400 days; "
            "`ebbwatch alerts list --all --json` shows all ids"
        )
    if len(found) > 1:
        named = ", ".join(sorted(found)[:MOST_NAMED])
        fail(f"{len(found)} alerts have ids that begin with {prefix!r}: {named}; give more of it")
    id_, records = found.popitem()
    beside = raised[records[0].account, records[0].rule]
    return Found(records, [day for other, day in beside if other != id_])


async def _checked(known: ServiceSettings, found: Found) -> list[Checked]:
    from services.commands.rule_sets import RuleSets
    from services.detector.recompute import Recomputed, recompute

    rule_sets = await RuleSets.read(known)
    raised_on = next((one.day for one in found.records if isinstance(one, AlertRaised)), None)
    checked = []
    for record in found.records:
        rules = rule_sets.get(record.rule_set)
        if rules is None:
            note = rule_sets.missing(record.rule_set)
            checked.append(Checked(record, Recomputed([], [note])))
        else:
            checked.append(Checked(record, recompute(record, rules, raised_on, found.earlier)))
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
        "only_read": found.read,
        "records": [
            {
                "type": one.record.__struct_config__.tag,
                "day": one.record.day,
                "rule_set": one.record.rule_set,
                "agrees": one.found.agrees,
                "lines": [_plain_line(line) for line in one.found.lines],
                "notes": one.found.notes,
                "only_read": list(one.found.read),
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
        if others := sum(_counts(one.record) for one in found.records) - 1:
            lines.append(f"  not counted: the days of {wording.counted(others, 'other record')}")
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
    return [said, *_table(shown), *(f"  not computed: {note}" for note in one.found.notes)]


def _agreement(computed: int, wrong: int) -> str:
    if not computed:
        return "nothing was computed"
    numbers = wording.counted(computed, "number")
    return f"{numbers}, {wrong} of them WRONG" if wrong else f"{numbers}, all agree"


def _table(lines: "Sequence[Line]") -> list[str]:
    """Return numbers as rows: name, as stored, as computed, and whether they agree."""
    rows = [(one.name, _told(one.stored), _told(one.computed)) for one in lines]
    short = [row for row in rows if max(map(len, row)) <= WIDEST]
    widths = [max((len(row[k]) for row in short), default=0) for k in range(3)]
    told: list[str] = []
    for row, one in zip(rows, lines, strict=True):
        says = "agrees" if one.agrees else "DIFFERS"
        if row in short:
            cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
            told.append("  ".join(["", *cells, says]))
        else:
            told.append("  ".join(["", row[0].ljust(widths[0]), f"in words  {says}"]))
            told += [] if one.agrees else [f"    stored:   {row[1]}", f"    computed: {row[2]}"]
    return told


def _told(value: Any) -> str:
    if value is None:
        return "none"
    return f"{value:,.6g}" if isinstance(value, float) else printable(str(value))


def _verdict(found: Explained) -> str:
    if not found.computed:
        return "nothing could be computed"
    if not found.agrees:
        return "NOT every number agrees"
    if not found.read:
        return "every number agrees"
    read = f"{len(found.read)} could only be read: {', '.join(found.read)}"
    return f"every number that can be computed agrees; {read}"
