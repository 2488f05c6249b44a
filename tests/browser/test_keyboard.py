from playwright.sync_api import Page, expect


def focused(page: Page) -> str:
    """The text of what has the focus."""
    return str(page.evaluate("document.activeElement.innerText"))


def test_the_inbox_is_worked_through_without_a_mouse(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("j")
    assert focused(page) == "Northwind Logistics"
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    assert focused(page) == "Kestrel Media"

    page.keyboard.press("a")
    kestrel = page.locator("tr.case").nth(1)
    expect(kestrel.locator(".state")).to_have_text("Acknowledged")
    assert focused(page) == "Kestrel Media"

    page.keyboard.press("s")
    expect(page.get_by_role("dialog")).to_contain_text("Snooze Kestrel Media")
    page.keyboard.press("Enter")
    expect(kestrel.locator(".state")).to_contain_text("Snoozed until")

    page.keyboard.press("j")
    page.keyboard.press("r")
    expect(page.get_by_role("dialog")).to_contain_text("Resolve Halden Manufacturing")
    page.get_by_role("button", name="False alarm").focus()
    page.keyboard.press("Enter")
    expect(page.locator("tr.case").nth(2).locator(".state")).to_have_text("Resolved: false alarm")

    page.keyboard.press("j")
    page.keyboard.press("x")
    expect(page.locator("#bulk")).to_contain_text("1 chosen")
    page.keyboard.press("o")
    expect(page.get_by_role("heading", level=1)).to_have_text("Fjord Energi")


def test_enter_opens_and_the_account_page_has_the_same_keys(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Northwind Logistics")
    expect(page.locator("html.scripted")).to_have_count(1)

    page.keyboard.press("a")
    expect(page.locator(".marks .state")).to_have_text("Acknowledged")
    page.keyboard.press("s")
    page.keyboard.press("Enter")
    expect(page.locator(".marks .state")).to_contain_text("Snoozed until")
    page.keyboard.press("r")
    expect(page.locator("#menu-resolve")).to_have_attribute("open", "")
    page.keyboard.press("Escape")
    expect(page.locator("#menu-resolve")).not_to_have_attribute("open", "")
    page.keyboard.press("c")
    page.keyboard.type("a or s or r is only text here")
    expect(page.get_by_label("Comment")).to_have_value("a or s or r is only text here")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    expect(page.get_by_role("heading", level=1)).to_have_text("Accounts that need you")


def test_a_question_mark_lists_the_keys_and_escape_closes(page: Page) -> None:
    page.goto("/deliveries")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()


def test_the_first_tab_stop_skips_to_the_content(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("Tab")
    assert focused(page) == "Skip to the content"
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
