"""Conditions that rules are made of: one file each, stateless, knowing nothing of each other."""

from services.detector.primitives.abandonment import Abandonment
from services.detector.primitives.breadth import Breadth
from services.detector.primitives.change import Change
from services.detector.primitives.day import DayPrimitive
from services.detector.primitives.deadline import Deadline
from services.detector.primitives.drop import Drop
from services.detector.primitives.expansion import Expansion
from services.detector.primitives.fastdrop import FastDrop
from services.detector.primitives.finding import DatePrimitive, EventPrimitive
from services.detector.primitives.ratio import Ratio
from services.detector.primitives.silence import Silence
from services.detector.primitives.slowdrift import SlowDrift
from services.detector.primitives.spike import Spike
from services.detector.primitives.stop import Stop

Primitive = type[DayPrimitive] | type[DatePrimitive] | type[EventPrimitive]

DAY: tuple[type[DayPrimitive], ...] = (
    Drop,
    Stop,
    Silence,
    Spike,
    Ratio,
    Expansion,
    FastDrop,
    SlowDrift,
    Abandonment,
    Breadth,
)
"""Judged over arrays when a day has ended."""

DATE: tuple[type[DatePrimitive], ...] = (Deadline,)
"""Judged account by account when a day has ended."""

EVENT: tuple[type[EventPrimitive], ...] = (Change,)
"""Judged when an event has been folded."""

PRIMITIVES: dict[str, Primitive] = {
    **{one.name: one for one in DAY},
    **{one.name: one for one in DATE},
    **{one.name: one for one in EVENT},
}

__all__ = ["DATE", "DAY", "EVENT", "PRIMITIVES", "Primitive"]
