"""The line that detection must reach, and the one it aims at."""

import math
from collections.abc import Mapping
from typing import Final, Literal, NamedTuple

Bench = Literal["drop", "silence", "histories", "tickets", "seats"]


class Line(NamedTuple):
    """One figure that must be reached.

    Attributes:
        bench: Where it is measured.
        figure: Its name there.
        text: What it is, for a person.
        best: `low` or `high`.
        required: The bound under which `make quality` fails; None where there is only a goal.
        goal: The bound aimed at.
    """

    bench: Bench
    figure: str
    text: str
    best: Literal["low", "high"]
    required: float | None
    goal: float

    def reached(self, value: float, bound: float | None) -> bool:
        """Tell whether a measured value keeps to a bound; nothing measured does not."""
        if bound is None:
            return True
        if math.isnan(value):
            return False
        return value <= bound if self.best == "low" else value >= bound


LINES: Final = (
    Line("drop", "false_alarms", "usage_drop: false alarms", "low", 0.55, 0.30),
    Line("drop", "recall_detectable", "recall of detectable drops", "high", 0.92, 0.96),
    Line("drop", "delay_detectable", "median delay, days", "low", 28, 28),
    Line("drop", "delay.step50", "… step of 50 %", "low", None, 14),
    Line("drop", "delay.step30", "… step of 30 %", "low", None, 18),
    Line("drop", "delay.ramp50_4w", "… 50 % over four weeks", "low", None, 28),
    Line("drop", "delay.silence", "… silence", "low", None, 10),
    Line("drop", "nuisance.own_dip14", "fires on a fortnight dip", "low", 0.06, 0.02),
    Line("drop", "nuisance.xmas_deep", "fires on a deep Christmas", "low", 0.02, 0.0),
    Line("drop", "nuisance.spike14", "fires on the end of a spike", "low", 0.02, 0.0),
    Line("drop", "raw_alarms", "alarms on untouched series", "low", 1.0, 0.6),
    Line("drop", "raw_lasting", "… of these lasting", "high", 0.60, 0.80),
    Line("silence", "recall.silence", "silence: injected silence found", "high", 0.80, 0.90),
    Line("silence", "false_alarms", "silence: false alarms", "low", 1.2, 1.0),
    Line("histories", "precision", "silence on untouched histories: precision", "high", 0.38, 0.45),
    Line("histories", "recall", "… at recall", "high", 1.0, 1.0),
    Line("tickets", "false_alarms", "ticket spikes: false alarms", "low", 4, 2),
    Line("tickets", "recall_x5", "ticket spikes: five times the usual found", "high", 0.60, 0.65),
    Line("seats", "left_again", "seat utilisation: entries left within 14 days", "low", 0.05, 0.0),
    # Ours: a rule that clears after a fortnight at the earliest can hardly miss the line above.
    Line("seats", "left_in_28", "… within 28 days", "low", 0.10, 0.05),
)
"""Issue 6, "the line to reach", but for what is marked as ours. Rates are per 100 account-months,
shares in 0..1."""

Figures = Mapping[Bench, Mapping[str, float]]


def missed(figures: Figures) -> list[Line]:
    """Return the required lines that are not reached.

    Args:
        figures: By bench and name; a bench that was not run is not looked at.
    """
    return [
        line
        for line in LINES
        if line.bench in figures
        and not line.reached(figures[line.bench].get(line.figure, math.nan), line.required)
    ]
