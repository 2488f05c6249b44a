"""Nothing that axe can find wrong, on every page, light and dark, wide and narrow."""

from typing import Any, Literal

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import NARROW, VENDOR, WIDE, Open, Watch
from tests.browser.serving import Served

PAGES = {
    "inbox": "/",
    "filtered": "/?state=all&severity=high&sort=arr",
    "snoozed": "/?state=snoozed",
    "resolved": "/?state=resolved",
    "nothing": "/?q=nobody+is+called+that",
    "account": "/accounts/acct_northwind",
    "several alerts": "/accounts/acct_halden",
    "acknowledged": "/accounts/acct_castor",
    "shadow": "/accounts/acct_juniper",
    "quiet": "/accounts/acct_sable",
    "accounts": "/accounts",
    "no account": "/accounts?q=zzz",
    "deliveries": "/deliveries",
    "missing": "/accounts/nobody",
    "malformed": "/?severity=awful",
}
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
AXE = (VENDOR / "axe.min.js").read_text()


def findings(page: Page, scheme: str = "light") -> list[str]:
    """What axe says against a page as it stands; in the dark only contrasts can differ."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE)
    options: dict[str, Any] = {"resultTypes": ["violations"]}
    if scheme == "dark":
        options["runOnly"] = ["color-contrast"]
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{one['id']}: {node['target']} {node['failureSummary']}"
        for one in found["violations"]
        for node in one["nodes"]
    ]


def test_every_page(page: Page, console: Served, watch: Watch) -> None:
    watch.expected = ("404", "422")
    console.world.break_channel()
    said: dict[str, list[str]] = {}
    for name, path in PAGES.items():
        page.goto(path)
        expect(page.locator("html.scripted")).to_have_count(1)
        page.evaluate("document.querySelectorAll('details.alert').forEach(one => one.open = true)")
        # Resized, not opened again: to open a page and to hand axe over takes as long as axe.
        for width, height in (WIDE, NARROW):
            page.set_viewport_size({"width": width, "height": height})
            for scheme in SCHEMES:
                page.emulate_media(color_scheme=scheme)
                said[f"{name}, {scheme}, {width}"] = findings(page, scheme)
            overflow = "document.documentElement.scrollWidth > innerWidth"
            assert not page.evaluate(overflow), f"{name} is wider than the window of {width}"

    assert {name: one for name, one in said.items() if one} == {}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_dialogs_menus_and_banners(scheme: str, open_context: Open, console: Served) -> None:
    page = open_context(color_scheme=scheme).new_page()
    console.world.without_channels()
    page.goto("/")
    page.locator(".pick").first.check()
    page.keyboard.press("?")
    said = findings(page, scheme)
    page.keyboard.press("Escape")
    page.locator(".open-case").first.focus()
    for key in ("s", "r"):
        page.keyboard.press(key)
        expect(page.get_by_role("dialog")).to_be_visible()
        said += findings(page, scheme)
        page.keyboard.press("Escape")
    page.goto("/accounts/acct_northwind")
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".banner-good")).to_be_visible()
    for menu in ("snooze", "resolve", "assign"):
        page.locator(f"#menu-{menu} summary").click()
        said += findings(page, scheme)
    page.get_by_text("The values as a table").first.click()
    said += findings(page, scheme)
    # As htmx marks it while the page renews itself: what is read meanwhile does not fade.
    page.locator("#account").evaluate("one => one.classList.add('htmx-request')")
    said += findings(page, scheme)

    assert said == []


def test_nothing_moves_for_who_asked_for_that(open_context: Open) -> None:
    page = open_context(reduced_motion="reduce").new_page()
    page.goto("/")
    moving = page.evaluate(
        "[...document.querySelectorAll('*')].filter(one => "
        "parseFloat(getComputedStyle(one).transitionDuration) > 0).length"
    )
    assert moving == 0


def test_on_paper_only_what_can_be_read(page: Page) -> None:
    page.goto("/accounts/acct_northwind")
    page.emulate_media(media="print")
    for gone in (".actions", ".feedback", ".comment", ".top nav"):
        expect(page.locator(gone).first).to_be_hidden()
    expect(page.locator(".paragraph").first).to_be_visible()
