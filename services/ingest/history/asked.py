"""What is asked of each column of a table of past events, in words for who wrote the file."""

from types import MappingProxyType
from typing import Final

from schemas.cloudevents import Refused

DATES: Final = "write it as 2026-05-14, or with time and zone as 2026-05-14T09:31:07Z"

ASKED: Final = MappingProxyType(
    {
        "account_id": "write 1 to 200 printable characters, such as acme-42",
        "count": "write a number from 0 to 1000000000000, with a point before at most three "
        "decimals, such as 12 or 2.5",
        "metric": "write 1 to 100 letters, digits, spaces and _ . : / -, beginning with a letter, "
        "digit or _, such as api_calls",
        "feature": "write 1 to 100 letters, digits, spaces and _ . : / -, beginning with a letter, "
        "digit or _, such as export",
        "person": "write 1 to 200 characters, such as user-7",
        "date": DATES,
        "start": DATES,
        "name": "write at most 500 characters",
        "owner": "write 1 to 200 characters, such as ana@example.com",
        "segment": "write at most 500 characters, such as enterprise",
        "country": "write the two letters of ISO 3166-1, such as DE, or these with a subdivision, "
        "such as DE-BY",
        "timezone": "write the name of an IANA time zone, such as Europe/Lisbon",
        "arr": "write cents as a whole number, such as 1200000 for 12,000.00",
        "currency": "write the three letters of ISO 4217, such as EUR",
        "renewal_on": "write a day as 2026-05-14",
        "seats": "write a whole number from 0 to 1000000000, such as 25",
        "ticket": "write 1 to 200 characters, such as INC-7",
        "priority": "write a whole number from 1 (the highest) to 5, such as 3",
    }
)
"""By column. Source: the fields of the events in `schemas.events`."""

_SHOWN: Final = 60


def shown(value: object) -> str:
    """Return a value as a message shows it: quoted, and cut where it is long.

    >>> shown("1,5"), shown("x" * 99)[-6:]
    ("'1,5'", 'xxx...')
    """
    text = repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def refused(column: str, value: object) -> Refused:
    """Return the refusal of a cell: its column, its value, and what is asked of it.

    Args:
        column: One of `ASKED`.
        value: What the cell holds; None for an empty one.

    >>> refused("renewal_on", "soon").detail
    "'soon' is refused: write a day as 2026-05-14"
    """
    said = "it is empty" if value is None else f"{shown(value)} is refused"
    return Refused("invalid", column, f"{said}: {ASKED[column]}")
