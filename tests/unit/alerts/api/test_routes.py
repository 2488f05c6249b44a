import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from schemas.config import ChannelHealth, PersonRecord, RoutingRecord
from services.alerts.access import HEADERS
from services.alerts.channels import Channel
from services.alerts.directory import DirectorySnapshot
from services.alerts.shown import CaseShown
from tests.unit.alerts.door import Door, opened
from tests.unit.alerts.fakes import NOW, alert, case

SECRET = "whsec_c2VjcmV0IG9mIGEgY2hhbm5lbCwgbm90IHNob3du"


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened() as found:
        yield found


async def test_a_list_of_cases_says_how_far_it_can_be_relied_on(door: Door) -> None:
    answer = await door.get("/cases")

    shown = case().model_copy(update={"spark": door.view.spark})
    assert answer.status_code == 200
    assert answer.json() == {
        "items": [shown.model_dump(mode="json")],
        "next": None,
        "total": 1,
        "freshness": door.view.fresh.model_dump(mode="json"),
    }


async def test_money_is_minor_units_with_its_currency(door: Door) -> None:
    (item,) = (await door.get("/cases")).json()["items"]

    assert (item["arr"], item["currency"], item["renewal_on"]) == (1_200_000, "EUR", "2026-06-15")


async def test_pages_follow_each_other_without_a_gap(door: Door) -> None:
    for number in range(2, 6):
        door.view.put(case(f"acct_{number}", arr=1_200_000 - number))
    found, cursor = list[str](), ""

    for _ in range(3):
        told = (await door.get(f"/cases?limit=2{cursor}")).json()
        found += [item["account"] for item in told["items"]]
        cursor = f"&cursor={told['next']}"

    assert found == ["acct_1", "acct_2", "acct_3", "acct_4", "acct_5"]
    assert told["next"] is None


@pytest.mark.parametrize(
    "query, accounts",
    [
        ("", ["acct_1", "acct_2"]),
        ("state=resolved", ["acct_3"]),
        ("state=open&state=resolved", ["acct_1", "acct_3"]),
        ("owner=bo", ["acct_2"]),
        ("owner=", []),
        ("severity=critical", ["acct_2"]),
        ("min_arr=1200000", ["acct_1"]),
        ("renewal_before=2026-06-16", ["acct_1"]),
        ("q=ACME", ["acct_1"]),
        ("rule=other", []),
        ("sort=arr", ["acct_1", "acct_2"]),
    ],
)
async def test_filters_stand_in_the_address(door: Door, query: str, accounts: list[str]) -> None:
    quiet: dict[str, Any] = {"name": "Zeta", "arr": 100, "renewal_on": None}
    door.view.put(case("acct_2", state="snoozed", owner="bo", severity="critical", **quiet))
    door.view.put(case("acct_3", state="resolved", **quiet))

    told = (await door.get(f"/cases?{query}")).json()

    assert [item["account"] for item in told["items"]] == accounts


async def test_a_filter_that_cannot_be_read_is_422_and_every_field_is_named(door: Door) -> None:
    answer = await door.get("/cases?state=asleep&limit=201&min_arr=much&renewal_before=soon&ownr=x")

    told = answer.json()
    named = [fault["field"] for fault in told["faults"]]
    assert answer.status_code == 422
    assert sorted(named) == ["limit", "min_arr", "ownr", "renewal_before", "state.0"]
    assert (told["error"], told["field"]) == ("invalid", named[0])


async def test_a_filter_that_does_not_exist_is_422_with_where_those_stand_that_do(
    door: Door,
) -> None:
    (fault,) = (await door.get("/cases?statee=open")).json()["faults"]

    assert fault == {
        "field": "statee",
        "detail": "there is no such field; /api/v1/openapi.json names those that there are",
    }


async def test_a_cursor_of_no_list_is_422(door: Door) -> None:
    answer = await door.get("/cases?cursor=abc")

    assert (answer.status_code, answer.json()["field"]) == (422, "cursor")


async def test_a_case_is_known_again_by_its_etag(door: Door) -> None:
    first = await door.get("/cases/acct_1")
    tag = first.headers["etag"]

    again = await door.get("/cases/acct_1", if_none_match=f'"x", W/{tag}')
    door.view.put(case(alerts=[alert(severity="critical")]))
    changed = await door.get("/cases/acct_1", if_none_match=tag)

    assert first.json() == case().model_dump(mode="json")
    assert re.fullmatch(r'"1-[0-9a-f]{16}"', tag)
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert changed.status_code == 200
    assert changed.headers["etag"] not in ("", tag)


@pytest.mark.parametrize("path", ["/cases/nobody", "/accounts/nobody", "/alerts/none", "/cases/"])
async def test_what_is_not_there_is_404(door: Door, path: str) -> None:
    answer = await door.get(path)

    assert (answer.status_code, answer.json()["error"]) == (404, "unknown")


@pytest.mark.parametrize("path", ["/cases/nobody", "/accounts/nobody", "/alerts/none"])
async def test_while_the_view_is_rebuilt_nothing_is_called_unknown(door: Door, path: str) -> None:
    rebuilt = {"complete": False, "stale": True, "reason": "The view is being rebuilt."}
    door.view.fresh = door.view.fresh.model_copy(update=rebuilt)

    answer = await door.get(path)

    assert (answer.status_code, answer.json()["error"]) == (503, "rebuilding")
    assert answer.headers["retry-after"] == "2"


@pytest.mark.parametrize(
    "path",
    ["/cases", "/cases/acct_1", "/alerts", "/alerts/x", "/accounts", "/accounts/acct_1", "/status"],
)
async def test_without_the_view_reads_are_503(door: Door, path: str) -> None:
    door.view.away = True

    answer = await door.get(path)

    assert answer.status_code == 503
    assert answer.json() == {
        "error": "view_away",
        "detail": "Redis at 127.0.0.1:16379 does not answer; start it",
    }
    assert answer.headers["retry-after"] == "2"


async def test_alerts_accounts_and_pages_are_read(door: Door) -> None:
    over = alert("acct_2", cleared_at=NOW, reason="recovered")
    door.view.put(case("acct_2", name="Beta Corp", state="resolved", alerts=[over]))
    fresh = door.view.fresh.model_dump(mode="json")
    first = alert().model_dump(mode="json")

    assert (await door.get("/alerts")).json() == {
        "items": [first],
        "next": None,
        "freshness": fresh,
    }
    assert (await door.get("/alerts?state=all&limit=1")).json() == {
        "items": [first],
        "next": "1",
        "freshness": fresh,
    }
    assert (await door.get("/alerts?state=all&limit=1&cursor=1")).json()["items"] == [
        over.model_dump(mode="json")
    ]
    assert (await door.get("/alerts/alert-of-acct_2")).json() == over.model_dump(mode="json")
    found = (await door.get("/accounts?q=beta")).json()
    assert [(item["account"], item["state"]) for item in found["items"]] == [("acct_2", "resolved")]
    page = door.view.pages["acct_2"].model_dump(mode="json")
    assert (await door.get("/accounts/acct_2")).json() == page


async def test_the_status_counts_what_waits(door: Door) -> None:
    door.view.put(case("acct_2", state="snoozed", severity="low"))
    door.view.put(case("acct_3", state="resolved"))

    assert (await door.get("/status")).json() == {
        "cases": {"open": 1, "acknowledged": 0, "snoozed": 1},
        "severities": {"info": 0, "low": 1, "medium": 0, "high": 1, "critical": 0},
        "freshness": door.view.fresh.model_dump(mode="json"),
    }


def _channel(name: str, fault: str = "", health: ChannelHealth | None = None) -> Channel:
    return Channel(
        name=name,
        kind="webhook",
        url=f"https://hooks.example.com/T1/{SECRET}",
        secrets=(SECRET,),
        health=health or ChannelHealth(),
        fault=fault,
    )


async def test_people_and_channels_are_listed_and_no_answer_carries_a_secret(door: Door) -> None:
    ana = PersonRecord(id="ana", name="Ana Alves", email="ana@example.com", slack="U1")
    failing = ChannelHealth(failing_since=NOW)
    disabled = ChannelHealth(failing_since=NOW, disabled_at=NOW, reason="gone")
    channels = [
        _channel("a"),
        _channel("b", health=failing),
        _channel("c", health=disabled),
        _channel("d", fault="its secret cannot be opened"),
    ]
    door.directory.snapshot = DirectorySnapshot(
        people={"ana": ana},
        routing=RoutingRecord(signal_manager="ana"),
        channels={channel.name: channel for channel in channels},
    )

    people, shown = await door.get("/people"), await door.get("/channels")

    assert people.json() == {
        "items": [{"id": "ana", "name": "Ana Alves", "email": "ana@example.com", "manager": None}],
        "signal_manager": "ana",
    }
    at = NOW.isoformat().replace("+00:00", "Z")
    assert [
        (one["name"], one["host"], one["state"], one["failing_since"], one["detail"])
        for one in shown.json()["items"]
    ] == [
        ("a", "hooks.example.com", "ok", None, ""),
        ("b", "hooks.example.com", "failing", at, ""),
        ("c", "hooks.example.com", "disabled", at, "gone"),
        ("d", "hooks.example.com", "broken", None, "its secret cannot be opened"),
    ]
    paths = [
        path for path in (await door.document())["paths"] if "{" not in path and path != "/stream"
    ]
    assert len(paths) == 6
    for path in [*paths, "/openapi.json"]:
        assert SECRET not in (await door.get(path)).text


@pytest.mark.parametrize("path", ["/people/", "/status/", "/stream/", "/cases/acct_1/actions/"])
async def test_nobody_is_sent_to_the_host_that_they_named(door: Door, path: str) -> None:
    for method in ("GET", "POST"):
        answer = await door.client.request(
            method, f"/api/v1{path}", headers={"host": "evil.localhost"}
        )
        assert answer.status_code in (404, 405)
        assert "location" not in answer.headers


async def test_a_query_of_many_unknown_names_is_answered_in_short(door: Door) -> None:
    answer = await door.get("/cases?" + "&".join(f"a{n}={'x' * 10}" for n in range(2_000)))

    assert (answer.status_code, len(answer.json()["faults"])) == (422, 20)
    assert "1,980 more" in answer.json()["detail"]


async def test_head_gets_the_headers_of_get_and_no_body(door: Door) -> None:
    for path in ("/cases", "/cases/acct_1", "/status", "/openapi.json", "/stream", "/cases/nobody"):
        head = await door.client.head(f"/api/v1{path}")
        assert (head.status_code, head.content) == (404 if "nobody" in path else 200, b"")
    head, got = await door.client.head("/api/v1/cases/acct_1"), await door.get("/cases/acct_1")
    assert head.headers == got.headers


@pytest.mark.parametrize(
    "method, path, status",
    [
        ("GET", "/cases", 200),
        ("GET", "/cases/nobody", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/cases/acct_1", 405),
        ("POST", "/cases/acct_1/actions", 415),
        ("GET", "/cases?limit=0", 422),
    ],
)
async def test_every_answer_is_json_with_the_security_headers(
    door: Door, method: str, path: str, status: int
) -> None:
    answer = await door.client.request(method, f"/api/v1{path}")

    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert {name: answer.headers[name] for name in HEADERS} == dict(HEADERS)
    if status >= 400:
        assert {"error", "detail"} <= answer.json().keys()


async def test_a_bug_is_500_in_json_and_tells_nothing_of_itself(door: Door) -> None:
    async def broken(resolved: bool = False) -> list[CaseShown]:
        raise RuntimeError(SECRET)

    door.view.cases = broken  # type: ignore[method-assign]
    transport = door.client._transport
    assert isinstance(transport, httpx2.ASGITransport)
    transport.raise_app_exceptions = False

    answer = await door.get("/cases")

    assert (answer.status_code, answer.json()["error"]) == (500, "bug")
    assert SECRET not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/actions/a%0Ab", "/cases/a%0Ab", "/accounts/%0A", "/alerts/%0A"])
async def test_a_path_with_a_line_break_is_answered_as_the_api_answers(
    door: Door, path: str
) -> None:
    answer = await door.get(path)

    assert (answer.status_code, answer.json()["error"]) == (404, "no_such_route")
