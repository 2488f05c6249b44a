import html
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import httpx2
import pytest

from schemas.config import ChannelHealth, PersonRecord, RoutingRecord
from services.alerts.directory import DirectorySnapshot
from services.alerts.shown import AccountPage, Moment
from tests.unit.alerts.console.door import CRM, KEY, PEOPLE, Door, text
from tests.unit.alerts.fakes import NOW, alert, case


async def test_the_inbox(door: Door) -> None:
    answer = await door.get("/")

    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    told = text(answer)
    for part in [
        "1 open case",
        "EUR 12k",
        "Acme Ltd",
        "Api_calls fell 42 % in 28 days",
        "in 32 days",
    ]:
        assert part in told
    assert "Ana Lima" in told


async def test_an_inbox_without_cases_is_quiet(door: Door) -> None:
    door.view.pages.clear()

    assert "All quiet" in text(await door.get("/"))
    assert "Nothing matches" in text(await door.get("/?owner=me"))
    assert "No case is snoozed" in text(await door.get("/?state=snoozed"))


async def test_more_than_a_page_is_turned_over(door: Door) -> None:
    for number in range(60):
        door.view.put(case(f"more_{number:02}", arr=1_000 + number))
    first = await door.get("/")
    following = re.search(r'rel="next" href="([^"]+)"', first.text)
    assert following is not None
    second = await door.get(html.unescape(following[1]))

    shown = re.findall(r'data-account="([^"]+)"', first.text + second.text)
    assert len(shown) == len(set(shown)) == 61
    assert "11 of 61 cases" in text(second)


@pytest.mark.parametrize("currency, arr", [("EUR", 1_200_000), ("JPY", 12_000)])
async def test_a_band_of_revenue_is_in_the_currency_of_the_cases(
    door: Door, currency: str, arr: int
) -> None:
    door.view.put(case(currency=currency, arr=arr))

    assert "Acme Ltd" in text(await door.get("/?arr=10000-50000"))
    assert "Nothing matches" in text(await door.get("/?arr=0-10000"))


async def test_a_filter_nobody_can_follow_names_its_field(door: Door) -> None:
    answer = await door.get("/?severity=awful")

    assert answer.status_code == 422
    assert "Severity: 'awful' is none of info, low, medium, high, critical" in text(answer)


async def test_rows_are_brought_up_to_date_one_by_one(door: Door) -> None:
    answer = await door.get("/rows?account=acct_1&account=gone")

    assert answer.text.count("<hx-partial") == 3
    assert 'hx-target="#tabs"' in answer.text
    assert "Acme Ltd" in answer.text


async def test_an_account_page(door: Door) -> None:
    moments = [
        Moment(
            n=1, at=NOW, type="case.commented", by="ben", title="Ben commented", text="Hm.\nSo?"
        ),
        Moment(n=0, at=NOW, type="notice.delivered", title="Delivered by crm to ana (owner)"),
    ]
    page = door.view.pages["acct_1"]
    door.view.pages["acct_1"] = page.model_copy(
        update={
            "timeline": moments,
            "alerts": [
                alert(text="They fell.", play="check-integration", feedback={"ana": "useful"}),
                alert(alert_id="old", cleared_at=NOW, reason="recovered", headline="it was low"),
                alert(alert_id="dark", shadow=True),
            ],
        }
    )
    told = text(await door.get("/accounts/acct_1"))

    for part in [
        "Acme Ltd",
        "EUR 12,000",
        "in 32 days 15 June 2026",
        "They fell.",
        "Next step: check integration",
        "Rule usage.drop of rule set 7, judged on 13 May 2026",
        "Ana Lima: useful",
        "In shadow",
        "It was low raised 14 May 2026, over 14 May 2026: it recovered",
        "Delivered by crm to Ana Lima (owner)",
        "Hm. So?",
    ]:
        assert part in told, part


async def test_an_account_to_which_nothing_ever_happened(door: Door) -> None:
    door.view.pages["calm"] = AccountPage(account="calm", quarantined=True)
    told = text(await door.get("/accounts/calm"))

    assert "Nothing was ever raised for this account" in told
    assert "This account is held back" in told
    assert "Acknowledge" not in told


ODD = [
    "a/b",
    "a b",
    "ünï-çødé-客户",
    "..",
    "../..",
    "a/../b",
    "/",
    "50%",
    "a?b#c",
    "%2F",
    "<b>&\"'",
]


@pytest.mark.parametrize("account", ODD)
async def test_any_account_id_can_be_followed_from_the_inbox_and_acted_on(
    door: Door, account: str
) -> None:
    door.view.pages.clear()
    door.view.put(case(account))
    inbox = await door.get("/")
    link = re.search(r'class="open-case" id="[^"]+" href="([^"]+)"', inbox.text)
    assert link is not None
    # A browser resolves dots before it asks; what it would ask must still be the account.
    address = str(httpx2.URL("http://localhost").join(html.unescape(link[1])))
    page = await door.client.get(address)
    acted = await door.client.post(
        address,
        content=urlencode({"type": "acknowledge", "key": KEY}),
        headers={"content-type": "application/x-www-form-urlencoded"},
    )

    assert page.status_code == 200
    assert f'data-account="{html.escape(account)}"' in page.text.replace("&#34;", "&quot;").replace(
        "&#39;", "&#x27;"
    )
    assert acted.status_code == 303
    assert [one.case for one in door.desk.heard] == [account]


@pytest.mark.parametrize(
    "path", ["/accounts/nobody", "/nope", "/static/none.css", "/accounts?id=x"]
)
async def test_what_is_not_there_is_a_page_too(door: Door, path: str) -> None:
    answer = await door.get(path)

    assert answer.status_code == 404
    assert "There is nothing here" in text(answer)


async def test_a_view_that_is_away_says_so_and_when_to_try_again(door: Door) -> None:
    door.view.away = True
    answer = await door.get("/?action=k&of=acct_1")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    told = text(answer)
    assert "Nothing can be shown just now" in told
    assert "What you did was accepted and is kept" in told
    assert "Alerts are still taken in and delivered" in told


async def test_what_is_missing_from_a_view_that_is_not_whole_may_still_come(door: Door) -> None:
    door.view.fresh = door.view.fresh.model_copy(update={"complete": False, "current": 3})
    answer = await door.get("/accounts/other")
    assert (answer.status_code, "are being rebuilt" in text(answer)) == (503, True)
    door.view.pages.clear()
    inbox = text(await door.get("/"))
    assert "3 of 8 parts are there" in inbox
    assert "All quiet" not in inbox


async def test_how_fresh_it_is(door: Door) -> None:
    assert "Up to date" in text(await door.get("/freshness"))
    door.view.fresh = door.view.fresh.model_copy(
        update={"stale": True, "reason": "it <b>waits</b>"}
    )
    stale = await door.get("/")
    assert "This is out of date. it <b>waits</b>" in text(stale).replace("&lt;", "<")
    assert "<b>waits" not in stale.text
    door.view.away = True
    assert "Unknown" in text(await door.get("/freshness"))


async def test_deliveries_tell_how_channels_do_and_no_secret(door: Door) -> None:
    off = ChannelHealth(failing_since=NOW, disabled_at=NOW, reason="gone")
    door.directory.snapshot = DirectorySnapshot(
        people=PEOPLE,
        routing=RoutingRecord(signal_manager="ben"),
        channels={
            "crm": CRM,
            "slow": replace(CRM, name="slow", health=ChannelHealth(failing_since=NOW)),
            "off": replace(CRM, name="off", health=off),
            "odd": replace(CRM, name="odd", fault="its secret cannot be opened"),
        },
    )
    answer = await door.get("/deliveries")
    told = text(answer)

    for part in [
        "crm webhook to crm.example Delivering",
        "Failing since",
        "Switched off since",
        "gone for good (410); mend it, then: ebbwatch channels enable off; what comes waits three "
        "days",
        "Its secret cannot be opened",
        "goes to Ben , the signal manager",
    ]:
        assert part in told, part
    assert "secret-path" not in answer.text


async def test_without_a_channel_every_page_of_it_says_that_nobody_is_notified(door: Door) -> None:
    door.directory.snapshot = DirectorySnapshot()

    for path in ("/", "/deliveries"):
        assert "Nobody is notified" in text(await door.get(path))


async def test_whoever_acted_last_is_named_beside_the_state(door: Door) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"state": "acknowledged", "by": "ana"}, "Acknowledged by Ana Lima"),
        ({"state": "acknowledged", "by": "someone"}, "Acknowledged"),
        ({"state": "resolved", "outcome": "saved", "by": "ben"}, "Resolved: saved by Ben"),
        ({"state": "resolved", "by": "ana"}, "Resolved: it cleared"),
    ]
    for changes, told in cases:
        door.view.put(case(**changes))
        state = changes["state"]
        for path in (f"/?state={state}", "/rows?account=acct_1", "/accounts/acct_1"):
            answer = await door.get(path)
            found = re.search(r'<span class="stand">(.*?)</span>\s*</span>', answer.text, re.S)
            assert found is not None, path
            assert " ".join(re.sub("<[^>]+>", " ", found[1]).split()) == told, path


async def test_the_heading_comes_with_the_rows(door: Door) -> None:
    assert "1 open case · EUR 12k of yearly revenue" in text(await door.get("/rows"))
    door.view.put(case(state="acknowledged"))
    answer = await door.get("/rows?account=acct_1")

    assert 'hx-target="#standing" hx-swap="innerHTML">Nothing is open.<' in answer.text


async def test_the_age_of_a_row_is_that_of_its_reason(door: Door) -> None:
    door.view.put(case(opened_at=NOW - timedelta(days=40)))
    answer = await door.get("/")

    assert re.search(r'class="c-age"><time [^>]*>9 h</time>', answer.text)
    assert "the case has been open since 4 April 2026, 09:30 UTC" in answer.text


async def test_numbers_are_those_of_the_judged_day_and_the_rest_is_for_statisticians(
    door: Door,
) -> None:
    page = door.view.pages["acct_1"]
    because = {"observed": 5.0, "q": 0.0893, "thresholds_in_force": {"pace": 18}}
    door.view.pages["acct_1"] = page.model_copy(update={"alerts": [alert(because=because)]})
    told = text(await door.get("/accounts/acct_1"))

    assert "The numbers, as of 13 May 2026 Observed 5 units in the window" in told
    assert told.index("For statisticians") < told.index("Rhythm 9 %") < told.index("pace 18")


@pytest.mark.parametrize(
    "minutes, told",
    [(30, "within the last hour"), (200, "3 h ago"), (60 * 24 * 8, "8 d ago")],
)
async def test_the_last_event_is_told_to_the_hour(door: Door, minutes: int, told: str) -> None:
    page = door.view.pages["acct_1"]
    heard = NOW - timedelta(minutes=minutes)
    door.view.pages["acct_1"] = page.model_copy(update={"last_event_at": heard})

    assert f"Last event {told}" in text(await door.get("/accounts/acct_1"))


async def test_an_alert_in_shadow_can_be_judged_though_there_is_no_case(door: Door) -> None:
    shadow = AccountPage(account="dark", name="Dark", alerts=[alert("dark", shadow=True)])
    door.view.pages["dark"] = shadow
    told = text(await door.get("/accounts/dark"))

    assert "No alert is open Only rules that are measured have found something." in told
    assert "Raised by rules that are only measured; nobody is told." in told
    assert "What was this alert worth? Useful False alarm Known already Too late" in told


async def test_what_is_watched_is_told_with_what_it_could_show(door: Door) -> None:
    states = {
        "@people": "ok",
        "api_calls": "too_little_volume",
        "exports": "warming_up",
        "odd": "of_a_newer_version",
        "@tickets": "warming_up",
        "@tickets_high": "no_data",
    }
    page = door.view.pages["acct_1"]
    watched = {"states": states, "least": {"@people": 22, "api_calls": 71, "@tickets": 40}}
    door.view.pages["acct_1"] = page.model_copy(update=watched)
    answer = await door.get("/accounts/acct_1")

    table = answer.text.partition('id="watched-title"')[2].partition("</table>")[0]
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td.*?>(.*?)</td><td.*?>(.*?)</td>", table)
    assert [tuple(re.sub("<.*?>", "", cell) for cell in row) for row in rows] == [
        ("Active people", "judged at the end of each day", "22 % in four weeks"),
        (
            "api_calls",
            "too little volume to tell, but for the largest falls",
            "too little volume to tell",
        ),
        (
            "exports",
            "learning: 112 days with this customer are needed first",
            "not known yet",
        ),
        ("odd", "of a newer version", "not known yet"),
        (
            "Tickets",
            "rises are judged at the end of each day, once 63 days with this customer are known",
            "only rises are told",
        ),
        (
            "Urgent tickets",
            "no data from its source: nothing is judged, nothing clears",
            "only rises are told",
        ),
    ]


async def test_the_list_of_accounts_tells_the_state_of_each_case(door: Door) -> None:
    shadow = AccountPage(account="dark", name="Dark", alerts=[alert("dark", shadow=True)])
    door.view.pages["dark"] = shadow
    answer = await door.get("/accounts")

    states = re.findall(r'data-label="State">(.*?)</td>', answer.text)
    assert states == ["<strong>Open</strong>", '<span class="quiet">no case</span>']


async def test_accounts_are_found_by_the_beginning_of_a_word(door: Door) -> None:
    assert "Acme Ltd" in text(await door.get("/accounts?q=lt"))
    assert "No account begins like that" in text(await door.get("/accounts?q=zz"))
    door.view.pages.clear()
    assert "No account yet" in text(await door.get("/accounts"))


HOSTILE = "<script>alert(1)</script>"


async def test_whatever_somebody_is_called_is_only_text(door: Door) -> None:
    door.directory.snapshot = DirectorySnapshot(
        people={HOSTILE: PersonRecord(id=HOSTILE, name=HOSTILE * 100)}, channels={"crm": CRM}
    )
    told = alert(HOSTILE, headline=HOSTILE, text=HOSTILE, title=HOSTILE, rule=HOSTILE)
    door.view.put(case(HOSTILE, name=HOSTILE, owner=HOSTILE, segment=HOSTILE, alerts=[told]))
    moment = Moment(n=0, at=NOW, type="case.commented", by=HOSTILE, title=HOSTILE, text=HOSTILE)
    page = door.view.pages[HOSTILE]
    because = {HOSTILE: HOSTILE, "metrics": [HOSTILE], "weekly": [], "masked_days": []}
    door.view.pages[HOSTILE] = page.model_copy(
        update={"timeline": [moment], "alerts": [told.model_copy(update={"because": because})]}
    )

    for path in (
        "/",
        f"/?q={quote(HOSTILE)}&owner={quote(HOSTILE)}&segment={quote(HOSTILE)}",
        f"/accounts/{quote(HOSTILE, safe='')}",
        f"/accounts?q={quote(HOSTILE)}",
        f"/accounts/{quote(HOSTILE + 'x', safe='')}",
        f"/rows?account={quote(HOSTILE)}",
        f"/?severity={quote(HOSTILE)}",
    ):
        answer = await door.get(path)
        assert "<script>" not in answer.text
        assert "&lt;script&gt;alert(1)" in answer.text
