import re

from playwright.sync_api import BrowserContext, Page, expect

from schemas.cases import CaseSnoozed
from tests.browser.conftest import Watch
from tests.browser.serving import Served

NORTHWIND = "/accounts/acct_northwind"


def row(page: Page, name: str):  # type: ignore[no-untyped-def]
    """The line of an account."""
    return page.locator("tr.case", has=page.get_by_role("link", name=name, exact=True))


def be(page: Page, person: str) -> None:
    """Say who one is."""
    page.goto("/")
    page.get_by_label("I am").select_option(person)
    expect(page.get_by_role("heading", level=1)).to_contain_text(person)


def test_a_click_acknowledges_in_place_and_says_so(page: Page) -> None:
    be(page, "Ben Carter")
    line = row(page, "Kestrel Media")
    line.get_by_role("button", name="Acknowledge").click()

    expect(line.locator(".stand")).to_have_text("Acknowledged by Ben Carter")
    expect(page.locator("#toast")).to_contain_text("Acknowledged: you are on it.")
    expect(page.locator("#say")).to_contain_text("Acknowledged: you are on it.")
    # Nothing moves under the cursor; heading and tabs tell the new counts.
    assert page.locator(".open-case").all_inner_texts()[1] == "Kestrel Media"
    expect(page.locator("#tabs")).to_contain_text("Open 7")
    expect(page.locator("#standing")).to_contain_text("7 open cases · EUR")
    page.goto("/accounts/acct_kestrel")
    expect(page.locator(".moment-title").first).to_have_text(
        re.compile("Ben Carter acknowledged it")
    )


def test_all_actions_of_the_account_page(page: Page) -> None:
    be(page, "Ana Lima")
    page.goto(NORTHWIND)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".marks .stand")).to_have_text("Acknowledged by Ana Lima")
    expect(page.locator(".banner")).to_have_text("Acknowledged: you are on it.")

    page.locator("#menu-assign summary").click()
    page.get_by_label("Who works on it?").select_option("Ben Carter")
    page.locator("#menu-assign button").click()
    expect(page.locator(".facts")).to_contain_text("assigned to Ben Carter")

    page.get_by_label("Comment").fill("They are migrating.\nBack on Monday.")
    page.get_by_role("button", name="Comment").click()
    expect(page.locator(".said").first).to_have_text("They are migrating.\nBack on Monday.")
    expect(page.get_by_label("Comment")).to_have_value("")

    page.locator("#menu-snooze summary").click()
    page.get_by_role("button", name="Until after the renewal").click()
    expect(page.locator(".marks .state")).to_contain_text("Snoozed until")
    page.get_by_role("button", name="Open again").click()
    expect(page.locator(".marks .state")).to_have_text("Open")

    page.locator(".feedback").get_by_role("button", name="Useful", exact=True).click()
    expect(page.locator(".feedback")).to_contain_text("Ana Lima: useful")

    page.locator("#menu-resolve summary").click()
    page.get_by_label("A note, if you like").fill("Usage is back.")
    page.get_by_role("button", name="Saved").click()
    expect(page.locator(".marks .stand")).to_have_text("Resolved: saved by Ana Lima")
    expect(page.locator(".moment").first).to_contain_text("Usage is back.")


def test_several_are_acknowledged_at_once(page: Page) -> None:
    page.goto("/")
    expect(page.locator("#bulk")).to_be_hidden()
    for name in ("Fjord Energi", "Lumen & Pike"):
        row(page, name).get_by_role("checkbox").check()
    expect(page.locator("#bulk")).to_contain_text("2 chosen")
    page.locator("#bulk").get_by_role("button", name="Acknowledge").click()

    for name in ("Fjord Energi", "Lumen & Pike"):
        expect(row(page, name).locator(".state")).to_have_text("Acknowledged")
    expect(page.locator("#toast")).to_contain_text("2 accounts acknowledged.")
    expect(page.locator("#bulk")).to_be_hidden()


def test_a_double_click_acts_once(page: Page, console: Served) -> None:
    page.goto(NORTHWIND)
    page.get_by_label("Comment").fill("once")
    page.get_by_role("button", name="Comment").dblclick()

    expect(page.locator(".said", has_text="once")).to_have_count(1)
    shown = console.run(console.world.account("acct_northwind"))
    assert shown is not None
    assert [one.text for one in shown.timeline].count("once") == 1


def test_a_case_that_moved_on_is_not_overwritten(page: Page, console: Served) -> None:
    page.goto(NORTHWIND)
    # Somebody else is faster, and this tab has not heard of it.
    page.evaluate("document.querySelectorAll('[name=version]').forEach(one => one.value = 99)")
    page.locator("#menu-resolve summary").click()
    page.get_by_role("button", name="Churned").click()

    expect(page.locator(".banner-care")).to_contain_text(
        "Somebody was faster, so nothing was changed"
    )
    expect(page.locator(".marks .state")).to_have_text("Open")
    case = console.run(console.world.case("acct_northwind"))
    assert case is not None
    assert case.state == "open"


def test_a_verdict_that_takes_long_is_waited_for(page: Page, console: Served) -> None:
    console.world.pending = True
    page.goto(NORTHWIND)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".banner-wait")).to_contain_text("Accepted, and being applied")

    console.world.pending = False
    expect(page.locator(".banner-good")).to_have_text("Acknowledged: you are on it.")


def test_while_the_view_is_away_the_action_is_kept(
    page: Page, console: Served, watch: Watch
) -> None:
    watch.expected = ("503",)
    page.goto(NORTHWIND)
    console.world.pending = True
    console.world.away = True
    page.get_by_role("button", name="Acknowledge").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing can be shown just now")
    expect(page.locator(".trouble")).to_contain_text("What you did was accepted and is kept")
    console.world.away = console.world.pending = False
    page.goto(NORTHWIND)
    expect(page.locator(".marks .state")).to_have_text("Acknowledged")


def test_a_log_that_is_away_is_tried_again(page: Page, console: Served, watch: Watch) -> None:
    watch.expected = ("503",)
    page.goto(NORTHWIND)
    console.world.log_away = True
    page.get_by_label("Comment").fill("kept over the outage")
    page.get_by_role("button", name="Comment").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("That could not be saved yet")

    console.world.log_away = False
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".said", has_text="kept over the outage")).to_have_count(1)


def test_reading_and_acting_work_without_a_script(open_context, console: Served) -> None:  # type: ignore[no-untyped-def]
    context: BrowserContext = open_context(java_script_enabled=False)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("I am").select_option("Chloé Martin")
    page.get_by_role("button", name="Set").click()
    page.get_by_label("Segment").select_option("mid-market")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator("tr.case")).to_have_count(4)

    row(page, "Halden Manufacturing").get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".banner-good")).to_have_text("Acknowledged: you are on it.")
    expect(page).to_have_url(re.compile("segment=mid-market"))
    row(page, "Fjord Energi").get_by_role("checkbox").check()
    page.locator("#bulk").get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".banner-good")).to_have_text("1 account acknowledged.")

    page.goto("/accounts/acct_halden")
    page.locator("#menu-snooze summary").click()
    page.get_by_role("button", name="One week").click()
    expect(page.locator(".marks .state")).to_contain_text("Snoozed until")
    page.goto("/accounts/acct_northwind")
    expect(page.locator(".chart figcaption").first).to_be_hidden()
    page.get_by_text("The values as a table").first.click()
    expect(page.locator(".values tbody tr").first).to_be_visible()
    snoozed = console.world.heard[-1]
    assert isinstance(snoozed, CaseSnoozed)
    assert snoozed.by == "chloe"
