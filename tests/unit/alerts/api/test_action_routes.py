from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest

from schemas.cases import (
    CaseAcknowledged,
    CaseAssigned,
    CaseCommented,
    CaseReopened,
    CaseResolved,
    CaseSnoozed,
    FeedbackRecord,
)
from schemas.config import PersonRecord
from services.alerts.acting import SNOOZE_LIMIT
from services.alerts.directory import DirectorySnapshot
from services.alerts.shown import ActionAnswer
from tests.unit.alerts.door import Door, opened
from tests.unit.alerts.fakes import NOW, alert, case

UNTIL = "2026-06-01T09:00:00+02:00"


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as found:
        yield found


@pytest.mark.parametrize(
    "body, action",
    [
        ({"type": "acknowledge"}, CaseAcknowledged),
        ({"type": "snooze", "until": UNTIL}, CaseSnoozed),
        ({"type": "resolve", "outcome": "saved", "note": "New champion."}, CaseResolved),
        ({"type": "assign", "to": "bo"}, CaseAssigned),
        ({"type": "assign", "to": None}, CaseAssigned),
        ({"type": "comment", "text": "Called them."}, CaseCommented),
        ({"type": "reopen"}, CaseReopened),
        (
            {"type": "feedback", "alert_id": "alert-of-acct_1", "verdict": "useful"},
            FeedbackRecord,
        ),
    ],
)
async def test_an_action_becomes_a_record_of_the_log(
    door: Door, body: dict[str, Any], action: type[CaseAcknowledged]
) -> None:
    answer = await door.act(
        "acct_1", body, if_match='"1-0a"', idempotency_key="k-1", x_ebbwatch_person="ana"
    )

    fields = {name: value for name, value in body.items() if name != "type"}
    if "until" in fields:
        fields["until"] = datetime(2026, 6, 1, 7, tzinfo=UTC)
    assert door.desk.heard == [action(id="k-1", case="acct_1", by="ana", at=NOW, seen=1, **fields)]
    now = door.view.pages["acct_1"].case
    assert now is not None
    assert answer.status_code == 200
    assert answer.json() == {
        "answer": door.view.answers["k-1"].model_dump(mode="json"),
        "case": now.model_dump(mode="json"),
    }
    assert answer.headers["idempotency-key"] == "k-1"
    assert answer.headers["etag"] == (await door.get("/cases/acct_1")).headers["etag"]


@pytest.mark.parametrize("tag", ['"1"', "1", 'W/"1-5f"', "*", ' "1" '])
async def test_the_version_that_was_seen_comes_with_if_match(door: Door, tag: str) -> None:
    await door.act("acct_1", {"type": "reopen"}, if_match=tag)

    assert [action.seen for action in door.desk.heard] == [None if tag == "*" else 1]


@pytest.mark.parametrize(
    "body",
    [{"type": "acknowledge"}, {"type": "comment", "text": "x"}, {"type": "feedback"}, {}],
)
async def test_without_if_match_it_is_428_whatever_the_action(door: Door, body: object) -> None:
    answer = await door.client.post("/api/v1/cases/acct_1/actions", json=body)

    assert (answer.status_code, answer.json()["error"]) == (428, "version_missing")
    assert door.desk.heard == []


@pytest.mark.parametrize(
    "tag", ['"1", "2"', '"x"', "0", "-1", '"1', "²", "9" * 40, '"999999999999999"', '"1000000001"']
)
async def test_an_if_match_that_is_no_version_is_422(door: Door, tag: str) -> None:
    answer = await door.client.post(
        "/api/v1/cases/acct_1/actions",
        json={"type": "acknowledge"},
        headers=[(b"if-match", tag.encode())],
    )

    expected = (200, None) if tag == '"1' else (422, "If-Match")
    assert (answer.status_code, answer.json().get("field")) == expected


async def test_a_case_that_moved_on_is_409_with_the_newer_case(door: Door) -> None:
    door.view.put(case(version=3, state="acknowledged"))

    answer = await door.act("acct_1", {"type": "reopen"}, if_match='"2"', idempotency_key="k-1")

    newer = case(version=3, state="acknowledged").model_dump(mode="json")
    assert answer.status_code == 409
    assert answer.json() == {
        "error": "conflict",
        "detail": "The case has moved on; look at it, and act again.",
        "answer": {
            "id": "k-1",
            "account": "acct_1",
            "status": "conflict",
            "version": 3,
            "state": "acknowledged",
            "detail": "",
        },
        "case": newer,
    }
    assert (await door.get("/actions/k-1")).json()["status"] == "conflict"


async def test_an_id_that_was_sent_before_gets_its_first_answer(door: Door) -> None:
    first = await door.act("acct_1", {"type": "acknowledge"}, if_match="1", idempotency_key="k-1")
    again = await door.act("acct_1", {"type": "reopen"}, if_match="1", idempotency_key="k-1")

    assert len(door.desk.heard) == 1
    assert (again.status_code, again.json()) == (first.status_code, first.json())


async def test_two_cases_may_know_the_same_id(door: Door) -> None:
    door.view.put(case("acct_2"))

    await door.act("acct_1", {"type": "acknowledge"}, idempotency_key="k-1")
    await door.act("acct_2", {"type": "acknowledge"}, idempotency_key="k-1")

    assert [action.case for action in door.desk.heard] == ["acct_1", "acct_2"]


async def test_an_action_without_an_id_is_given_one(door: Door) -> None:
    first = await door.act("acct_1", {"type": "comment", "text": "x"})
    second = await door.act("acct_1", {"type": "comment", "text": "x"})

    ids = [answer.headers["idempotency-key"] for answer in (first, second)]
    assert [action.id for action in door.desk.heard] == ids
    assert len(set(ids)) == 2


@pytest.mark.parametrize("view_away", [False, True])
async def test_a_verdict_that_is_late_is_202_and_asked_for_later(
    door: Door, view_away: bool
) -> None:
    door.desk.verdict, door.view.away = "pending", view_away
    pending = {
        "id": "a/b c",
        "account": "acct_1",
        "status": "pending",
        "version": None,
        "state": None,
        "detail": "",
    }

    answer = await door.act("acct_1", {"type": "acknowledge"}, idempotency_key="a/b c")

    assert (answer.status_code, answer.json()) == (202, {"answer": pending})
    assert answer.headers["location"] == "/api/v1/actions/a%2Fb%20c?account=acct_1"
    asked = await door.client.get(answer.headers["location"])
    assert (asked.status_code, asked.json()) == (200, pending)
    door.view.away = False
    verdict = ActionAnswer(id="a/b c", account="acct_1", status="applied", version=2)
    door.view.answers["a/b c"] = verdict
    asked = await door.client.get(answer.headers["location"])
    assert asked.json() == verdict.model_dump(mode="json")


async def test_two_cases_that_wait_under_the_same_id_each_have_their_own_answer(door: Door) -> None:
    door.view.put(case("acct/2"))
    door.desk.verdict = "pending"
    first = await door.act("acct_1", {"type": "acknowledge"}, idempotency_key="k-1")
    second = await door.act("acct/2", {"type": "acknowledge"}, idempotency_key="k-1")
    door.view.answers["k-1"] = ActionAnswer(id="k-1", account="acct/2", status="applied")

    found = [(await door.client.get(one.headers["location"])).json() for one in (first, second)]
    assert [(one["account"], one["status"]) for one in found] == [
        ("acct_1", "pending"),
        ("acct/2", "applied"),
    ]
    assert (await door.get("/actions/k-1?account=acct_3")).status_code == 404


async def test_an_action_that_nobody_sent_is_404(door: Door) -> None:
    answer = await door.get("/actions/k-9")

    assert (answer.status_code, answer.json()["error"]) == (404, "unknown")


async def test_without_the_log_it_is_503_and_told_under_which_id_to_repeat(door: Door) -> None:
    door.desk.verdict = "away"

    answer = await door.act("acct_1", {"type": "acknowledge"})

    assert (answer.status_code, answer.json()["error"]) == (503, "log_away")
    assert answer.headers["retry-after"] == "2"
    assert len(answer.headers["idempotency-key"]) == 36


async def test_an_account_without_a_case_is_404_and_nothing_enters_the_log(door: Door) -> None:
    answer = await door.act("nobody", {"type": "acknowledge"})

    assert (answer.status_code, answer.json()) == (
        404,
        {"error": "unknown_case", "detail": "There is no case of account 'nobody'."},
    )
    assert door.desk.heard == []


@pytest.mark.parametrize("account", ["x" * 300, "", "a\x1fb", "a\x85b"])
async def test_an_account_that_cannot_be_is_404_whether_one_reads_or_acts(
    door: Door, account: str
) -> None:
    acted = await door.act(account, {"type": "acknowledge"})
    read = await door.get(f"/cases/{quote(account, safe='')}")

    assert (read.status_code, acted.status_code) == (404, 404)
    detail = f"There is no case of account {account[:200]!r}."
    assert acted.json() == {"error": "unknown_case", "detail": detail}
    assert door.desk.heard == []


async def test_while_the_view_is_not_whole_the_fold_decides_what_is_unknown(door: Door) -> None:
    door.view.fresh = door.view.fresh.model_copy(update={"complete": False, "stale": True})

    answer = await door.act("nobody", {"type": "acknowledge"})

    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_case")
    assert [action.case for action in door.desk.heard] == ["nobody"]


async def test_an_alert_in_shadow_can_be_judged_although_no_list_shows_its_case(
    door: Door,
) -> None:
    page = door.view.pages["acct_1"]
    door.view.pages["acct_1"] = page.model_copy(
        update={"case": None, "alerts": [alert(shadow=True)]}
    )

    await door.act(
        "acct_1", {"type": "feedback", "alert_id": "alert-of-acct_1", "verdict": "known"}
    )

    assert [action.case for action in door.desk.heard] == ["acct_1"]


async def test_an_alert_of_another_case_is_404(door: Door) -> None:
    body = {"type": "feedback", "alert_id": "alert-of-acct_2", "verdict": "known"}

    answer = await door.act("acct_1", body)

    assert (answer.status_code, answer.json()["error"]) == (404, "unknown_alert")


@pytest.mark.parametrize(
    "people, to, status",
    [("", "bo", 200), ("ana bo", "bo", 200), ("ana bo", None, 200), ("ana bo", "cy", 422)],
)
async def test_a_case_is_given_to_somebody_whom_the_directory_knows(
    door: Door, people: str, to: str | None, status: int
) -> None:
    known = {id: PersonRecord(id=id, name=id.title()) for id in people.split()}
    door.directory.snapshot = DirectorySnapshot(people=known)

    answer = await door.act("acct_1", {"type": "assign", "to": to})

    assert answer.status_code == status
    assert answer.json().get("field") == ("to" if status == 422 else None)


@pytest.mark.parametrize(
    "body, field",
    [
        ({}, "body"),
        ([], "body"),
        ({"type": "explode"}, "body"),
        ({"type": "acknowledge", "force": True}, "force"),
        ({"type": "snooze"}, "until"),
        ({"type": "snooze", "until": "2026-06-01T09:00:00"}, "until"),
        ({"type": "snooze", "until": 1_893_456_000}, "until"),
        ({"type": "snooze", "until": "tomorrow"}, "until"),
        ({"type": "snooze", "until": NOW.isoformat()}, "until"),
        ({"type": "snooze", "until": "2020-01-01T00:00:00Z"}, "until"),
        ({"type": "snooze", "until": "9999-12-31T23:59:59-12:00"}, "until"),
        ({"type": "resolve", "outcome": "won"}, "outcome"),
        ({"type": "resolve", "outcome": "saved", "note": "x" * 4_001}, "note"),
        ({"type": "assign"}, "to"),
        ({"type": "assign", "to": ""}, "to"),
        ({"type": "assign", "to": "x" * 201}, "to"),
        ({"type": "comment", "text": ""}, "text"),
        ({"type": "comment", "text": " \n "}, "text"),
        ({"type": "comment", "text": "x" * 4_001}, "text"),
        ({"type": "comment", "text": 5}, "text"),
        ({"type": "feedback", "alert_id": "a", "verdict": "nice"}, "verdict"),
    ],
)
async def test_a_body_that_cannot_be_is_422_and_names_the_field(
    door: Door, body: object, field: str
) -> None:
    answer = await door.act("acct_1", body)

    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert door.desk.heard == []


@pytest.mark.parametrize(
    "body",
    [
        {"type": "acknowledge"} | {f"{n:04}": n for n in range(3_000)},
        {"type": "acknowledge", "x" * 60_000: 1},
        {"type": "y" * 60_000},
    ],
    ids=["many", "a long name", "a long value"],
)
async def test_what_is_said_of_a_body_is_bounded(door: Door, body: object) -> None:
    answer = await door.act("acct_1", body)

    told = answer.json()
    assert answer.status_code == 422
    assert 1 <= len(told["faults"]) <= 20
    assert all(len(one["field"]) <= 200 >= len(one["detail"]) for one in told["faults"])
    assert len(answer.content) < 20_000


async def test_a_snooze_may_end_far_ahead_but_not_never(door: Door) -> None:
    last = NOW + SNOOZE_LIMIT
    ends = [last, last + timedelta(seconds=1)]

    found = [await door.act("acct_1", {"type": "snooze", "until": end.isoformat()}) for end in ends]

    assert [answer.status_code for answer in found] == [200, 422]


@pytest.mark.parametrize(
    "header, value",
    [
        ("Idempotency-Key", "x" * 201),
        ("Idempotency-Key", ""),
        ("Idempotency-Key", "ü"),
        ("Idempotency-Key", "a\tb"),
        ("X-Ebbwatch-Person", "ebbwatch"),
        ("X-Ebbwatch-Person", "x" * 201),
    ],
)
async def test_a_header_that_cannot_be_is_422_and_named(
    door: Door, header: str, value: str
) -> None:
    answer = await door.client.post(
        "/api/v1/cases/acct_1/actions",
        json={"type": "acknowledge"},
        headers=[(b"if-match", b"*"), (header.encode(), value.encode())],
    )

    assert (answer.status_code, answer.json()["field"]) == (422, header)
    assert door.desk.heard == []


@pytest.mark.parametrize(
    "content, media, status",
    [
        (b'{"type": "acknowledge"}', "application/json; charset=utf-8", 200),
        (b'{"type": "acknowledge"}', "text/plain", 415),
        (b"type=acknowledge", "application/x-www-form-urlencoded", 415),
        (b'{"type": ', "application/json", 422),
        (b"\x80{}", "application/json", 400),
        (b'{"type": "acknowledge", "\\ud800": 1}', "application/json", 422),
        (b'{"type": "\\ud800"}', "application/json", 422),
        (b'{"type": "comment", "text": "\\ud800"}', "application/json", 422),
        (b'{"type": "assign", "to": "\\ud800"}', "application/json", 422),
        (b"9" * 5_000, "application/json", 400),
        (b"[" * 60_000, "application/json", 400),
        (b"", "application/json", 422),
        (b'{"type": "comment", "text": "%s"}' % (b"\\u00e4" * 4_000), "application/json", 200),
        (b" " * 65_537, "application/json", 413),
    ],
)
async def test_bodies_are_json_and_bounded(
    door: Door, content: bytes, media: str, status: int
) -> None:
    answer = await door.client.post(
        "/api/v1/cases/acct_1/actions",
        content=content,
        headers={"content-type": media, "if-match": "*"},
    )

    assert answer.status_code == status
    if status >= 400:
        assert {"error", "detail"} <= answer.json().keys()
