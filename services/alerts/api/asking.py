"""What may be asked of the JSON API in a query: filters, order, pages."""

from datetime import date
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.alerts import Category, Severity
from services.alerts.listing import CURSOR_LIMIT, Filter, Sort
from services.alerts.shown import CaseState

PAGE: Final = 50
PAGE_LIMIT: Final = 200
TEXT_LIMIT: Final = 200
CHOICES_LIMIT: Final = 100
MONEY_LIMIT: Final = 10**15
"""Minor units; as `schemas.events.fields.MINOR_LIMIT`."""

_Limit = Field(PAGE, ge=1, le=PAGE_LIMIT, description="Entries of a page.")
_Cursor = Field(
    None, min_length=1, max_length=CURSOR_LIMIT, description="`next` of the page before."
)


def _several(text: str) -> Any:
    return Field(default_factory=list, max_length=CHOICES_LIMIT, description=text)


class _Asked(BaseModel):
    # A misspelt filter that was passed over would show a list that looks filtered.
    model_config = ConfigDict(extra="forbid", frozen=True)


class CasesQuery(_Asked):
    """Which cases, in which order; a filter given several times takes any of its values."""

    state: list[CaseState] = _several("States; none: all but resolved.")
    owner: list[str] = _several("Ids of owners or assignees; empty text: nobody's.")
    severity: list[Severity] = _several("Severities.")
    segment: list[str] = _several("Segments; empty text: those without.")
    category: list[Category] = _several("Risk categories of any open alert.")
    rule: list[str] = _several("Ids of rules of any open alert.")
    min_arr: int | None = Field(
        None, ge=0, le=MONEY_LIMIT, description="At least so much ARR, minor units."
    )
    max_arr: int | None = Field(
        None, ge=0, le=MONEY_LIMIT, description="At most so much ARR, minor units."
    )
    renewal_before: date | None = Field(
        None, description="Renews before that day, not in the past."
    )
    q: str = Field("", max_length=TEXT_LIMIT, description="Part of the account's id or name.")
    sort: Sort = Field("rank", description="Order; `rank` is the most urgent first.")
    limit: int = _Limit
    cursor: str | None = _Cursor

    def wanted(self) -> Filter:
        """Return the filter that it asks for."""
        return Filter(
            state=frozenset(self.state),
            owner=frozenset(self.owner),
            severity=frozenset(self.severity),
            segment=frozenset(self.segment),
            category=frozenset(self.category),
            rule=frozenset(self.rule),
            min_arr=self.min_arr,
            max_arr=self.max_arr,
            renewal_before=self.renewal_before,
            q=self.q,
        )


class AlertsQuery(_Asked):
    """Which alerts."""

    state: Literal["open", "all"] = Field(
        "open", description="Only those that still stand, or all."
    )
    limit: int = _Limit
    cursor: str | None = _Cursor


class AccountsQuery(_Asked):
    """Which accounts."""

    q: str = Field(
        "", max_length=TEXT_LIMIT, description="Beginning of the id, or of any word of the name."
    )
    limit: int = _Limit
    cursor: str | None = _Cursor
