"""A backtest from end to end: files and rule sets in, an outcome for each rule set out."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from schemas.alerts import Alert
from schemas.config import RuleSetContent
from services.backtest.crew import Alone, Crew, Processes
from services.backtest.lives import Lives
from services.backtest.orders import Begin, Total
from services.backtest.other_rows import Beside
from services.backtest.outcome import EXAMPLES, Outcome, RuleNow, Sent
from services.backtest.play import Player
from services.backtest.spans import Spans
from services.backtest.staged import Prepared, Staged
from services.detector import fleet
from services.detector.calendars import to_date
from services.detector.rules import compile_rules
from services.ingest.history.files import HistoryError, HistoryFile, Kind, find, unique
from services.ingest.history.importer import Progress
from services.ingest.history.play import DAY, QUARTER
from services.partitioning import partition_of

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

FEW_BYTES: Final = 200_000
"""Files so small are played sooner by this process than others are started."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What a backtest needs from outside.

    Args:
        now: The wall clock, aware UTC: what lies behind it is refused.
        clock: Seconds, never going back.
        workers: Processes that play, >= 1; the outcome is the same for any number.
        tell: Takes a line for the user.
        show: Is shown the progress now and then.
        stopped: Tells whether to end now; what was played by then is kept.
        keep: Takes every alert record whole, as it would stand in the alert log; None to do
            without the evidence.
        pasts: Metrics of which the outcome is to say when each account was active.
    """

    now: datetime
    clock: Callable[[], float]
    workers: int
    tell: Callable[[str], None]
    show: Callable[[Progress], None]
    stopped: Callable[[], bool]
    keep: Callable[[Alert], None] | None = None
    pasts: tuple[str, ...] = ()


def look_at(given: dict[Kind, Sequence[Path]]) -> list[HistoryFile]:
    """Return the files of a backtest, checked.

    Args:
        given: Paths by what they hold.

    Raises:
        HistoryError: One of them cannot be read or misses a column, two have the same name, or
            none of them has events.
    """
    files = unique([file for kind, paths in given.items() for file in find(paths, kind)])
    if all(file.kind == "accounts" for file in files):
        raise HistoryError("accounts alone say nothing: name usage, tickets or events too")
    return files


def backtest(
    files: Sequence[HistoryFile], contents: Sequence[RuleSetContent], outside: Outside
) -> list[Outcome]:
    """Play files by each of some rule sets.

    Args:
        files: What `look_at` returned.
        contents: Rule sets that compile, at least one.
        outside: The rest of the world.

    Returns:
        An outcome for each rule set in their order; after an interruption the later ones are
        missing, and those before tell no more than what was played of the interrupted one.

    Raises:
        HistoryError: The files are refused as a whole.
        WorkerFailed: A worker process has ended.
    """
    now = (outside.now - _EPOCH) // timedelta(microseconds=1)
    begun = outside.clock()
    with _crew(files, outside.workers) as (crew, workers), Staged(files) as staged:
        outside.tell(f"reading {', '.join(file.path.name for file in files)}")
        span = staged.load(now)
        stage = _Stage(files, staged, staged.prepare(now, workers), workers, now, span.rows)
        played: list[_Played] = []
        for content in contents:
            played.append(_play(stage, crew, content, outside, begun))
            begun = outside.clock()
            if played[-1].outcome.interrupted:
                break
    return [_as_far(one, played[-1]) for one in played]


@dataclass(frozen=True, slots=True)
class _Stage:
    """Files, staged once for all rule sets."""

    files: Sequence[HistoryFile]
    staged: Staged
    prepared: Prepared
    workers: int
    now: int
    rows: int

    def begins(
        self, content: RuleSetContent, first: int, ends: Spans, outside: Outside
    ) -> list[Begin]:
        """Return what each worker is told once."""
        mine: list[dict[str, int]] = [{} for _ in range(self.workers)]
        for account, day in ends.items():
            mine[partition_of(account, self.workers)][account] = day
        told = msgspec.json.encode(content).decode()
        stems, sources = ([getattr(f, name) for f in self.files] for name in ("stem", "source"))
        return [
            Begin(
                *(number, self.workers, self.now, first - first % QUARTER, told),
                *(self.prepared.folder, stems, sources, mine[number]),
                *(outside.keep is not None, outside.pasts),
            )
            for number in range(self.workers)
        ]


class _Played(NamedTuple):
    """What a rule set found, the lives behind it, and the instant up to which was played."""

    outcome: Outcome
    lives: Lives
    reached: datetime


def _as_far(one: _Played, last: _Played) -> Outcome:
    """Return an outcome as it was when the last one ended: days are the same for all rules."""
    if one is last or not last.outcome.interrupted:
        return one.outcome
    until = last.outcome
    return one.outcome._replace(
        rows=one.lives.rows(last.reached),
        accounts=until.accounts,
        account_days=until.account_days,
        last=until.last,
        known=until.known,
    )


def _play(
    stage: _Stage, crew: Crew, content: RuleSetContent, outside: Outside, begun: float
) -> _Played:
    ends = Spans().read(stage.files)
    beside = Beside(stage.files, stage.staged, ends, stage.now, stage.workers)
    player = Player(stage.prepared, beside, stage.workers, stage.now)
    crew.tell(stage.begins(content, player.first, ends, outside))
    lives, progress = Lives(), Progress(total=stage.rows)

    def take(told: list[Sent]) -> None:
        lives.take(told)
        if outside.keep is not None:
            for one in told:
                outside.keep(one.alert)

    def show(rows: int, at: int) -> None:
        progress.rows = progress.events = rows
        progress.at = _EPOCH + timedelta(microseconds=at)
        outside.show(progress)

    interrupted = player.play(crew, take, show, outside.stopped)
    totals = crew.totals()
    outcome = Outcome(
        rows=lives.rows(),
        accounts=sum(len(one.accounts) for one in totals),
        account_days=sum(one.account_days for one in totals),
        first=to_date(player.first // DAY),
        last=to_date(max((one.last for one in totals if one.last is not None), default=0)),
        rules=_rules(content),
        refused=sum((one.refused for one in totals), beside.refused + _wrong(ends)),
        examples=_examples(beside, ends, totals),
        seconds=outside.clock() - begun,
        interrupted=interrupted,
        known=frozenset().union(*(one.accounts for one in totals)),
        pasts=[past for one in totals for past in one.pasts],
    )
    return _Played(outcome, lives, _EPOCH + timedelta(microseconds=player.reached))


def _wrong(ends: Spans) -> Counter[str]:
    return Counter({"no_span": len(ends.wrong)} if ends.wrong else {})


def _examples(beside: Beside, ends: Spans, totals: Sequence[Total]) -> list[str]:
    found = [*beside.examples, *ends.wrong, *(text for one in totals for text in one.examples)]
    return found[:EXAMPLES]


def _rules(content: RuleSetContent) -> dict[str, RuleNow]:
    rules = compile_rules(1, content)
    found = {
        rule.id: RuleNow(
            rule.model.title, rule.kind(rule.default), rule.primitive.name, rule.default.shadow
        )
        for rule in rules.rules
        if not rule.default.off or any(not one.off for one in rule.segments.values())
    }
    if not rules.common_fall.off:
        shadow = rules.common_fall.shadow
        found[fleet.RULE] = RuleNow(fleet.TITLE, fleet.KIND, "built in", shadow)
    return found


@contextmanager
def _crew(files: Sequence[HistoryFile], workers: int) -> Iterator[tuple[Crew, int]]:
    """Start the workers before the files are read: their modules are loaded meanwhile."""
    if workers == 1 or sum(file.path.stat().st_size for file in files) < FEW_BYTES:
        yield Alone(), 1
        return
    with Processes(workers) as crew:
        yield crew, workers
