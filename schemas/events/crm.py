"""What the CRM knows: the account itself, opportunities, deals, campaigns."""

from datetime import date
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from .fields import (
    Count,
    Country,
    Currency,
    Fields,
    Id,
    Minor,
    OptionalCount,
    OptionalDate,
    OptionalId,
    OptionalText,
    Share,
    Text,
    Zone,
)

Sections = Literal["filled", "none", "missing"]
FieldName = Annotated[
    str, Meta(min_length=1, max_length=200, description="A field's name in the CRM.")
]


class AccountUpdated(Fields, frozen=True, tag="account.updated"):
    """Attributes of an account; each resolves by (event time, id) on its own."""

    name: OptionalText = UNSET
    owner: OptionalId = UNSET
    segment: OptionalText = UNSET
    country: Country | UnsetType | None = UNSET
    timezone: Zone | UnsetType | None = UNSET
    arr: Minor | UnsetType | None = UNSET
    currency: Currency | UnsetType | None = UNSET
    renewal_on: OptionalDate = UNSET
    parent: OptionalId = UNSET
    started_on: OptionalDate = UNSET
    icp_fit: Share | UnsetType | None = UNSET
    seats: OptionalCount = UNSET


class AccountMerged(Fields, frozen=True, tag="account.merged"):
    """The account lives on under another id."""

    into: Id


class OpportunityUpdated(Fields, frozen=True, tag="opportunity.updated"):
    """An opportunity was opened or moved."""

    opportunity: Id
    kind: Literal["new", "renewal", "expansion"]
    stage: Text
    amount: Minor | UnsetType | None = UNSET
    close_on: OptionalDate = UNSET
    fields: Annotated[dict[FieldName, Text | None], Meta(max_length=100)] | UnsetType = UNSET


class DealClosed(Fields, frozen=True, tag="deal.closed"):
    """A deal was won: list and net price, its cost, the discount and who approved it."""

    list: Minor
    net: Minor
    cost: Minor | None = None
    currency: Currency | None = None
    discount_share: Share = 0.0
    approval: Id | None = None


class HandoffSubmitted(Fields, frozen=True, tag="handoff.submitted"):
    """Sales hands a won deal over: each section filled, explicitly none, or missing."""

    pricing_concessions: Sections = "missing"
    technical_commitments: Sections = "missing"
    risk_flags: Sections = "missing"
    champions: Sections = "missing"


class TermMentioned(Fields, frozen=True, tag="term.mentioned"):
    """A commercial term was mentioned in a mail, a call or a contract."""

    term: Text
    where: Literal["email", "call", "contract", "other"] = "other"
    discount_share: Share | None = None


class IntentObserved(Fields, frozen=True, tag="intent.observed"):
    """The account showed interest in a topic."""

    topic: Text
    where: Text | None = None


class CompetitorMentioned(Fields, frozen=True, tag="competitor.mentioned"):
    """A competitor came up."""

    competitor: Text
    where: Literal["call", "ticket", "crm", "email", "other"] = "other"


class CampaignTouched(Fields, frozen=True, tag="campaign.touched"):
    """Marketing reached the account."""

    campaign: Id
    cost: Minor = 0
    currency: Currency | None = None


class MilestoneReached(Fields, frozen=True, tag="milestone.reached"):
    """An onboarding milestone was reached."""

    milestone: Text
    reached_on: date | None = None


class DowngradeRequested(Fields, frozen=True, tag="downgrade.requested"):
    """The customer asked for less."""

    seats: Count | None = None
    reason: Text | None = None
