"""Field types that the events share: bounded text, fixed-point quantities, money, aware times."""

from datetime import date, datetime
from typing import Annotated

import msgspec
from msgspec import Meta, UnsetType

Id = Annotated[
    str, Meta(min_length=1, max_length=200, description="An opaque id of the company's.")
]
Text = Annotated[str, Meta(max_length=500, description="Short text for a person to read.")]
# In Python `$` also matches before a last line break; with the lookahead it means the end, as it
# does in JSON Schema.
Metric = Annotated[
    str,
    Meta(
        min_length=1,
        max_length=100,
        pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.:/ -]*$(?!\n)",
        description="A metric's or feature's name.",
    ),
]
MINOR_LIMIT = 1_000_000_000_000_000
"""Ten trillion in cents: sums of thousands of them stay within int64."""

Minor = Annotated[
    int,
    Meta(
        ge=-MINOR_LIMIT,
        le=MINOR_LIMIT,
        description="Money in minor units (cents) of the currency beside it.",
    ),
]
Currency = Annotated[str, Meta(pattern=r"^[A-Z]{3}$(?!\n)", description="ISO 4217 code.")]
Country = Annotated[
    str,
    Meta(
        pattern=r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$(?!\n)",
        description="ISO 3166-1, or 3166-2 code.",
    ),
]
Zone = Annotated[str, Meta(min_length=1, max_length=60, description="IANA time zone.")]
Share = Annotated[float, Meta(ge=0, le=1, description="A ratio in 0..1.")]
Count = Annotated[int, Meta(ge=0, le=1_000_000_000)]
Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with an offset.")]

QUANTITY_LIMIT = 1_000_000_000_000
Quantity = (
    Annotated[int, Meta(ge=0, le=QUANTITY_LIMIT, description="Units of the metric.")]
    | Annotated[
        float,
        Meta(
            ge=0,
            le=QUANTITY_LIMIT,
            description="Units of the metric, at most three decimals.",
            extra_json_schema={"multipleOf": 0.001},
        ),
    ]
)
"""Units of a metric; summed as int64 thousandths."""

# A field that may be absent (unchanged) or null (cleared), beside its type.
OptionalText = Text | UnsetType | None
OptionalId = Id | UnsetType | None
OptionalDate = date | UnsetType | None
OptionalCount = Count | UnsetType | None


# A producer's own `type` inside `data` is an unknown field like any other; hence the tilde.
class Fields(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="~type"):
    """The data of one event; absent fields are unchanged, null ones cleared."""


class FieldError(ValueError):
    """A field's value is at fault in a way that its type cannot say.

    Args:
        field: The field's name on the wire.
        detail: What is wrong, and its bound.
    """

    def __init__(self, field: str, detail: str) -> None:
        super().__init__(detail)
        self.field = field


def thousandths(quantity: int | float) -> int:
    """Return a quantity in whole thousandths, exactly.

    Args:
        quantity: Units, 0..10^12, with at most three decimals.

    Returns:
        The same amount as an integer number of thousandths.

    Raises:
        ValueError: If it has more than three decimals.

    >>> thousandths(3), thousandths(0.125)
    (3000, 125)
    """
    if type(quantity) is int:
        return quantity * 1000
    whole = round(quantity * 1000)
    # Division is correctly rounded, so it gives back exactly the double that was written with
    # three decimals or fewer, and no other.
    if whole / 1000 != quantity:
        raise ValueError(f"quantity {quantity!r} has more than three decimals")
    return whole


def refuse_finer(field: str, quantity: object) -> None:
    """Refuse a quantity that fixed-point thousandths cannot hold.

    Args:
        field: The field's name on the wire.
        quantity: Its value; only a float can have too many decimals.

    Raises:
        FieldError: If it has more than three decimals.
    """
    if type(quantity) is float:
        try:
            thousandths(quantity)
        except ValueError as error:
            raise FieldError(field, str(error)) from None
