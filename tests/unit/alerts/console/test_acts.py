import html
import re
from datetime import UTC, date, datetime, timedelta

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
from tests.unit.alerts.console.door import KEY, Door, place, text
from tests.unit.alerts.fakes import NOW, case

ACTIONS = [
    ("acknowledge", {}, CaseAcknowledged, {}),
    ("snooze", {"until": "1d"}, CaseSnoozed, {"until": NOW + timedelta(days=1)}),
    ("snooze", {"until": "1w"}, CaseSnoozed, {"until": NOW + timedelta(days=7)}),
    (
        "snooze",
        {"until": "renewal"},
        CaseSnoozed,
        {"until": datetime(2026, 6, 16, 6, tzinfo=UTC)},
    ),
    (
        "resolve",
        {"outcome": "saved", "note": "a\r\nb"},
        CaseResolved,
        {"outcome": "saved", "note": "a\nb"},
    ),
    ("assign", {"to": "ben"}, CaseAssigned, {"to": "ben"}),
    ("assign", {"to": ""}, CaseAssigned, {"to": None}),
    ("comment", {"text": "well"}, CaseCommented, {"text": "well"}),
    ("reopen", {}, CaseReopened, {}),
    (
        "feedback",
        {"alert_id": "alert-of-acct_1", "verdict": "useful"},
        FeedbackRecord,
        {"alert_id": "alert-of-acct_1", "verdict": "useful"},
    ),
]


@pytest.mark.parametrize("type, fields, record, more", ACTIONS)
async def test_each_form_becomes_its_record(
    door: Door, type: str, fields: dict[str, str], record: type, more: dict[str, object]
) -> None:
    door.client.cookies["ebbwatch_person"] = "ana"
    answer = await door.act(type, **fields)

    head = {"id": KEY, "case": "acct_1", "by": "ana", "at": NOW, "seen": 1}
    assert door.desk.heard == [record(**head, **more)]
    assert answer.status_code == 303
    assert place(answer) == ("/accounts/acct_1", {"action": KEY, "did": type})


async def test_the_page_after_it_says_what_became_of_it(door: Door) -> None:
    done = await door.act("acknowledge")
    assert "Acknowledged: you are on it." in text(await door.get(done.headers["location"]))
    again = await door.post("/accounts/acct_1", {"type": "acknowledge", "key": "other"})
    assert "It was so already" in text(await door.get(again.headers["location"]))
    late = await door.post(
        "/accounts/acct_1", {"type": "resolve", "outcome": "saved", "version": "1", "key": "late"}
    )
    assert "Somebody was faster" in text(await door.get(late.headers["location"]))


async def test_the_same_form_sent_twice_acts_once(door: Door) -> None:
    first, second = await door.act("comment", text="x"), await door.act("comment", text="x")

    assert first.headers["location"] == second.headers["location"]
    assert len(door.desk.heard) == 1


async def test_a_verdict_that_is_awaited_is_asked_for_again(door: Door) -> None:
    door.desk.verdict = "pending"
    done = await door.act("acknowledge")
    page = await door.get(done.headers["location"])

    assert "Accepted, and being applied" in text(page)
    assert 'hx-trigger="every 2s"' in page.text


async def test_a_log_that_is_away_offers_the_same_form_again(door: Door) -> None:
    door.desk.verdict = "away"
    answer = await door.act("comment", text='say "<b>"')

    assert answer.status_code == 503
    assert "That could not be saved yet" in text(answer)
    sent = dict(re.findall(r'name="(\w+)" value="([^"]*)"', answer.text.split("<main")[1]))
    assert sent["key"] == KEY
    assert html.unescape(sent["text"]) == 'say "<b>"'


BAD = [
    ("snooze", {"until": "for ever"}, "choose how long"),
    ("resolve", {"outcome": "gone"}, "choose how it ended"),
    ("comment", {"text": " "}, "a comment has 1 to 4,000 characters"),
    ("comment", {"text": "x" * 4001}, "a comment has 1 to 4,000 characters"),
    ("assign", {"to": "nobody"}, "'nobody' is nobody whom directory.toml names"),
    ("feedback", {"alert_id": "a", "verdict": "meh"}, "choose what the alert was worth"),
    ("explode", {}, "type:"),
    ("acknowledge", {"version": "new"}, "'new' is neither one"),
    ("acknowledge", {"key": "k\n"}, "is not 1..200 printable ASCII characters"),
]


@pytest.mark.parametrize("type, fields, told", BAD)
async def test_a_form_that_no_page_sends_changes_nothing(
    door: Door, type: str, fields: dict[str, str], told: str
) -> None:
    answer = await door.act(type, **fields)

    assert answer.status_code == 422
    assert told.casefold() in text(answer).casefold()
    assert door.desk.heard == []


async def test_a_body_that_is_no_form(door: Door) -> None:
    answer = await door.client.post("/accounts/acct_1", json={"type": "acknowledge"})
    assert (answer.status_code, "came as application/json" in text(answer)) == (422, True)
    kind = {"content-type": "application/x-www-form-urlencoded"}
    broken = await door.client.post("/accounts/acct_1", content=b"type=%ff", headers=kind)
    assert broken.status_code == 422
    many = await door.post("/acknowledge", [("account", str(n)) for n in range(3_000)])
    assert many.status_code == 422


async def test_a_past_renewal_offers_no_snooze_until_then(door: Door) -> None:
    door.view.pages["acct_1"] = door.view.pages["acct_1"].model_copy(
        update={"renewal_on": date(2026, 5, 1)}
    )

    assert "Until after the renewal" not in text(await door.get("/accounts/acct_1"))
    assert (await door.act("snooze", until="renewal")).status_code == 422


async def test_from_the_inbox_one_goes_back_to_the_inbox(door: Door) -> None:
    fields = {"from": "inbox", "back": "/?severity=high"}
    plain = await door.act("acknowledge", **fields)
    path, query = place(plain)
    assert (path, query) == (
        "/",
        {"severity": "high", "action": KEY, "did": "acknowledge", "of": "acct_1"},
    )
    assert "Acknowledged: you are on it." in text(await door.get(plain.headers["location"]))
    by_script = await door.post(
        "/accounts/acct_1",
        {"type": "acknowledge", "key": KEY} | fields | {"back": "//evil.example/"},
        hx_request="true",
    )
    assert place(by_script)[0] == "/rows"


async def test_several_at_once_each_under_an_id_of_its_own(door: Door) -> None:
    door.view.put(case("acct_2"))
    form = [("account", "acct_1"), ("account", "acct_2"), ("account", "acct_1"), ("key", KEY)]
    answer = await door.post("/acknowledge", [*form, ("back", "/?sort=arr")])
    repeated = await door.post("/acknowledge", form)

    assert place(answer) == ("/", {"sort": "arr", "acked": "2"})
    assert "2 accounts acknowledged." in text(await door.get(answer.headers["location"]))
    assert repeated.status_code == 303
    heard = [(one.case, one.id) for one in door.desk.heard]
    assert [account for account, _ in heard] == ["acct_1", "acct_2"]
    assert len({id for _, id in heard}) == 2
    assert (await door.post("/acknowledge", {"key": KEY})).status_code == 422


async def test_several_at_once_are_told_apart_by_what_became_of_them(door: Door) -> None:
    door.view.put(case("acct_2", state="snoozed"))
    door.view.fresh = door.view.fresh.model_copy(update={"complete": False})
    form = [("account", "acct_1"), ("account", "acct_2"), ("account", "gone"), ("key", KEY)]
    answer = await door.post("/acknowledge", form)

    assert place(answer) == ("/", {"acked": "1", "same": "1", "gone": "1"})
    told = text(await door.get(answer.headers["location"]))
    assert (
        "1 account acknowledged. 1 account was not open, so nothing changed there. "
        "1 account has no case any more."
    ) in told
    door.desk.verdict = "pending"
    answer = await door.post("/acknowledge", [("account", "acct_1"), ("key", "another")])
    assert place(answer) == ("/", {"waits": "1"})
    told = text(await door.get(answer.headers["location"]))
    assert "1 account is being acknowledged; no need to send it again." in told


@pytest.mark.parametrize(
    "fields, status",
    [
        ([("account", "acct_1"), ("account", "x" * 300)], 404),
        ([("account", "acct_1"), ("account", "")], 404),
        ([("account", "acct_1"), ("account", "a\nb")], 404),
        ([("account", "acct_1"), ("key", "k\n")], 422),
    ],
)
async def test_several_of_which_one_cannot_be_change_nothing(
    door: Door, fields: list[tuple[str, str]], status: int
) -> None:
    assert (await door.post("/acknowledge", fields)).status_code == status
    assert door.desk.heard == []


@pytest.mark.parametrize("asked", ["acked=²", "acked=-1", "same=x", "acked=", "waits=1e3"])
async def test_a_count_that_is_none_is_not_told(door: Door, asked: str) -> None:
    answer = await door.get(f"/?{asked}")

    assert (answer.status_code, "data-say" in answer.text) == (200, False)


async def test_who_i_am_is_remembered_and_nobody_else_can_be_named(door: Door) -> None:
    answer = await door.post("/me", {"person": "ana", "back": "/accounts?q=x"})
    cookie = answer.headers["set-cookie"]
    assert (answer.status_code, answer.headers["location"]) == (303, "/accounts?q=x")
    assert cookie.startswith("ebbwatch_person=ana;")
    assert "HttpOnly" in cookie
    assert "SameSite=lax" in cookie
    door.client.cookies["ebbwatch_person"] = "ana"
    assert "Good to see you, Ana Lima" in text(await door.get("/"))
    assert (await door.post("/me", {"person": "root"})).status_code == 422
    gone = await door.post("/me", {"person": "", "back": "https://evil.example"})
    assert (gone.headers["location"], "Max-Age=0" in gone.headers["set-cookie"]) == ("/", True)


async def test_a_form_of_another_site_does_nothing(door: Door) -> None:
    answer = await door.post(
        "/accounts/acct_1", {"type": "acknowledge"}, origin="https://evil.example"
    )

    assert answer.status_code == 403
    assert door.desk.heard == []
