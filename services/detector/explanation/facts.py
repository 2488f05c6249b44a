"""`change` and `deadline` in words."""

from services import wording
from services.detector.explanation import words
from services.detector.explanation.words import Because, Ended
from services.wording import counted, listed, percent


def changed_line(object_: str, because: Because, _: Ended) -> str:
    """Return the line of `change`: of a payment, a contact, or the administrators."""
    if "payment" in because:
        return payment_line(object_, because)
    return left_line(object_, because) if "successor" in because else admins_line(object_, because)


def changed(object_: str, because: Because, _: Ended) -> list[str]:
    """Return the sentences of `change`."""
    if "payment" in because:
        return payment(object_, because)
    return left(object_, because) if "successor" in because else admins(object_, because)


def due_line(object_: str, because: Because, _: Ended) -> str:
    """Return the line of `deadline`: of a renewal, or a payment method."""
    tell = renewal_line if "checklist" in because else method_line
    return tell(object_, because)


def due(object_: str, because: Because, _: Ended) -> list[str]:
    """Return the sentences of `deadline`."""
    return (renewal if "checklist" in because else method)(object_, because)


def payment_line(payment: str, because: Because) -> str:
    """Return the line of a payment that failed."""
    if not because["failures"]:
        return f"payment {payment} succeeded"
    return f"payment {payment} failed {_times(because['failures'])}"


def payment(payment: str, because: Because) -> list[str]:
    """Return the sentences of a payment that failed."""
    charge = f"Payment {payment}"
    if because["amount"] is not None:
        charge += f" of {wording.money(because['amount'], because['currency'])}"
    if because["method"]:
        charge += f" by {because['method']}"
    if not because["failures"]:
        return [f"{charge} succeeded after all."]
    sentences = [
        f"{charge} failed {_times(because['failures'])}, "
        f"most recently on {words.day(because['failed_at'][-1])}."
    ]
    if because["next_retry_on"]:
        sentences.append(f"The next try is on {words.day(because['next_retry_on'])}.")
    limit = because["thresholds_in_force"]["count"]
    return [*sentences, f"Your rule reports a payment that failed {_times(limit)}."]


def left_line(person: str, because: Because) -> str:
    """Return the line of a contact that left."""
    who = _who(person, because)
    if because["successor"]:
        return f"contact {because['successor']} takes over from {who}"
    return f"contact {who} {'is back' if _is_back(because) else 'left'}"


def left(person: str, because: Because) -> list[str]:
    """Return the sentences of a contact that left."""
    who, on = _who(person, because), words.day(because["left_on"])
    if _is_back(because):
        return [f"Contact {who} is back since {on}.", *_renewal_date(because)]
    successor = because["successor"]
    known = f"The role is with {successor} now." if successor else "No successor is known."
    return [
        f"Contact {who} left on {on}.",
        known,
        *_carried(person, because),
        *_renewal_date(because),
    ]


def _is_back(because: Because) -> bool:
    return bool(because.get("status", "left") != "left")


def _carried(person: str, because: Because) -> list[str]:
    named = (("usage_share", "days of usage"), ("touch_share", "days of contact with us"))
    shares = [
        f"{percent(because[name])} of everybody's {what}"
        for name, what in named
        if because[name] is not None
    ]
    if not shares:
        return []
    active = counted(because["usage_days_of_28"], "day")
    return [
        f"In the 28 days before, {person} was active on {active}, and carried {listed(shares)}."
    ]


def _who(person: str, because: Because) -> str:
    return f"{person} ({because['role']})" if because["role"] else person


def admins_line(_: str, because: Because) -> str:
    """Return the line of an account without administrators."""
    if because["admins"]:
        return "there is an administrator again"
    return "no administrator is left"


def admins(_: str, because: Because) -> list[str]:
    """Return the sentences of an account without administrators."""
    on = words.day(because["changed_at"])
    if because["admins"]:
        verb = "is an administrator" if len(because["admins"]) == 1 else "are administrators"
        return [f"{listed(because['admins'])} {verb} since {on}.", *_renewal_date(because)]
    who = f": {because['removed']} was the last one" if because["removed"] else ""
    return [f"No administrator is left since {on}{who}.", *_renewal_date(because)]


def _renewal_date(because: Because) -> list[str]:
    renewal = because["renewal_on"]
    return [f"Renewal is on {words.day(renewal)}."] if renewal else []


def renewal_line(_: str, because: Because) -> str:
    """Return the line of a renewal that is near."""
    missing = [_MISSING[name] for name in because["missing"]]
    state = f", without {listed(missing)}" if missing else ": all that is measured is done"
    # A date, for the line is read for as long as the alert is open.
    return f"renewal on {words.day(because['renewal_on'])}{state}"


def renewal(_: str, because: Because) -> list[str]:
    """Return the sentences of a renewal that is near."""
    items = [f"{name}: {state}" for name, state in because["checklist"].items()]
    last = because["last_two_way_touch"]
    touch = f"was on {words.day(last)}" if last else "is not on record"
    return [
        f"Renewal is on {words.day(because['renewal_on'])}.",
        f"Of its checklist: {'; '.join(items)}.",
        f"The last contact in both directions {touch}.",
        _escalation(because),
    ]


_MISSING = {
    "health": "the health score",
    "usage": "enough usage data",
    "stakeholder": "a stakeholder's confirmation",
}


def method_line(method: str, because: Because) -> str:
    """Return the line of a payment method that expires."""
    if because["replaced"]:
        return f"payment method {method} is replaced"
    return f"payment method {method} expires on {words.day(because['expires_on'])}"


def method(method: str, because: Because) -> list[str]:
    """Return the sentences of a payment method that expires."""
    on = words.day(because["expires_on"])
    if because["replaced"]:
        return [f"Payment method {method} expires on {on}, and another one lasts longer."]
    return [
        f"Payment method {method} expires on {on}, and none that lasts longer is known.",
        _escalation(because),
    ]


def _escalation(because: Because) -> str:
    limits = because["thresholds_in_force"]
    steps = [str(limits["days"]), *map(str, limits["escalate"])]
    return f"Your rule reports it {listed(steps)} days before."


def _times(number: int) -> str:
    return {1: "once", 2: "twice"}.get(number, f"{number} times")
