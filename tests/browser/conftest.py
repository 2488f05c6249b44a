"""Debian's Chromium, a world behind a server, and tabs that watch what must never happen."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, sync_playwright

from tests.browser.serving import Served, fixed_clock, served
from tests.browser.world import World

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WIDE, NARROW = (1280, 800), (390, 844)
VENDOR = Path(__file__).parent / "vendor"
PICTURES = os.environ.get("PICTURES")
"""Where `test_demo.py` puts the README's pictures; they are thrown away without it."""


class Watch:
    """What went wrong in the tabs of one test.

    Args:
        address: Of the console; whatever is asked for elsewhere is a third party.
    """

    def __init__(self, address: str) -> None:
        self.address = address
        self.wrong: list[str] = []
        self.expected: tuple[str, ...] = ()

    def over(self, context: BrowserContext) -> None:
        """Watch all tabs of a context."""
        context.on("console", self._console)
        context.on("weberror", lambda error: self.wrong.append(f"script: {error.error}"))
        context.on("request", lambda request: self._asked(request.url))

    def _console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(f"console: {message.text}")

    def _asked(self, url: str) -> None:
        if not url.startswith((f"{self.address}/", "data:", "blob:")):
            self.wrong.append(f"third party: {url}")

    def left(self) -> list[str]:
        """What went wrong that no test expected."""
        return [one for one in self.wrong if not any(part in one for part in self.expected)]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a module."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("chromium is missing: deploy/setup.sh tests")
    with sync_playwright() as playwright:
        # Ended with the module: its loop must not run while a broker is started for the next one.
        browser = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def make_world() -> Callable[[], World]:
    """What is served; a test module may say otherwise."""
    return lambda: World(fixed_clock)


@pytest.fixture
def console(make_world: Callable[[], World]) -> Iterator[Served]:
    """A served world, fresh for each test."""
    with served(make_world) as console:
        yield console


@pytest.fixture
def watch(console: Served) -> Iterator[Watch]:
    """Fails the test afterwards if anything went wrong in one of its tabs."""
    watch = Watch(console.address)
    yield watch
    assert watch.left() == []


Open = Callable[..., BrowserContext]


@pytest.fixture
def open_context(browser: Browser, console: Served, watch: Watch) -> Iterator[Open]:
    """Opens what corresponds to one person's browser; tabs of it share cookies."""
    opened: list[BrowserContext] = []

    def open_one(size: tuple[int, int] = WIDE, **settings: Any) -> BrowserContext:
        context = browser.new_context(
            base_url=console.address,
            viewport={"width": size[0], "height": size[1]},
            timezone_id="UTC",
            **settings,
        )
        context.set_default_timeout(5_000)
        watch.over(context)
        opened.append(context)
        return context

    yield open_one
    for context in opened:
        context.close()


@pytest.fixture
def context(open_context: Open) -> BrowserContext:
    """A person's browser at a desk."""
    return open_context()


@pytest.fixture
def page(context: BrowserContext) -> Page:
    """One tab of it."""
    return context.new_page()
