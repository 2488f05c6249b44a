"""One line per event, one log for many of them: what the tests of the detector are told in.

Days are numbered from the Monday 2026-01-05, which is day 1; noon is the default hour. An entry
without an id gets one from the log that takes it.
"""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any, Literal, TypedDict, Unpack

import msgspec

from schemas.config import FeatureFlags, MetricFlags, RuleSetContent
from schemas.envelope import COLLEAGUE, COMPANY, PERSON, Entry, Origin
from schemas.envelope import account as subject_of
from schemas.events import (
    AccountErased,
    AccountMerged,
    AccountUpdated,
    AdminGranted,
    AdminRevoked,
    ArrMoved,
    ClockTicked,
    ClosureDeclared,
    ContactUpdated,
    DealClosed,
    EmployeeLeft,
    Event,
    OpportunityUpdated,
    PaymentFailed,
    PaymentMethodUpdated,
    PaymentSucceeded,
    PersonErased,
    PersonJoined,
    ProductChanged,
    RulesApplied,
    SentimentSet,
    SpendRecorded,
    SubjectRepaired,
    TargetSet,
    TouchRecorded,
    UsageRecorded,
)
from services.detector.facts.buckets import Buckets
from services.detector.facts.moment import Moment

MINUTE_US = 60_000_000
HOUR_US = 60 * MINUTE_US
DAY_US = 24 * HOUR_US
MONDAY = date(2026, 1, 5)
START = (MONDAY - date(1970, 1, 1)).days - 1
"""The day before day 1, in days since 1970-01-01."""


class Where(TypedDict, total=False):
    """Whose event it is, when, and where it came from."""

    day: float
    hour: float
    account: str
    id: str
    source: str
    time: int
    origin: Origin | None
    on: int | None


def at(day: float, hour: float = 12) -> int:
    """Return an hour of a day, UTC, in microseconds since 1970-01-01."""
    return round((START + day) * DAY_US + hour * HOUR_US)


def on(day: int) -> date:
    """Return the date of a day."""
    return MONDAY + timedelta(days=day - 1)


def entry(event: Event, **where: Unpack[Where]) -> Entry:
    """An entry of one account, `acme` unless another is named."""
    told = where.get("on")
    return Entry(
        where.get("id", ""),
        where.get("source", "app"),
        where.get("time", at(where.get("day", 1), where.get("hour", 12))),
        (subject_of(where.get("account", "acme")),),
        event,
        where.get("origin"),
        None if told is None else START + told,
    )


def usage(
    quantity: float = 1,
    *,
    metric: str = "usage",
    person: str | None = None,
    feature: str | None = None,
    **where: Unpack[Where],
) -> Entry:
    """Some usage."""
    used = UsageRecorded(metric=metric, quantity=quantity, person=person, feature=feature)
    return entry(used, **where)


def changed(
    feature: str,
    change: Literal["retired", "renamed", "limited", "released"],
    into: str | None = None,
    **where: Unpack[Where],
) -> Entry:
    """A change of a feature, which concerns everybody."""
    return about(entry(ProductChanged(feature=feature, change=change, into=into), **where))


def profile(data: Mapping[str, Any], **where: Unpack[Where]) -> Entry:
    """Attributes of the account."""
    return entry(AccountUpdated(**data), **where)


def zone(name: str | None, **where: Unpack[Where]) -> Entry:
    """The account's time zone."""
    return entry(AccountUpdated(timezone=name), **where)


def payment_failed(payment: str = "p1", amount: int = 9900, **where: Unpack[Where]) -> Entry:
    """A charge that failed."""
    return entry(PaymentFailed(payment=payment, amount=amount, currency="EUR"), **where)


def payment_succeeded(payment: str = "p1", **where: Unpack[Where]) -> Entry:
    """A charge that succeeded."""
    return entry(PaymentSucceeded(payment=payment), **where)


def payment_method(method: str, expires: int | None, **where: Unpack[Where]) -> Entry:
    """A payment method, and the day on which it expires."""
    expires_on = None if expires is None else on(expires)
    return entry(PaymentMethodUpdated(method=method, expires_on=expires_on), **where)


def contact(person: str, data: Mapping[str, Any], **where: Unpack[Where]) -> Entry:
    """A contact's role or status."""
    return entry(ContactUpdated(person=person, **data), **where)


def left(person: str, **where: Unpack[Where]) -> Entry:
    """A contact who left."""
    return entry(ContactUpdated(person=person, status="left"), **where)


def granted(person: str, **where: Unpack[Where]) -> Entry:
    """A new administrator."""
    return entry(AdminGranted(person=person), **where)


def revoked(person: str, **where: Unpack[Where]) -> Entry:
    """An administrator no longer."""
    return entry(AdminRevoked(person=person), **where)


def touch(person: str = "u1", *, two_way: bool = True, **where: Unpack[Where]) -> Entry:
    """A touch of one of ours and one of theirs."""
    event = TouchRecorded(person=person, colleague="ana", channel="call", two_way=two_way)
    return entry(event, **where)


def closure(first: int, last: int, **where: Unpack[Where]) -> Entry:
    """Days that are no ordinary ones for the account."""
    return entry(ClosureDeclared(from_=on(first), to=on(last)), **where)


def closure_for_all(first: int, last: int, **where: Unpack[Where]) -> Entry:
    """Days that are no ordinary ones for anybody."""
    return msgspec.structs.replace(closure(first, last, **where), subjects=())


def about(one: Entry, *subjects: str) -> Entry:
    """An entry of other subjects than it was built with."""
    return msgspec.structs.replace(one, subjects=subjects)


def of_person(one: Entry, person: str = "u1") -> Entry:
    """An entry that names nobody but a person."""
    return about(one, PERSON + person)


def joined(person: str = "u1", **where: Unpack[Where]) -> Entry:
    """A person who belongs to the account from now on."""
    one = entry(PersonJoined(person=person, account=where.get("account", "acme")), **where)
    return about(one, *one.subjects, PERSON + person)


def merged(into: str, **where: Unpack[Where]) -> Entry:
    """An account that lives on under another id."""
    return entry(AccountMerged(into=into), **where)


def erased(**where: Unpack[Where]) -> Entry:
    """An account of which everything before is to be forgotten."""
    return msgspec.structs.replace(entry(AccountErased(), **where), source="ebbwatch")


def person_erased(person: str = "u1", **where: Unpack[Where]) -> Entry:
    """A person of whom everything before is to be forgotten."""
    return msgspec.structs.replace(
        entry(PersonErased(person=person), **where), source="ebbwatch", subjects=()
    )


def moved(
    kind: Literal["new", "expansion", "contraction", "churn"] = "new",
    amount: int = 120_000,
    effective: int = 1,
    currency: str | None = "EUR",
    **where: Unpack[Where],
) -> Entry:
    """Recurring revenue that moved."""
    event = ArrMoved(kind=kind, amount=amount, effective_on=on(effective), currency=currency)
    return about(entry(event, **where), COMPANY)


def spent(amount: int, month: str = "2026-01", **where: Unpack[Where]) -> Entry:
    """Money that the company spent."""
    return about(entry(SpendRecorded(amount=amount, month=month), **where), COMPANY)


def target(amount: int, period: str = "2026-Q1", **where: Unpack[Where]) -> Entry:
    """A sales target."""
    event = TargetSet(period=period, amount=amount, currency="EUR")
    return about(entry(event, **where), COMPANY)


def colleague_left(colleague: str = "ana", **where: Unpack[Where]) -> Entry:
    """One of ours who left."""
    return about(entry(EmployeeLeft(colleague=colleague), **where), COMPANY, COLLEAGUE + colleague)


def sentiment(rating: int, author: str = "ana", **where: Unpack[Where]) -> Entry:
    """A colleague's rating of the account."""
    one = entry(SentimentSet(rating=rating, author=author), **where)
    return about(one, *one.subjects, COLLEAGUE + author)


def deal(**where: Unpack[Where]) -> Entry:
    """A deal of the account that was won."""
    one = entry(DealClosed(list=100, net=90), **where)
    return about(one, *one.subjects, COMPANY)


def opportunity(**where: Unpack[Where]) -> Entry:
    """An opportunity of the account that moved."""
    one = entry(OpportunityUpdated(opportunity="o1", kind="renewal", stage="talks"), **where)
    return about(one, *one.subjects, COMPANY)


def tick(
    day: float,
    hour: float = 2,
    *,
    mode: Literal["importing", "live"] = "live",
    seen: Mapping[str, Iterable[float]] | None = None,
) -> Entry:
    """The clock; `seen` tells, per source, on which days it sent something, at noon."""
    hours = {source: [at(one) // HOUR_US for one in days] for source, days in (seen or {}).items()}
    return _system(ClockTicked(at=at(day, hour), mode=mode, seen=hours))


def repaired(account: str = "acme") -> Entry:
    """The account folds again."""
    return _system(SubjectRepaired(subject=subject_of(account)))


def rules(
    *declared: Mapping[str, Any],
    n: int = 1,
    overrides: Iterable[Mapping[str, Any]] = (),
    metrics: Mapping[str, MetricFlags] | None = None,
    features: Mapping[str, FeatureFlags] | None = None,
) -> Entry:
    """A rule set."""
    content = RuleSetContent(
        rules=[dict(one) for one in declared],
        overrides=[dict(one) for one in overrides],
        metrics=dict(metrics or {}),
        features=dict(features or {}),
    )
    return _system(RulesApplied(n=n, content=msgspec.json.encode(content).decode()))


def rule(primitive: str, id: str = "", *, params: Mapping[str, Any], **fields: Any) -> Any:
    """A declared rule, as it stands in a pack."""
    declared = {
        "id": id or f"{primitive}-rule",
        "title": "A rule",
        "primitive": primitive,
        "params": dict(params),
        "category": "early_signals",
        "severity": "by_depth",
        "play": "call-them",
    }
    return declared | fields


def silent(days: int = 3, **fields: Any) -> Any:
    """A policy: so many days without meaningful usage are too many."""
    return rule("silence", "silent", params={"days": days}, **{"clear_days": 1} | fields)


def unpaid(count: int = 2, **fields: Any) -> Any:
    """So many failures of a payment are too many."""
    return rule("change", "unpaid", params={"what": "payment_failed", "count": count}, **fields)


def gone(**fields: Any) -> Any:
    """A contact left."""
    return rule("change", "contact-left", params={"what": "contact_left"}, **fields)


def no_admin(**fields: Any) -> Any:
    """The last administrator has gone."""
    return rule("change", "no-admin", params={"what": "last_admin_removed"}, **fields)


def _system(event: Event) -> Entry:
    return Entry("", "ebbwatch", 0, (), event)


class Known(TypedDict, total=False):
    """What a partition knows beside an entry that it folds; 0 unless told."""

    clock: int
    judged: int
    oldest: int


def moment(
    one: Entry, buckets: Buckets | None = None, day: int | None = None, **known: Unpack[Known]
) -> Moment:
    """What the facts are told of an entry; its day is that of UTC unless another is named."""
    return Moment(
        one.time,
        one.time // DAY_US if day is None else day,
        known.get("clock", 0),
        known.get("judged", 0),
        known.get("oldest", 0),
        one.source,
        Buckets() if buckets is None else buckets,
    )
