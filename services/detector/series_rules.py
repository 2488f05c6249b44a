"""Rules over series: judged when a day has ended, over the arrays of a batch of accounts. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from typing import Any

import numpy as np

from schemas.alerts import SEVERITIES
from services.detector import episode as episodes
from services.detector import evidence, featured, joining
from services.detector.batch import Batch
from services.detector.calendars import to_day
from services.detector.episode import Episode
from services.detector.facts.buckets import CORRECTION_DAYS
from services.detector.observing import is_frozen
from services.detector.primitives import record
from services.detector.primitives.arrays import pick
from services.detector.primitives.day import Bools, DayPrimitive, Series, Verdicts
from services.detector.primitives.finding import Finding
from services.detector.raising import Applied, Because, Judgement, When
from services.detector.rules import Rule, Variant
from services.detector.subject import Account
from services.detector.window import Row


@dataclass(frozen=True, slots=True)
class SeriesRule:
    """One rule at the end of a day.

    Args:
        batch: The accounts; their episodes change.
        when: The day.
        out: Where alerts and changed accounts are collected.
        rule: The rule.
        primitive: Its condition.
    """

    batch: Batch
    when: When
    out: Judgement
    rule: Rule
    primitive: type[DayPrimitive]

    def judge(self) -> None:
        """Judge by variant: accounts of one segment share their parameters."""
        variants: dict[int, tuple[Variant, list[str | None]]] = {}
        for segment in self.batch.segments:
            variant = self.rule.variant(segment)
            if not variant.off:
                variants.setdefault(id(variant), (variant, []))[1].append(segment)
        some = self.batch.some_off
        off = {one.id for one in some if one.off.get(self.rule.id) == self.when.rule_set}
        for variant, segments in variants.values():
            rows, series = self.batch.take_of(
                segments, off, variant.params.selector, self.primitive.combines
            )
            if rows:
                self._judge(variant, rows, series)

    def _judge(self, variant: Variant, rows: Sequence[Row], series: Series) -> None:
        """Judge some rows; where that raises, row by row, so that only the culprit suffers."""
        try:
            verdicts = self.primitive.judge(series, variant.params)
        except (MemoryError, RecursionError):
            raise
        except Exception as error:
            if len(rows) == 1:
                self._applied(variant, rows[0].account).switch_off(error)
                return
            for i, row in enumerate(rows):
                self._judge(variant, [row], pick(series, np.array([i])))
            return
        self._take(variant, rows, series, verdicts)

    def _take(
        self, variant: Variant, rows: Sequence[Row], series: Series, verdicts: Verdicts
    ) -> None:
        """Take what was said of some rows into their episodes."""
        told, fires = verdicts.told.tolist(), verdicts.fires.tolist()
        masked = series.masked[:, -1].tolist()
        for i in self._places(rows, verdicts.fires):
            row = rows[i]
            known = row.account.episodes.get(episodes.key(self.rule.id, row.object))
            if (known is None and not fires[i]) or is_frozen(row) or _is_stale(row, series, i):
                continue
            applied = self._applied(variant, row.account)
            if told[i]:
                then = known.usual if known is not None and known.open else None
                because = self._because(variant, row, series, verdicts, i, then)
                finding = _finding(row, verdicts, i, then)
                applied.contain(
                    row.object, partial(self._row, applied, row, known, finding, because)
                )
            elif known is not None and not masked[i]:
                applied.contain(row.object, partial(self._untold, applied, known))

    def _places(self, rows: Sequence[Row], fires: Bools) -> Sequence[int]:
        """Return the rows that fire, and those of accounts that have an episode of the rule."""
        with_episode = self.batch.known.get(self.rule.id)
        if with_episode is None:
            places: list[int] = np.flatnonzero(fires).tolist()
            return places
        fired = fires.tolist()
        return [i for i, row in enumerate(rows) if fired[i] or row.account.id in with_episode]

    def _untold(self, applied: Applied, known: Episode) -> None:
        """Let time pass where nothing can be told any more: no day would end it."""
        day, policy = self.when.day, self.rule.policy
        if episodes.expires(known, day, policy):
            applied.close(known, "new_normal")
        elif known.state == "pending" or episodes.outlived(known, day, policy):
            applied.forget(known)

    def _row(
        self,
        applied: Applied,
        row: Row,
        known: Episode | None,
        finding: Finding,
        because: Because,
    ) -> None:
        if known is not None and self._withdrawn(applied.variant, row, known):
            applied.close(known, "withdrawn", because)
            return
        shared = self.batch.window.closing.shared
        joining.take(applied, self.batch.rules, shared, finding, because)

    def _withdrawn(self, variant: Variant, row: Row, known: Episode) -> bool:
        """Tell whether data that came after the raising day was judged take it back."""
        # Of days further back the buckets may be gone.
        if not known.open or not 0 < self.when.day - known.raised_on <= CORRECTION_DAYS:
            return False
        late = any(
            line.revised is not None
            and line.revised <= known.raised_on
            and line.revised_after >= known.raised_on
            for line in row.lines
        )
        if not late:
            return False
        series = self.batch.again(row, variant.params.selector, known.raised_on)
        again = self.primitive.judge(series, variant.params)
        return bool(again.told[0]) and not bool(again.fires[0])

    def _because(
        self,
        variant: Variant,
        row: Row,
        series: Series,
        verdicts: Verdicts,
        i: int,
        then: float | None,
    ) -> Because:
        """Return the evidence of a row: the record, and all that it was computed from."""
        kind, window = self.primitive.kind(variant.params), self.batch.window

        def because() -> dict[str, Any]:
            found = verdicts.because(i)
            masked = [
                {"date": day, "reason": window.reason(row, to_day(date.fromisoformat(day)))}
                for day in found.get("masked_days", ())
            ]
            beside: dict[str, Any] = {
                "metrics": list(row.names),
                "masked_days": masked,
                "computed_from": evidence.computed_from(series, i),
            }
            if then is not None:
                beside["usual_when_raised"] = then
            peers = joining.peers(window.closing, row.account.facts.profile.segment, kind)
            return found | peers | featured.told(row, window, self.batch.rules, kind) | beside

        return because

    def _applied(self, variant: Variant, account: Account) -> Applied:
        return Applied(self.out, account, self.rule, variant, self.when)


def _is_stale(row: Row, series: Series, i: int) -> bool:
    """Tell whether another rule has just accepted a new normal: what was usual is so no longer."""
    fresh = row.lines[0].fresh if len(row.lines) == 1 else 0
    days = series.known if series.fresh is None else series.fresh
    return bool(fresh and days[i] > max(series.day - fresh + 1, 0))


def _finding(row: Row, verdicts: Verdicts, i: int, then: float | None) -> Finding:
    """Return what was said of a row; an open alert is over beside what was usual then."""
    severity = SEVERITIES[int(verdicts.severity[i])]
    fires, clears = bool(verdicts.fires[i]), bool(verdicts.clears[i])
    if then is not None and verdicts.over is not None:
        clears = verdicts.over(i, then) and not fires
    ratio = float("nan") if verdicts.ratio is None else float(verdicts.ratio[i])
    usual = None if verdicts.usual is None else record.plain(verdicts.usual[i])
    return Finding(row.object, fires, clears, severity, {}, ratio, usual)
