"""An alert's headline and paragraph, put into words once more from its stored evidence. Pure."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple

from schemas.alerts import Alert, AlertCleared
from services.detector import explanation
from services.detector.compared import Line

WORDS: Final[Mapping[str, Callable[[str, str, Mapping[str, Any], str | None], str]]] = {
    "headline": explanation.headline,
    "text": explanation.explain,
}
"""What of a record is words about its numbers, and who makes them."""
BESIDE: Final = frozenset({*WORDS, "title", "play"})
"""What stands in a record beside its evidence: words, and what the rule says of itself."""

_UNTOLD: Final = (LookupError, TypeError, ValueError, AttributeError)
"""What evidence that is not whole raises where it is put into words."""
_FIGURES: Final = re.compile(r"\d[\d,.]*")


class Retold(NamedTuple):
    """What became of a record's words.

    Attributes:
        lines: The words as the record has them, and as they come out now.
        notes: What cannot be told, and why.
    """

    lines: list[Line]
    notes: list[str]


def retold(record: Alert) -> Retold:
    """Put the evidence of a record into words once more.

    Words that differ while their numbers are the same are another version's: versions may say the
    same otherwise, and a record does not keep which one wrote it.

    Args:
        record: Any record with evidence.
    """
    evidence = {key: value for key, value in record.because.items() if key not in BESIDE}
    ended = record.reason if isinstance(record, AlertCleared) else ""
    found = Retold([], [])
    for name, teller in WORDS.items():
        if name not in record.because:
            continue
        stored = str(record.because[name])
        try:
            told = [teller(record.kind, record.object, evidence, one) for one in (ended, None)]
        except _UNTOLD as error:
            why = f"{type(error).__name__}: {error}"
            found.notes.append(f"{name}: the evidence cannot be put into words: {why}")
            continue
        # Earlier versions put the end of an alert into words by its numbers alone.
        computed = stored if stored in told else told[0]
        if stored != computed and _figures(stored) == _figures(computed):
            found.notes.append(f"{name}: this version says the same numbers in other words")
        else:
            found.lines.append(Line(name, stored, computed))
    return found


def _figures(text: str) -> list[str]:
    return [one.rstrip(",.") for one in _FIGURES.findall(text)]
