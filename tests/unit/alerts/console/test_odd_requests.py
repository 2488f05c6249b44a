"""Requests that no page of ours makes are answered with a page, and lead nowhere else."""

import html
import re
from urllib.parse import quote, urlencode

import httpx2
import pytest

from tests.unit.alerts.console.door import KEY, Door, text
from tests.unit.alerts.fakes import case

FORM = {"content-type": "application/x-www-form-urlencoded"}
ODD = ["50%2F", "50/", "a/../../me", "a?b=1", "a#b", "a&b", 'a"b', "客户", "a\\b", "a b"]


def _leads_to(pattern: str, answer: httpx2.Response) -> str:
    """The path that a browser asks for when it follows what a page offers."""
    found = re.search(pattern, answer.text)
    assert found is not None
    joined = httpx2.URL("http://localhost").join(html.unescape(found[1]))
    return joined.raw_path.decode()


@pytest.mark.parametrize("account", ODD)
async def test_to_try_again_is_to_try_the_same_account_again(door: Door, account: str) -> None:
    door.view.put(case(account))
    address = f"/accounts/{quote(account, safe='')}"
    body = urlencode({"type": "comment", "text": "x", "key": KEY})
    door.desk.verdict = "away"
    answer = await door.client.post(address, content=body, headers=FORM)
    assert _leads_to(r'<form method="post" action="([^"]+)"', answer) == address

    door.view.away = True
    answer = await door.client.get(f"{address}?x=a%26b")
    assert _leads_to(r'class="button" href="([^"]+)">Try again', answer) == f"{address}?x=a%26b"


@pytest.mark.parametrize("account", ODD)
async def test_whoever_says_who_they_are_stays_with_the_account(door: Door, account: str) -> None:
    door.view.put(case(account))
    address = f"/accounts/{quote(account, safe='')}"
    door.desk.verdict = "pending"
    body = urlencode({"type": "acknowledge", "key": KEY})
    acted = await door.client.post(address, content=body, headers=FORM)
    page = await door.client.get(acted.headers["location"])

    back = re.search(r'name="back" value="([^"]+)"', page.text)
    assert back is not None
    assert html.unescape(back[1]) == acted.headers["location"]
    assert _leads_to(r'hx-get="(/accounts[^"]+)"', page) == acted.headers["location"]
    said = await door.post("/me", {"person": "ana", "back": html.unescape(back[1])})
    assert said.headers["location"] == acted.headers["location"]


async def test_a_number_that_python_does_not_read_is_a_malformed_filter(door: Door) -> None:
    for digits in ("9" * 5_000, "0" * 5_000, "9" * 5):
        answer = await door.get(f"/?renewal={digits}")
        assert (answer.status_code, "Renewal:" in text(answer)) == (422, True)


@pytest.mark.parametrize(
    "path", ["/", "/accounts", "/accounts/acct_1", "/deliveries", "/rows", "/nope"]
)
async def test_a_header_that_names_nobody_is_told_on_a_page(door: Door, path: str) -> None:
    answer = await door.client.get(path, headers={"x-ebbwatch-person": "ebbwatch"})

    told = (404, "There is nothing here") if path == "/nope" else (422, "is no id of a person")
    assert (answer.status_code, told[1] in text(answer)) == (told[0], True)
    acted = await door.post("/accounts/acct_1", {"type": "acknowledge"}, x_ebbwatch_person="")
    assert (acted.status_code, door.desk.heard) == (422, [])


async def test_an_account_that_cannot_be_is_missing_and_nothing_is_sent(door: Door) -> None:
    for path in (f"/accounts/{'x' * 300}", "/accounts?id=", "/accounts/a%00b"):
        answer = await door.post(path, {"type": "acknowledge", "key": KEY})
        assert (answer.status_code, "There is nothing here" in text(answer)) == (404, True)
    assert door.desk.heard == []
