"""One module per intake format: bytes in, events or refusals out.

A new format is one module with `NAME` and `read`, and its line in `FORMATS`.
"""

from services.ingest.formats import cloudevents
from services.ingest.formats.batch import WHOLE_BODY, Batch, Format, by_name, failed, read

FORMATS: tuple[Format, ...] = (cloudevents,)

__all__ = ["FORMATS", "WHOLE_BODY", "Batch", "Format", "by_name", "failed", "find", "read"]


def find(name: str) -> Format | None:
    """Return the format of a name, as in `inputs.toml`; None if there is none.

    >>> find("cloudevents").NAME
    'cloudevents'
    """
    return next((each for each in FORMATS if name == each.NAME), None)
