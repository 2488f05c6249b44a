"""Every event type as one Struct, and the tagged union of them all (design.md §3)."""

from typing import Any, Literal, NamedTuple

import msgspec

from . import billing, company, contact, contract, crm, people, support, system, usage
from .billing import (
    DisputeClosed,
    DisputeOpened,
    InvoiceIssued,
    InvoicePaid,
    PaymentFailed,
    PaymentMethodUpdated,
    PaymentSucceeded,
    ProcurementMoved,
)
from .company import (
    ArrMoved,
    ClosureDeclared,
    EmployeeLeft,
    FxSet,
    ProductChanged,
    SpendRecorded,
    TargetSet,
)
from .contact import (
    AdminGranted,
    AdminRevoked,
    ContactUpdated,
    ReviewHeld,
    SentimentSet,
    TouchRecorded,
)
from .contract import ContractEnded, ContractSigned
from .crm import (
    AccountMerged,
    AccountUpdated,
    CampaignTouched,
    CompetitorMentioned,
    DealClosed,
    DowngradeRequested,
    HandoffSubmitted,
    IntentObserved,
    MilestoneReached,
    OpportunityUpdated,
    TermMentioned,
)
from .fields import FieldError, Fields, thousandths
from .people import PersonJoined
from .support import TicketClosed, TicketOpened
from .system import (
    AccountErased,
    ClockTicked,
    FeedbackGiven,
    IncidentJudged,
    LevelAccepted,
    PartClosed,
    PersonErased,
    RulesApplied,
    SubjectRepaired,
)
from .usage import FeatureFailed, UsageRecorded

External = (
    UsageRecorded
    | FeatureFailed
    | PersonJoined
    | TicketOpened
    | TicketClosed
    | ContactUpdated
    | TouchRecorded
    | SentimentSet
    | AdminGranted
    | AdminRevoked
    | ReviewHeld
    | AccountUpdated
    | AccountMerged
    | OpportunityUpdated
    | DealClosed
    | HandoffSubmitted
    | TermMentioned
    | IntentObserved
    | CompetitorMentioned
    | CampaignTouched
    | MilestoneReached
    | DowngradeRequested
    | ContractSigned
    | ContractEnded
    | InvoiceIssued
    | InvoicePaid
    | PaymentFailed
    | PaymentSucceeded
    | PaymentMethodUpdated
    | DisputeOpened
    | DisputeClosed
    | ProcurementMoved
    | ArrMoved
    | SpendRecorded
    | TargetSet
    | FxSet
    | EmployeeLeft
    | ProductChanged
    | ClosureDeclared
)
"""What producers may send."""

System = (
    ClockTicked
    | RulesApplied
    | FeedbackGiven
    | LevelAccepted
    | SubjectRepaired
    | AccountErased
    | PersonErased
    | PartClosed
    | IncidentJudged
)
"""What only the services write."""

Event = External | System

EVERYBODY = (ClosureDeclared, ProductChanged, FxSet)
"""Without a subject these concern every account, and go into every partition."""

COMPANY = (ArrMoved, SpendRecorded, TargetSet, EmployeeLeft)
"""Without a subject these concern the company as a whole."""

PERSONAL = (
    UsageRecorded,
    FeatureFailed,
    ContactUpdated,
    TouchRecorded,
    AdminGranted,
    AdminRevoked,
)
"""Without a subject these are attributed through `data.person`, where they name one."""

OF_COMPANY = frozenset({*COMPANY, OpportunityUpdated, DealClosed})
"""Whatever their subject, these are folded into the facts of the company too."""


class Named(NamedTuple):
    """Whom an event names in its data, and is folded into beside its own subject.

    Attributes:
        kind: What they are, and the prefix of their subject.
        field: The field that names them.
    """

    kind: Literal["person", "colleague"]
    field: str


NAMED: dict[type, Named] = {
    PersonJoined: Named("person", "person"),
    TouchRecorded: Named("colleague", "colleague"),
    SentimentSet: Named("colleague", "author"),
    EmployeeLeft: Named("colleague", "colleague"),
}
"""By type of the event."""


def type_name(event_type: type[Fields]) -> str:
    """Return the wire type of an event's Struct, such as `usage.recorded`."""
    tag: Any = event_type.__struct_config__.tag
    return str(tag)


EXTERNAL: dict[str, type[Fields]] = {type_name(t): t for t in External.__args__}
SYSTEM: dict[str, type[Fields]] = {type_name(t): t for t in System.__args__}
EVENT_TYPES: dict[str, type[Fields]] = EXTERNAL | SYSTEM

DECODERS: dict[str, msgspec.json.Decoder[Any]] = {
    name: msgspec.json.Decoder(struct) for name, struct in EXTERNAL.items()
}
"""Per wire type of an external event, the strict decoder of its `data`."""

FAMILIES = {
    "usage": usage,
    "people": people,
    "support": support,
    "contact": contact,
    "crm": crm,
    "contract": contract,
    "billing": billing,
    "company": company,
    "system": system,
}
"""The module of each family, for the generated documentation."""

__all__ = [
    "COMPANY",
    "DECODERS",
    "EVENT_TYPES",
    "EVERYBODY",
    "EXTERNAL",
    "FAMILIES",
    "NAMED",
    "OF_COMPANY",
    "PERSONAL",
    "SYSTEM",
    "AccountErased",
    "AccountMerged",
    "AccountUpdated",
    "AdminGranted",
    "AdminRevoked",
    "ArrMoved",
    "CampaignTouched",
    "ClockTicked",
    "ClosureDeclared",
    "CompetitorMentioned",
    "ContactUpdated",
    "ContractEnded",
    "ContractSigned",
    "DealClosed",
    "DisputeClosed",
    "DisputeOpened",
    "DowngradeRequested",
    "EmployeeLeft",
    "Event",
    "External",
    "FeatureFailed",
    "FeedbackGiven",
    "FieldError",
    "Fields",
    "FxSet",
    "HandoffSubmitted",
    "IncidentJudged",
    "IntentObserved",
    "InvoiceIssued",
    "InvoicePaid",
    "LevelAccepted",
    "MilestoneReached",
    "Named",
    "OpportunityUpdated",
    "PartClosed",
    "PaymentFailed",
    "PaymentMethodUpdated",
    "PaymentSucceeded",
    "PersonErased",
    "PersonJoined",
    "ProcurementMoved",
    "ProductChanged",
    "ReviewHeld",
    "RulesApplied",
    "SentimentSet",
    "SpendRecorded",
    "SubjectRepaired",
    "System",
    "TargetSet",
    "TermMentioned",
    "TicketClosed",
    "TicketOpened",
    "TouchRecorded",
    "UsageRecorded",
    "thousandths",
    "type_name",
]
