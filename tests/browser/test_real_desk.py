"""The same pages on the real service: Kafka, Valkey, and the process that folds and serves."""

import asyncio
import re
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import pytest
from playwright.sync_api import Browser, expect
from redis import Redis

from schemas.accounts import AccountDays, AccountSummary
from tests.browser.conftest import Watch
from tests.browser.stories import STORIES, alert_of, facts_of, months_of, summary_of
from tests.integration.deployment import Deployment
from tests.integration.desk import append, append_accounts, person

pytestmark = [pytest.mark.integration, pytest.mark.timeout(180)]

T = TypeVar("T")

PEOPLE = "\n".join(
    f'[person.{id}]\nname = "{name}"'
    for id, name in {"ana": "Ana Lima", "ben": "Ben Carter", "kim": "Kim Larsen"}.items()
)


@pytest.fixture
def deployment(kafka: str, valkey: str, tmp_path: Path) -> Iterator[Deployment]:
    made = Deployment(kafka, tmp_path, redis_url=valkey)
    company = tmp_path / "company"
    company.mkdir()
    (company / "directory.toml").write_text(PEOPLE)
    made.environ["EBBWATCH_CONFIG_DIR"] = str(company)
    made.prepare()
    made.start("alerts")
    yield made
    made.stop()


def apart(work: Awaitable[T]) -> T:
    """Run in a thread of its own: Playwright's loop runs in this one."""

    async def done() -> T:
        return await work

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, done()).result(60)


async def fill(deployment: Deployment) -> str:
    """Put the accounts and the alerts of the stories into the log; return the first's headline."""
    now = datetime.now(UTC)
    async with person(deployment) as kim:
        await kim.ready()
    accounts: list[AccountSummary | AccountDays] = [summary_of(one, now) for one in STORIES]
    accounts += [month for one in STORIES for month in months_of(one, now.date())]
    await append_accounts(deployment, accounts)
    alerts = [one for story in STORIES if (one := alert_of(story, now.date()))]
    alerts += [one for story in STORIES for one in facts_of(story, now.date())]
    await append(deployment, alerts)
    return str(alerts[0].because["headline"])


def test_an_alert_reaches_the_inbox_is_acted_on_and_another_tab_sees_it(
    browser: Browser, deployment: Deployment, valkey: str
) -> None:
    headline = apart(fill(deployment))
    watch = Watch(deployment.desk())
    watch.expected = ("503",)
    context = browser.new_context(base_url=deployment.desk())
    watch.over(context)
    inbox, account = context.new_page(), context.new_page()
    inbox.goto("/")
    inbox.get_by_label("I am").select_option("Ben Carter")
    line = inbox.locator("tr.case", has_text="Northwind Logistics")
    # How far depends on the weekday of today.
    assert re.fullmatch(r"usage \(api_calls\) fell 5\d % in 28 days", headline)
    expect(line).to_contain_text(headline.removeprefix("u"))
    expect(line.locator("svg.spark")).to_be_visible()

    account.goto("/accounts/acct_northwind")
    expect(account.locator(".plot canvas").first).to_be_visible()
    account.get_by_role("button", name="Acknowledge").click()
    expect(account.locator(".banner-good")).to_have_text("Acknowledged: you are on it.")
    expect(line.locator(".state")).to_have_text("Acknowledged")
    expect(account.locator(".moment").first).to_contain_text("Ben Carter acknowledged it")

    # The view may be lost at any time; it is whole again in seconds, and nothing was in it alone.
    with Redis.from_url(valkey) as redis:
        redis.flushall()
    account.reload()
    told = account.locator(".moment").first
    expect(told).to_contain_text("Ben Carter acknowledged it", timeout=20_000)
    account.bring_to_front()
    account.keyboard.press("r")
    account.get_by_role("button", name="Saved").click()
    expect(account.locator(".marks .state")).to_have_text("Resolved: saved")
    context.close()

    assert watch.left() == []
    assert deployment.end("alerts-0") == 0
