"""The files and rules that `ebbwatch backtest` and `ebbwatch rules propose` are given."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

if TYPE_CHECKING:
    from services.ingest.history.files import HistoryFile, Kind

_FILE: Final = {"exists": True, "dir_okay": False, "readable": True}
Files = list[Path] | None

Usage = Annotated[
    Files, typer.Option(help="account_id, date, count; metric, person, feature.", **_FILE)
]
Accounts = Annotated[
    Files,
    typer.Option(
        help="account_id; segment, country, owner, arr, start, days: from start on it is judged "
        "for so many days, but none after the last row of any file.",
        **_FILE,
    ),
]
Tickets = Annotated[
    Files, typer.Option(help="account_id, date; count, or ticket, priority.", **_FILE)
]
Events = Annotated[Files, typer.Option(help="NDJSON of native events.", **_FILE)]
RulesPath = Annotated[
    Path | None,
    typer.Option(
        help="rules.toml, or a folder of company files; else the shipped rules.", exists=True
    ),
]
_TRUTH: Final = typer.Option(
    help="Who left: account_id, date; amount, in minor units.",
    exists=True,
    dir_okay=False,
    readable=True,
)
TruthPath = Annotated[Path, _TRUTH]
TruthPathOrNone = Annotated[Path | None, _TRUTH]


def chosen(**given: Files) -> "list[HistoryFile]":
    """Return the files of a backtest, checked.

    Args:
        given: Paths by what they hold; their order counts among rows of the same time.

    Raises:
        services.ingest.history.files.HistoryError: They cannot be played.
    """
    from services.backtest.run import look_at

    kinds: tuple[Kind, ...] = ("accounts", "usage", "tickets", "events")
    return look_at({kind: given.get(kind) or () for kind in kinds})
