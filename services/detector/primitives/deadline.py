"""`deadline`: a date comes near while something that must be true before it is not."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, ClassVar, Literal

from pydantic import Field, field_validator

from schemas.alerts import Severity
from services.detector.calendars import to_date, to_day
from services.detector.facts import Facts
from services.detector.primitives.baseline import HISTORY_DAYS
from services.detector.primitives.day import Params
from services.detector.primitives.finding import Finding

What = Literal["renewal_checklist", "payment_method"]
CONFIRMED_DAYS = 60
"""A stakeholder is confirmed by a two-way touch in this many days (signals.md A18)."""


class DeadlineParams(Params):
    """Parameters of `deadline`.

    Attributes:
        what: Which date and precondition.
        days: Days before the date from which it is judged; 1..365.
        escalate: Days before the date at which the severity rises, falling order; each 0..365.
    """

    what: What
    days: int = Field(90, ge=1, le=365)
    escalate: tuple[int, int] = (60, 30)

    @field_validator("escalate")
    @classmethod
    def _falls(cls, value: tuple[int, int]) -> tuple[int, int]:
        """Refuse days that do not fall, or are out of bounds."""
        if not 365 >= value[0] >= value[1] >= 0:
            raise ValueError("two numbers of days in falling order, each 0..365")
        return value


class Deadline:
    """Fires from N days before a date on, as long as its precondition is false.

    It is a policy: it is as right as the date and the facts behind the precondition. It says
    nothing of how likely the renewal is. An account without the date is never judged.

    Source: signals.md A23 (renewal at T-90, three items, escalating at T-60 and T-30), C09 (30, 14
    and 3 days before a payment method expires).
    """

    name: ClassVar[str] = "deadline"
    Params: ClassVar[type[Params]] = DeadlineParams

    @staticmethod
    def kind(params: DeadlineParams) -> str:  # noqa: ARG004
        """Return the alert kind."""
        return Deadline.name

    @staticmethod
    def history_days(params: DeadlineParams) -> int:
        """Return what a data state of `ok` needs, where the checklist asks for one."""
        return HISTORY_DAYS if params.what == "renewal_checklist" else 1

    @staticmethod
    def is_idle(facts: Facts) -> bool:
        """Tell whether there is neither a renewal nor a payment method."""
        return facts.profile.renewal_on is None and not facts.payments.methods

    @staticmethod
    def judge(
        facts: Facts, day: int, states: Mapping[str, str], params: DeadlineParams
    ) -> Sequence[Finding]:
        """Judge every date that is near; a date that has passed is not among the findings."""
        if params.what == "payment_method":
            return _payment_methods(facts, day, params)
        return _renewal(facts, day, states, params)


def _renewal(
    facts: Facts, day: int, states: Mapping[str, str], params: DeadlineParams
) -> Sequence[Finding]:
    renewal = facts.profile.renewal_on
    if renewal is None or not 0 <= to_day(renewal) - day <= params.days:
        return ()
    left = to_day(renewal) - day
    items = {
        "health": "not measured",
        "usage": _usage_item(states),
        "stakeholder": _stakeholder_item(facts, day),
    }
    # What is not measured is said, and neither fires nor holds back.
    missing = [name for name, state in items.items() if state not in ("done", "not measured")]
    because: dict[str, Any] = {
        "renewal_on": renewal.isoformat(),
        "days_left": left,
        "checklist": items,
        "missing": missing,
        "last_two_way_touch": _last_touch(facts),
        "thresholds_in_force": {"days": params.days, "escalate": list(params.escalate)},
    }
    severity = _severity(left, params)
    return (Finding(renewal.isoformat(), bool(missing), not missing, severity, because),)


def _usage_item(states: Mapping[str, str]) -> str:
    """Usage can be judged: at least one metric has enough data; tickets are no usage."""
    usage = [state for name, state in states.items() if not name.startswith("@tickets")]
    if "ok" in usage:
        return "done"
    return "no usage data" if not usage else "too little usage data"


def _stakeholder_item(facts: Facts, day: int) -> str:
    touch = facts.contacts.last_two_way
    confirmed = touch is not None and 0 <= day - touch.day <= CONFIRMED_DAYS
    return "done" if confirmed else "not confirmed"


def _last_touch(facts: Facts) -> str | None:
    touch = facts.contacts.last_two_way
    return to_date(touch.day).isoformat() if touch is not None else None


def _payment_methods(facts: Facts, day: int, params: DeadlineParams) -> Sequence[Finding]:
    methods = facts.payments.methods
    latest = max((m.expires_on for m in methods.values() if m.expires_on), default=None)
    return [
        _expiry(name, method.expires_on, latest, day, params)
        for name, method in sorted(methods.items())
        if method.expires_on is not None and 0 <= to_day(method.expires_on) - day <= params.days
    ]


def _expiry(
    name: str, expires_on: date, latest: date | None, day: int, params: DeadlineParams
) -> Finding:
    left = to_day(expires_on) - day
    replaced = latest is not None and latest > expires_on
    because = {
        "method": name,
        "expires_on": expires_on.isoformat(),
        "days_left": left,
        "replaced": replaced,
        "thresholds_in_force": {"days": params.days, "escalate": list(params.escalate)},
    }
    return Finding(name, not replaced, replaced, _severity(left, params), because)


def _severity(left: int, params: DeadlineParams) -> Severity:
    first, second = params.escalate
    if left <= second:
        return "critical"
    return "high" if left <= first else "medium"
