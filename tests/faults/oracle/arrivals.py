"""What people see and what arrived, beside what the alert log says."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from .comparing import cut
from .desk import Case, Desk
from .notices import Told, unfinished


class Arrived(NamedTuple):
    """One request that a channel's endpoint got.

    Attributes:
        id: Its `webhook-id`.
        body: Its body.
        taken: Whether the endpoint answered that it took it.
    """

    id: str
    body: bytes
    taken: bool


class _Recipient(msgspec.Struct):
    id: str


class _AlertOf(msgspec.Struct):
    alert_id: str


class _CaseOf(msgspec.Struct):
    account: str


class _Data(msgspec.Struct):
    notice: str
    step: str
    case: _CaseOf
    alert: _AlertOf
    recipient: _Recipient | None = None


class _Body(msgspec.Struct):
    data: _Data


def desk_differences(
    desk: Desk,
    cases: Sequence[Mapping[str, Any]] | None,
    arrived: Sequence[Arrived] = (),
    channels: frozenset[str] = frozenset(),
) -> list[str]:
    """Return where cases and deliveries are other than the alert log says; at most 20.

    Args:
        desk: The alert log, recounted.
        cases: All cases that are not resolved, of `/api/v1/cases`; None where there is no view.
        arrived: Every request that the endpoint of those channels got.
        channels: Names of the channels whose endpoint tells what arrived.
    """
    found = [*unfinished(desk.notices.values()), *_deliveries(desk, arrived, channels)]
    if cases is not None:
        found += _cases(desk, cases)
    return cut(found)


def _deliveries(desk: Desk, arrived: Sequence[Arrived], channels: frozenset[str]) -> Iterator[str]:
    known = {told.webhook_id: told for told in desk.notices.values()}
    taken = {one.id for one in arrived if one.taken}
    for told in known.values():
        delivered = {name for name, how in told.outcomes.items() if how == "delivered"}
        if delivered & channels and told.webhook_id not in taken:
            yield f"{told.webhook_id} of {told.case} counts as delivered and never arrived"
    bodies: dict[tuple[str, str | None], bytes] = {}
    for one in arrived:
        if one.id not in known or known[one.id].targets is None:
            yield f"{one.id!r} arrived, and nobody intended it: {one.body[:200]!r}"
        else:
            yield from _body(known[one.id], one, bodies)


def _body(told: Told, one: Arrived, bodies: dict[tuple[str, str | None], bytes]) -> Iterator[str]:
    """Say what is wrong with a body: it tells of its notice, and whenever it comes, the same."""
    try:
        data = msgspec.json.decode(one.body, type=_Body).data
    except msgspec.MsgspecError as error:
        yield f"{one.id} arrived with a body that is none: {error}"
        return
    said = (data.notice, data.step, data.case.account, data.alert.alert_id)
    if said != (told.id, told.step, told.case, told.alert):
        yield f"{one.id} tells of {said}, its notice of {(told.step, told.case, told.alert)}"
    person = data.recipient.id if data.recipient is not None else None
    meant = {target.person for target in (told.targets or {}).values()}
    if person not in meant:
        yield f"{one.id} is addressed to {person}, its notice to {sorted(map(str, meant))}"
    if bodies.setdefault((one.id, person), one.body) != one.body:
        yield f"{one.id} arrived again with another body"


def _cases(desk: Desk, cases: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    wanted = {
        account: one
        for account, one in desk.cases.items()
        if one.generation > 0 and one.state != "resolved"
    }
    shown = {str(one["account"]): one for one in cases}
    if len(shown) != len(cases):
        yield f"{len(cases) - len(shown)} cases are listed more than once"
    for account in sorted(wanted.keys() - shown.keys()):
        yield f"the case of {account} is open in the log and not listed"
    for account in sorted(shown.keys() - wanted.keys()):
        state = desk.cases[account].state if account in desk.cases else "of nobody"
        listed = shown[account]["state"]
        yield f"the case of {account} is listed as {listed}, in the log it is {state}"
    for account in sorted(wanted.keys() & shown.keys()):
        told, said = _plain(wanted[account]), _shown(shown[account])
        for name in told:
            if told[name] != said[name]:
                yield f"case {account}: {name} is {said[name]!r}, the log says {told[name]!r}"


def _plain(case: Case) -> dict[str, Any]:
    return {
        "state": case.state,
        "version": case.version,
        "severity": case.severity,
        "assignee": case.assignee,
        "alerts": case.open_alerts,
    }


def _shown(line: Mapping[str, Any]) -> dict[str, Any]:
    told = {name: line.get(name) for name in ("state", "version", "severity", "assignee")}
    return told | {"alerts": sorted(one["alert_id"] for one in line["alerts"])}
