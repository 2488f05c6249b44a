"""The pictures of the README: `PICTURES=docs pytest tests/browser/test_picture.py` writes them."""

from pathlib import Path

from playwright.sync_api import expect

from tests.browser.conftest import PICTURES, Open

SIZE = (1280, 760)


def test_the_pictures_of_the_readme(open_context: Open, tmp_path: Path) -> None:
    folder = Path(PICTURES) if PICTURES else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    page = open_context(SIZE, device_scale_factor=1.5, color_scheme="light").new_page()
    page.goto("/")
    page.get_by_label("I am").select_option("Ana Lima")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ana Lima")
    page.screenshot(path=folder / "inbox.png")
    page.goto("/accounts/acct_northwind")
    expect(page.locator(".plot canvas")).to_be_visible()
    page.screenshot(path=folder / "account.png")

    assert all((folder / name).stat().st_size > 40_000 for name in ("inbox.png", "account.png"))
