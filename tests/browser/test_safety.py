from collections.abc import Callable
from datetime import timedelta

import pytest
from playwright.sync_api import Page, expect

from schemas.cases import CaseCommented
from tests.browser.serving import Served, fixed_clock
from tests.browser.stories import STORIES, months_of, raised, summary_of
from tests.browser.world import World

HOSTILE = "<script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'>"
FORMULA = '=HYPERLINK("http://evil.example","x")'
LONG = "Ω" * 10_000
ODD_ID = "a/b c?d#e&f=<g>\"h'%2F"


@pytest.fixture
def make_world() -> Callable[[], World]:
    """A world with customers who call themselves what nobody should."""

    def make() -> World:
        now = fixed_clock()
        world = World(fixed_clock)
        for id, name in ((ODD_ID, HOSTILE), ("..", FORMULA), ("long", LONG)):
            story = STORIES[0].with_name(id, name)
            world.summarise(summary_of(story, now), list(months_of(story, now.date())))
            because = {"what": HOSTILE, "also": {HOSTILE: LONG}, "many": [HOSTILE] * 3}
            day = now.date() - timedelta(days=1)
            world.fold(raised(story, now.date(), "custom", "critical", because, day, HOSTILE))
            world.fold(CaseCommented(id=f"c-{id}", case=id, by=HOSTILE, at=now, text=HOSTILE))
        return world

    return make


def test_what_customers_are_called_is_only_text(page: Page) -> None:
    page.goto("/")
    expect(page.locator(".open-case", has_text="window.hurt")).to_have_count(1)
    expect(page.locator(".open-case", has_text="=HYPERLINK")).to_have_count(1)
    expect(page.locator(".open-case", has_text="ΩΩΩ")).to_have_text("Ω" * 119 + "…")
    page.locator(".open-case", has_text="window.hurt").click()

    expect(page.get_by_role("heading", level=1)).to_contain_text("<script>window.hurt = 1</script>")
    expect(page.locator(".said")).to_have_text(HOSTILE)
    expect(page.locator("#account")).to_have_attribute("data-account", ODD_ID)
    page.get_by_role("button", name="Acknowledge").click()
    expect(page.locator(".marks .state")).to_have_text("Acknowledged")
    assert page.evaluate("window.hurt") is None


BACKWARDS = "Acme \u202e\u2067 Corp"
ISOLATED = """selectors => selectors.filter(one => {
  const found = [...document.querySelectorAll(one)];
  return !found.length || found.some(it => getComputedStyle(it).unicodeBidi !== 'isolate');
})"""


def test_a_name_that_turns_the_direction_turns_nothing_beside_it(
    page: Page, console: Served
) -> None:
    world, now = console.world, fixed_clock()
    world.summarise(summary_of(STORIES[0].with_name("rtl", BACKWARDS), now))
    day = now.date() - timedelta(days=1)
    story = STORIES[0].with_name("rtl", BACKWARDS)
    world.fold(raised(story, now.date(), "custom", "critical", {}, day, BACKWARDS))
    page.goto("/")
    assert page.evaluate(ISOLATED, [".open-case", ".why", "option", "h1"]) == []
    page.goto("/accounts/rtl")
    names = ["h1", ".id", ".alert-line strong", ".moment-title", "option"]
    assert page.evaluate(ISOLATED, names) == []
    # The id stands to the right of the name, as it is written.
    page.goto("/accounts?q=rtl")
    name, id = (page.locator(f"tbody th {one}").bounding_box() for one in ("a", ".id"))
    assert name is not None
    assert id is not None
    assert name["x"] + name["width"] <= id["x"] + 1


@pytest.mark.parametrize("name", ["=HYPERLINK", "ΩΩΩ"])
def test_any_id_and_any_length_can_be_opened_and_acted_on(page: Page, name: str) -> None:
    page.goto("/")
    line = page.locator("tr.case", has_text=name)
    line.get_by_role("button", name="Acknowledge").click()
    expect(line.locator(".state")).to_have_text("Acknowledged")
    line.locator(".open-case").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(name)
    page.locator("#menu-resolve summary").click()
    page.get_by_role("button", name="Saved").click()
    expect(page.locator(".marks .state")).to_have_text("Resolved: saved")


def test_no_page_runs_or_styles_anything_of_its_own(page: Page, console: Served) -> None:
    for path in ("/", "/accounts", "/deliveries", "/accounts/acct_northwind", "/nothing-here"):
        answer = console.get(path)
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        for wrong in ("<style", " style=", "<script>", " onclick=", "javascript:"):
            assert wrong not in answer.text
