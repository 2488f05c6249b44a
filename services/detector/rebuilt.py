"""Facts of an account, as far as an alert's evidence tells them, judged once more. Pure.

What an event or a date wakes keeps no arrays: its evidence is the facts themselves. They are put
back into facts, and the rule is asked again.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any, Final

from schemas.alerts import Alert
from schemas.envelope import Entry, account
from schemas.events import AdminRevoked, ContactUpdated, Event, PaymentFailed
from services.detector.calendars import DAY_US, to_day
from services.detector.facts import Facts
from services.detector.facts.contacts import Contact, Contacts, Touch
from services.detector.facts.payments import Method, Payment, Payments
from services.detector.facts.profile import Profile
from services.detector.fleet import CLEAR, SHARE, Look
from services.detector.peers import FALLEN_RATIO
from services.detector.primitives import DATE, EVENT, Primitive
from services.detector.primitives.finding import Finding

Because = Mapping[str, Any]

_SHARES: Final = ("usage_days_of_28", "usage_share", "touch_share")
"""What people's days would tell, which the evidence does not keep."""
_STATES: Final[Mapping[str, Mapping[str, str]]] = {
    "done": {"usage": "ok"},
    "no usage data": {},
    "too little usage data": {"usage": "warming_up"},
}


def judged(record: Alert, primitive: Primitive, params: Any) -> tuple[Finding | None, list[str]]:
    """Ask a rule once more about the facts that a record tells.

    Args:
        record: A record of an alert that a date or an event has woken.
        primitive: The rule's condition.
        params: Its parameters.

    Returns:
        What it finds of the record's object now; and what could not be asked, and why.
    """
    because = record.because
    if not because:
        return None, ["the record keeps no evidence of its own"]
    mark = next((one for one in _FACTS if one in because), None)
    if mark is None:
        return None, ["its evidence does not hold the facts that it was found in"]
    day = to_day(record.day)
    try:
        facts, event = _FACTS[mark](because, day)
        facts.profile.renewal_on = record.account_now.renewal_on or facts.profile.renewal_on
        found = _asked(primitive, facts, _entry(record, event), day, because, params)
    except (KeyError, TypeError, ValueError) as error:
        return None, [f"its evidence cannot be read: {type(error).__name__}: {error}"]
    mine = next((one for one in found if one.object == record.object), None)
    if mine is None:
        return None, [f"the rule finds nothing of {record.object!r} in the stored facts"]
    told = {key: value for key, value in mine.because.items() if key not in _SHARES}
    return mine._replace(because=told), []


def shared_fall(because: Because) -> tuple[Look, dict[str, Any]]:
    """Compute how many accounts share a fall, from the counts that a record tells.

    Args:
        because: The evidence of an incident.

    Returns:
        What it shows, and the numbers of the evidence that follow from others.
    """
    told, fallen = because["accounts_told"], because["accounts_fallen"]
    found = Look(
        told=told,
        fallen=fallen,
        share=1000 * fallen // max(told, 1),
        ordinary=round(1000 * because["ordinary_share"]),
        median=round(100 * because["median_ratio"]),
        depth=round(100 * because["median_ratio_fallen"]),
    )
    limits = {"common_share": SHARE / 1000, "clear": CLEAR / 1000, "fallen_ratio": FALLEN_RATIO}
    numbers = {"share": found.share / 1000, "common_share": found.common / 1000}
    return found, numbers | {"thresholds_in_force": limits}


def _asked(
    primitive: Primitive, facts: Facts, entry: Entry, day: int, because: Because, params: Any
) -> Sequence[Finding]:
    if primitive in EVENT:
        found: Sequence[Finding] = primitive.judge(facts, entry, day, params)
        return found
    assert primitive in DATE
    states = _STATES[because.get("checklist", {}).get("usage", "done")]
    return primitive.judge(facts, day, states, params)


def _entry(record: Alert, event: Event) -> Entry:
    changed = record.because.get("changed_at")
    time = _micros(changed) if changed else to_day(record.day) * DAY_US
    return Entry("", "", time, (account(record.account),), event)


def _payment(because: Because, _: int) -> tuple[Facts, Event]:
    payment = Payment(
        failures=[(_micros(at), str(n)) for n, at in enumerate(because["failed_at"])],
        amount=because["amount"],
        currency=because["currency"],
        method=because["method"],
        next_retry_on=_date(because["next_retry_on"]),
    )
    event = PaymentFailed(payment=because["payment"], amount=0, currency="EUR")
    return Facts(payments=Payments(payments={because["payment"]: payment})), event


def _departure(because: Because, _: int) -> tuple[Facts, Event]:
    left_on = to_day(date.fromisoformat(because["left_on"]))
    gone = Contact(
        role=because["role"],
        status=because.get("status", "left"),
        status_stamp=(left_on * DAY_US, ""),
        changed_day=left_on,
    )
    people = {because["person"]: gone}
    if because["successor"]:
        later = (left_on * DAY_US + 1, "")
        people[because["successor"]] = Contact(role=because["role"], role_stamp=later)
    return _known(because, people), ContactUpdated(person=because["person"])


def _admins(because: Because, _: int) -> tuple[Facts, Event]:
    changed = (_micros(because["changed_at"]), "")
    people = {who: Contact(admin=True, admin_stamp=changed) for who in because["admins"]}
    removed = because["removed"] or "somebody"
    people.setdefault(removed, Contact(admin_stamp=changed))
    return _known(because, people), AdminRevoked(person=removed)


def _renewal(because: Because, _: int) -> tuple[Facts, Event]:
    touched = _date(because["last_two_way_touch"])
    touch = None if touched is None else Touch((0, ""), to_day(touched), "call")
    contacts = Contacts(last_two_way=touch)
    profile = Profile(renewal_on=_date(because["renewal_on"]))
    return Facts(profile=profile, contacts=contacts), ContactUpdated(person="")


def _method(because: Because, _: int) -> tuple[Facts, Event]:
    expires = date.fromisoformat(because["expires_on"])
    methods = {because["method"]: Method((0, ""), expires)}
    if because["replaced"]:
        methods[f"{because['method']}, replaced"] = Method((0, ""), expires + timedelta(days=1))
    return Facts(payments=Payments(methods=methods)), ContactUpdated(person="")


def _known(because: Because, people: dict[str, Contact]) -> Facts:
    profile = Profile(renewal_on=_date(because["renewal_on"]))
    return Facts(profile=profile, contacts=Contacts(people=people))


def _date(iso: str | None) -> date | None:
    return None if iso is None else date.fromisoformat(iso)


def _micros(iso: str) -> int:
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    return (datetime.fromisoformat(iso) - epoch) // timedelta(microseconds=1)


_FACTS: Final[Mapping[str, Callable[[Because, int], tuple[Facts, Event]]]] = {
    "failed_at": _payment,
    "successor": _departure,
    "admins": _admins,
    "checklist": _renewal,
    "expires_on": _method,
}
"""By a key that no other evidence has, how its facts are put back."""
