"""Until there is a login: a token as the password of the browser's own dialogue."""

from playwright.sync_api import Browser, expect

from tests.browser.conftest import Watch
from tests.browser.serving import fixed_clock, served
from tests.browser.world import World

TOKEN = "a token of the tests, long enough"


def test_a_browser_logs_in_with_the_token_and_its_user_name_says_who_acts(
    browser: Browser,
) -> None:
    with served(lambda: World(fixed_clock), token=TOKEN) as console:
        watch = Watch(console.address)
        watch.expected = ("401",)
        context = browser.new_context(
            base_url=console.address, http_credentials={"username": "ana", "password": TOKEN}
        )
        watch.over(context)
        page = context.new_page()
        page.goto("/")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Ana Lima")
        page.goto("/accounts/acct_northwind")
        page.get_by_role("button", name="Acknowledge").click()
        expect(page.locator(".moment").first).to_contain_text("Ana Lima acknowledged it")
        context.close()
        assert watch.left() == []


def test_a_wrong_password_lets_nobody_in(browser: Browser) -> None:
    with served(lambda: World(fixed_clock), token=TOKEN) as console:
        context = browser.new_context(
            base_url=console.address, http_credentials={"username": "ana", "password": "wrong"}
        )
        answer = context.new_page().goto("/")
        assert answer is not None
        assert answer.status == 401
        context.close()
