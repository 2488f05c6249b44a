"""The demo in a browser, as its reader sees it; `PICTURES=docs` makes the README's pictures."""

import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, ViewportSize, expect

from tests.browser.conftest import PICTURES, Watch
from tests.integration.test_demo import DEMO, environment

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]

SIZE = ViewportSize(width=1280, height=760)
REACHED = "Look, in a browser:"


class Demo(NamedTuple):
    """A demo that has told its story.

    Attributes:
        console: Address of the console.
        receiver: Address of the page of the webhook's receiver.
    """

    console: str
    receiver: str


@pytest.fixture
def demo(kafka: str, valkey: str, tmp_path: Path) -> Iterator[Demo]:
    """Run the demo until the test is over; it must end as after Ctrl-C."""
    process = subprocess.Popen(
        [one for one in DEMO if one != "--headless"],
        cwd=tmp_path,
        env=environment(kafka, valkey) | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    told: list[str] = []
    try:
        for line in process.stdout:
            told.append(line)
            if told[-1].startswith("Alerts go on appearing here"):
                break
        text = "".join(told)
        assert REACHED in text, text[-3000:]
        addresses = re.findall(r"^  (http://\S+?)/ ", text.partition(REACHED)[2], re.M)
        yield Demo(addresses[0], addresses[-1])
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
    assert (process.returncode, "nothing is left running" in rest) == (0, True), rest[-3000:]


def test_the_demo_s_inbox_is_read_followed_and_acted_on(
    browser: Browser, demo: Demo, tmp_path: Path
) -> None:
    pictures = Path(PICTURES) if PICTURES else tmp_path
    watch = Watch(demo.console)
    context = browser.new_context(
        base_url=demo.console, viewport=SIZE, device_scale_factor=1.5, timezone_id="UTC"
    )
    watch.over(context)
    inbox, account = context.new_page(), context.new_page()
    inbox.goto("/")
    inbox.get_by_label("I am").select_option("Ana Lima")
    expect(inbox.locator("tr.case", has_text="Payment demo-payment-1 failed twice")).to_be_visible()
    line = inbox.locator("tr.case", has_text="Osprey Metro")
    expect(line).to_contain_text("Usage (api_calls) all but stopped")
    inbox.screenshot(path=pictures / "inbox.png")

    account.goto("/")
    account.get_by_role("link", name="Osprey Metro").click()
    expect(account.locator(".plot canvas").first).to_be_visible()
    account.screenshot(path=pictures / "account.png")
    account.get_by_role("button", name="Acknowledge").click()
    expect(account.locator(".moment").first).to_contain_text("Ana Lima acknowledged it")
    expect(line.locator(".state")).to_have_text("Acknowledged")

    # The champion who left is resolved by keyboard; its delivery stands in the timeline.
    account.goto("/accounts/forhire-b01984")
    expect(account.locator(".moment", has_text="Delivered by crm to Ana Lima")).to_be_visible()
    account.keyboard.press("r")
    account.get_by_role("button", name="Saved").press("Enter")
    expect(account.locator(".marks .state")).to_have_text("Resolved: saved")
    context.close()

    receiver = browser.new_page()
    receiver.goto(demo.receiver)
    for what in ("payment demo-payment-1 failed twice", "contact contact-17 (champion) left"):
        expect(receiver.locator("tbody tr", has_text=what)).to_have_count(1)
    expect(receiver.locator("body")).to_contain_text("each signature checked; 0 refused")
    receiver.close()
    assert watch.left() == []
