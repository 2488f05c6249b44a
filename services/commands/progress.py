"""How far an import is, on a terminal or as plain lines."""

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

if TYPE_CHECKING:
    from services.ingest.history.importer import Progress

PLAIN_SECONDS: Final = 2.0
"""Between two lines of progress where nobody watches a terminal."""

Show = Callable[["Progress"], None]


@contextlib.contextmanager
def shown(tell: Callable[[str], None]) -> Iterator[Show]:
    """Show an import's progress as long as the block lasts.

    Args:
        tell: Takes plain lines where standard output is no terminal.
    """
    console = Console()
    if not console.is_terminal:
        yield plain(tell, time.monotonic)
        return
    columns = (
        TextColumn("{task.description}"),
        *(BarColumn(), MofNCompleteColumn(), TextColumn("rows")),
        TextColumn("{task.fields[rate]:,.0f} events/s"),
        TimeRemainingColumn(),
    )
    with Bar(*columns, console=console) as bar:
        task = bar.add_task("history", total=None, rate=0.0)
        begun = time.monotonic()

        def show(progress: "Progress") -> None:
            rate = progress.events / max(time.monotonic() - begun, 1e-3)
            day = "" if progress.at is None else f"{progress.at:%Y-%m-%d}"
            bar.update(
                task, total=progress.total, completed=progress.rows, description=day, rate=rate
            )

        yield show


def plain(tell: Callable[[str], None], clock: Callable[[], float]) -> Show:
    """Return what shows progress as lines, one every `PLAIN_SECONDS`.

    Args:
        tell: Takes a line.
        clock: Seconds, never going back.
    """
    begun = last = clock()
    first: tuple[int, int] | None = None

    def show(progress: "Progress") -> None:
        nonlocal begun, last, first
        now = clock()
        if first is None:
            # What came before the first batch, such as sorting, says nothing of the speed.
            begun = last = now
            first = (progress.rows, progress.events)
        elif now - last >= PLAIN_SECONDS:
            last = now
            tell(line(progress, now - begun, *first))

    return show


def line(progress: "Progress", elapsed: float, rows: int = 0, events: int = 0) -> str:
    """Return one line of progress.

    Args:
        progress: How far the import is.
        elapsed: Seconds since it was at `rows` and `events`, > 0.
        rows: Rows played by then.
        events: Events by then.

    Returns:
        Rows of all, per cent, the history's date, events a second, and seconds left.
    """
    share = progress.rows / progress.total if progress.total else 1.0
    left = (progress.total - progress.rows) * elapsed / max(progress.rows - rows, 1)
    day = "" if progress.at is None else f", now at {progress.at:%Y-%m-%d}"
    return (
        f"{progress.rows:,} of {progress.total:,} rows ({share:.0%}){day}, "
        f"{(progress.events - events) / elapsed:,.0f} events/s, {left:.0f} s left"
    )
