from datetime import timedelta

from playwright.sync_api import BrowserContext, Page, expect

from tests.browser.conftest import Watch
from tests.browser.serving import Served, fixed_clock
from tests.browser.stories import STORIES, raised

KESTREL = "acct_kestrel"


def test_an_action_in_one_tab_changes_the_other(context: BrowserContext) -> None:
    inbox, account = context.new_page(), context.new_page()
    inbox.goto("/")
    account.goto(f"/accounts/{KESTREL}")
    line = inbox.locator("tr.case").nth(1)
    expect(line).to_contain_text("Kestrel Media")

    account.get_by_role("button", name="Acknowledge").click()
    expect(line.locator(".state")).to_have_text("Acknowledged")
    expect(inbox.locator("#tabs")).to_contain_text("Acknowledged 3")

    # Frames of a tab behind another are rare; whoever acts has it before them.
    inbox.bring_to_front()
    line.get_by_role("link", name="Kestrel Media").focus()
    inbox.keyboard.press("r")
    inbox.get_by_role("button", name="Churned").click()
    expect(account.locator(".marks .state")).to_have_text("Resolved: churned")
    expect(account.locator(".moment").first).to_contain_text("resolved it: churned")


def test_what_is_being_typed_survives_a_change_of_somebody_else(
    page: Page, context: BrowserContext
) -> None:
    page.goto(f"/accounts/{KESTREL}")
    page.get_by_label("Comment").fill("half a sent")
    page.get_by_label("Comment").focus()
    page.locator("details.alert .table-of").first.evaluate("one => one.open = true")
    other = context.new_page()
    other.goto(f"/accounts/{KESTREL}")
    other.get_by_role("button", name="Acknowledge").click()

    expect(page.locator(".marks .state")).to_have_text("Acknowledged")
    expect(page.get_by_label("Comment")).to_have_value("half a sent")
    expect(page.locator("details.alert .table-of").first).to_have_attribute("open", "")
    expect(page.locator(".plot canvas").first).to_be_visible()
    page.bring_to_front()
    # The version followed too: what is done now is no conflict.
    page.locator("#menu-resolve summary").click()
    page.get_by_role("button", name="Saved").click()
    expect(page.locator(".marks .state")).to_have_text("Resolved: saved")


def test_new_alerts_wait_behind_a_pill_and_move_nothing(page: Page, console: Served) -> None:
    page.goto("/")
    page.keyboard.press("j")
    before = page.locator(".open-case").all_inner_texts()
    expect(page.locator("#pill")).to_be_hidden()
    expect(page.locator("html")).to_have_attribute("data-live", "yes")

    sable = next(one for one in STORIES if one.id == "acct_sable")
    today = fixed_clock().date()
    because = {"silent": 3}
    alert = raised(sable, today, "custom", "critical", because, today - timedelta(days=1))
    console.run(console.world.tell(alert))

    expect(page.locator("#pill")).to_contain_text("1 new alert · show")
    expect(page.locator("#say")).to_contain_text("1 new alert")
    # The heading counts it already, above rows that stay as they are.
    expect(page.locator("#standing")).to_contain_text("9 open cases")
    assert page.locator(".open-case").all_inner_texts() == before
    page.locator("#pill").click()
    expect(page.locator(".open-case", has_text="Sable Insurance")).to_be_visible()


def test_a_stream_that_breaks_is_taken_up_again(page: Page, console: Served) -> None:
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    console.drop_streams()
    expect(page.locator("html")).to_have_attribute("data-live", "no")
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    console.run(console.world.acknowledge(KESTREL))

    line = page.locator("tr.case").nth(1)
    expect(line.locator(".stand")).to_have_text("Acknowledged by Kim Larsen")


def test_a_stream_without_room_is_asked_for_again(
    page: Page, console: Served, watch: Watch
) -> None:
    watch.expected = ("503",)
    console.refuse_streams(True)
    with page.expect_response("**/api/v1/stream") as first:
        page.goto("/")
    assert first.value.status == 503
    assert page.locator("html").get_attribute("data-live") != "yes"
    console.refuse_streams(False)
    expect(page.locator("html")).to_have_attribute("data-live", "yes")

    # The same for one that was connected: it is sent away, refused, and comes back.
    console.refuse_streams(True)
    with page.expect_response("**/api/v1/stream") as again:
        console.drop_streams()
    assert again.value.status == 503
    console.refuse_streams(False)
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    console.run(console.world.acknowledge(KESTREL))
    state = page.locator("tr.case").nth(1).locator(".stand")
    expect(state).to_have_text("Acknowledged by Kim Larsen")


def test_a_view_that_goes_stale_is_told_to_open_pages(page: Page, console: Served) -> None:
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("data-live", "yes")
    whole = console.run(console.world.freshness())
    reason = "Partition 3 was not written for 40 s."
    console.world.fresh = whole.model_copy(update={"stale": True, "reason": reason})

    expect(page.locator("#banner")).to_contain_text(reason)
    expect(page.locator("#freshness")).to_have_text("Out of date")
