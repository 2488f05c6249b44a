"""What people do to cases, over HTTP."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Final
from urllib.parse import quote

from fastapi import APIRouter, Body, Depends, Header, Path, Query, Request, Response
from pydantic import BaseModel

from services.alerts.acting import ActionBody, action_key, check_assignee, seen_version, to_action
from services.alerts.api import answers
from services.alerts.api.documented import ACTION_BODIES, APPLIED, CASE, CONFLICT, example
from services.alerts.api.etags import etag, raw
from services.alerts.api.problems import (
    KEY_HEADER,
    RETRY_SECONDS,
    Unknown,
    WrongMedia,
    described,
    problem,
)
from services.alerts.person import person_of
from services.alerts.ports import Directory
from services.alerts.shown import ActionAnswer, CaseShown
from services.alerts.verdicts import Verdicts

STATUS: Final = {
    "applied": 200,
    "unchanged": 200,
    "pending": 202,
    "unknown_case": 404,
    "unknown_alert": 404,
    "conflict": 409,
}
"""Of the answer to an action, by what became of it."""

AccountId = Annotated[
    str,
    Path(
        description="The account's id, percent-encoded; it is its case's, too. The ids `.` and "
        "`..` cannot stand in a path, where clients take them for folders: lists show such an "
        "account, and people act on it in the console."
    ),
]
_IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        description="The case's `ETag` as it was seen, or `*` for whichever; 428 without it.",
    ),
]
_Key = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        description="Id of the action, which acts once, however often it is sent; else one is "
        "made, and stands in the answer.",
    ),
]
_Person = Annotated[
    str | None, Header(alias="X-Ebbwatch-Person", description="Id of the person who acts.")
]


@dataclass(frozen=True, slots=True)
class Asker:
    """Who acts, on what they saw, and the action's id."""

    id: str
    by: str
    seen: int | None


def action_router(
    verdicts: Verdicts,
    directory: Directory,
    now: Callable[[], datetime],
    fresh_id: Callable[[], str],
    prefix: str,
) -> APIRouter:
    """Return the routes by which people act and ask what became of it.

    Args:
        verdicts: Takes actions.
        directory: Whom a case can be assigned to.
        now: The wall clock, aware UTC.
        fresh_id: Gives an id that nobody else has, for actions that come without.
        prefix: Where the API stands, for `Location`.
    """
    router = APIRouter(tags=["actions"])
    _act_route(router, verdicts, directory, now, _asking(fresh_id), prefix)
    _ask_route(router, verdicts)
    return router


def _act_route(
    router: APIRouter,
    verdicts: Verdicts,
    directory: Directory,
    now: Callable[[], datetime],
    asking: Callable[..., Awaitable[Asker]],
    prefix: str,
) -> None:
    @router.post(
        "/cases/{account:path}/actions",
        summary="Act on a case",
        response_model=answers.Acted,
        responses=_described(),
        dependencies=[Depends(_json_only)],
    )
    async def post_action(
        account: AccountId,
        asker: Annotated[Asker, Depends(asking)],
        body: Annotated[ActionBody, Body(openapi_examples=ACTION_BODIES)],
    ) -> Response:
        """Acknowledge, snooze, resolve, assign, comment, reopen, or judge an alert."""
        check_assignee(body, directory.snapshot.people)
        action = to_action(body, case=account, key=asker.id, by=asker.by, at=now(), seen=asker.seen)
        answer = await verdicts.on(action)
        return _told(answer, await verdicts.case(account), prefix)


def _ask_route(router: APIRouter, verdicts: Verdicts) -> None:
    @router.get("/actions/{id:path}", summary="Ask for a verdict", responses=described(404))
    async def get_action(
        id: Annotated[str, Path(description="The action's `Idempotency-Key`.")],
        account: Annotated[
            str | None,
            Query(description="Whose case it was done to, where several know the same id."),
        ] = None,
    ) -> ActionAnswer:
        """What became of an action of the last seven days."""
        answer = await verdicts.asked(id, account)
        if answer is None:
            raise Unknown(
                f"Nothing is known of action {id[:200]!r}: it was not sent, its verdict is not "
                "there yet, or it is older than seven days."
            )
        return answer


async def _json_only(content_type: Annotated[str, Header(include_in_schema=False)] = "") -> None:
    if content_type.partition(";")[0].strip().lower() != "application/json":
        raise WrongMedia("Send `Content-Type: application/json`.")


def _asking(fresh_id: Callable[[], str]) -> Callable[..., Awaitable[Asker]]:
    async def asker(
        request: Request, if_match: _IfMatch = None, key: _Key = None, person: _Person = None
    ) -> Asker:
        """Read who acts from the headers; this comes before the body is looked at."""
        del person  # `person_of` knows where else it may stand.
        id = action_key(key, fresh_id())
        request.state.action_key = id
        return Asker(id, person_of(request), seen_version(if_match))

    return asker


def _told(answer: ActionAnswer, case: CaseShown | None, prefix: str) -> Response:
    status = STATUS[answer.status]
    headers = {KEY_HEADER: answer.id}
    if status == 404:
        detail = answer.detail or "There is none."
        return problem(404, answers.Problem(error=answer.status, detail=detail), headers)
    if status == 202:
        place = f"{prefix}/actions/{quote(answer.id, safe='')}"
        headers["location"] = f"{place}?account={quote(answer.account, safe='')}"
        headers["retry-after"] = str(RETRY_SECONDS)
    elif case is not None:
        headers["etag"] = etag(case)
    content = raw(_content(answer, case))
    return Response(content, status, headers, media_type="application/json")


def _content(answer: ActionAnswer, case: CaseShown | None) -> BaseModel:
    if answer.status == "pending":
        return answers.Pending(answer=answer)
    if answer.status == "conflict":
        detail = answer.detail or "The case has moved on; look at it, and act again."
        return answers.Conflict(detail=detail, answer=answer, case=case)
    return answers.Acted(answer=answer, case=case)


def _described() -> dict[int | str, dict[str, Any]]:
    found = described(400, 404, 413, 415, 428) | example({"answer": APPLIED, "case": CASE})
    found[202] = {
        "model": answers.Pending,
        "description": "In the log; ask at `Location`.",
        "content": _json({"answer": APPLIED | {"status": "pending", "version": None}}),
    }
    found[409] = {
        "model": answers.Conflict,
        "description": "The case has moved on.",
        "content": _json(CONFLICT),
    }
    return found


def _json(example: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"example": example}}
