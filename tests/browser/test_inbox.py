import re

from playwright.sync_api import Page, expect

from tests.browser.serving import Served


def names(page: Page) -> list[str]:
    """The accounts of the list, from above."""
    return page.locator(".open-case").all_inner_texts()


def test_the_inbox_is_ranked_and_each_line_says_why_and_for_how_much(page: Page) -> None:
    page.goto("/")

    assert names(page) == [
        "Northwind Logistics",
        "Kestrel Media",
        "Halden Manufacturing",
        "Fjord Energi",
        "Brightwater Clinics",
        "Orchid Hotels Group",
        "Lumen & Pike",
        "Aurora Schools",
    ]
    line = page.locator("tr.case").first
    cells = ["Critical", "Usage (api_calls) fell 54 % in 28 days", "EUR 184k", "in 32 days"]
    for text in [*cells, "Ana Lima"]:
        expect(line).to_contain_text(text)
    spark = line.locator("svg.spark")
    assert re.search(
        r"28 days: \d+ a day in the last 7, .* less", spark.get_attribute("aria-label") or ""
    )


def test_an_alert_is_followed_to_its_account_and_back(page: Page) -> None:
    page.goto("/")
    page.get_by_role("link", name="Northwind Logistics").click()

    expect(page.get_by_role("heading", level=1)).to_have_text("Northwind Logistics")
    expect(page.locator(".facts")).to_contain_text("EUR 184,000")
    card = page.locator(".alert").first
    expect(card).to_contain_text("would be usual for these weekdays")
    expect(card).to_contain_text("Rule usage-drop of rule set 3")
    expect(card.locator(".plot canvas")).to_be_visible()
    page.get_by_role("link", name="← Inbox").click()
    expect(page).to_have_url(re.compile(r"/$"))


def test_the_page_of_an_account_says_what_is_watched_and_what_it_could_show(page: Page) -> None:
    page.goto("/accounts/acct_northwind")

    rows = page.get_by_role("table", name="What is watched").locator("tbody tr")
    assert [one.inner_text().split("\t") for one in rows.all()] == [
        ["Active people", "judged at the end of each day", "27 % in four weeks"],
        ["api_calls", "judged at the end of each day", "22 % in four weeks"],
        [
            "exports",
            "too little volume to tell, but for the largest falls",
            "too little volume to tell",
        ],
    ]
    card = page.locator(".alert").first
    expect(card).to_contain_text("Compared with")
    expect(card).to_contain_text("Smallest fall told")
    expect(card).to_contain_text("nine days of ten lie here")


def test_the_chart_reads_out_the_day_under_the_pointer_and_has_a_table(page: Page) -> None:
    page.goto("/accounts/acct_northwind")
    plot = page.locator(".plot canvas").first
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    expect(page.locator(".readout").first).to_contain_text(re.compile(r"\d+ \w+ · \d+ · usual \d+"))
    page.get_by_text("The values as a table").first.click()
    rows = page.locator(".values").first.locator("tbody tr")
    expect(rows).to_have_count(210)
    expect(rows.filter(has_text="left out: public holiday")).to_have_count(1)
    expect(rows.filter(has_text="raised after this day")).to_have_count(1)
    page.get_by_role("button", name="8 weeks").first.click()
    expect(page.locator("[data-span='56']").first).to_have_attribute("aria-pressed", "true")


def test_what_is_watched_is_drawn_where_no_alert_draws_it(page: Page) -> None:
    page.goto("/accounts/acct_northwind")
    exports = page.locator(".daily", has_text="exports a day")
    expect(page.locator(".daily")).to_have_count(1)
    expect(exports.locator(".plot")).to_be_hidden()
    exports.locator("summary").first.click()
    expect(exports.locator(".plot canvas")).to_be_visible()
    expect(exports.locator(".key-fired")).to_have_count(0)

    page.goto("/accounts/acct_sable")
    expect(page.get_by_text("Nothing was ever raised")).to_be_visible()
    expect(page.locator(".daily")).to_have_count(2)
    expect(page.locator(".daily").first.locator(".plot canvas")).to_be_visible()
    # Of exports nobody has told what is usual: its days alone.
    expect(page.locator(".daily").last.locator(".key-band")).to_have_count(0)


def test_the_page_of_a_customer_without_an_alert_says_why_nobody_was_told(page: Page) -> None:
    page.goto("/accounts/acct_sable")
    watched = page.get_by_role("table", name="What is watched")
    expect(watched.locator("tr", has_text="api_calls")).to_contain_text(
        "watch: falling, not yet certain"
    )
    card = page.locator(".daily").first
    for key in ("judged", "compared with", "nine days of ten lie here", "left out"):
        expect(card.locator(".legend")).to_contain_text(key)
    numbers = card.locator(".numbers")
    for name, told in {
        "Now": r"watch: falling, not yet certain",
        "Change": r"−\d+ %",
        "Window": r"27 days counted",
        "Compared with": r"18\d days counted",
        "Natural swings": r"±\d+ %",
        "Smallest fall told": r"22 %",
    }.items():
        line = numbers.locator("div", has=page.get_by_text(name, exact=True))
        expect(line.locator("dd")).to_contain_text(re.compile(told))
    expect(card.locator("ul.masked")).to_contain_text("public holiday")

    card.get_by_text("The values as a table").click()
    newest = card.locator(".values tbody tr").first
    expect(newest.locator("td").nth(2)).to_have_text(re.compile(r"\d+ to \d+"))
    rows = card.locator(".values tbody tr", has_text="left out: public holiday")
    expect(rows).to_have_count(1)


def test_the_strips_under_the_days_are_what_is_judged_and_what_it_is_compared_with(
    page: Page,
) -> None:
    page.goto("/accounts/acct_sable")
    expect(page.locator(".daily").first.locator(".plot canvas")).to_be_visible()
    drawn = page.evaluate(
        """() => {
          const canvas = document.querySelector(".daily .plot canvas");
          const all = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
          const style = getComputedStyle(document.documentElement);
          const often = { willReadFrequently: true };
          const shade = document.createElement("canvas").getContext("2d", often);
          const rgb = (name) => {
            shade.fillStyle = style.getPropertyValue(name).trim();
            shade.fillRect(0, 0, 1, 1);
            return [...shade.getImageData(0, 0, 1, 1).data].join();
          };
          const count = (colour) => {
            let most = 0;
            for (let y = 0; y < canvas.height; y++) {
              const row = all.subarray(4 * y * canvas.width, 4 * (y + 1) * canvas.width);
              let here = 0;
              for (let x = 0; x < row.length; x += 4) {
                if ([...row.slice(x, x + 4)].join() === colour) here++;
              }
              most = Math.max(most, here);
            }
            return most / canvas.width;
          };
          return [count(rgb("--chart-value")), count(rgb("--chart-usual"))];
        }"""
    )
    # Of the sixteen weeks that are shown the last four are judged.
    assert 0.15 < drawn[0] < 0.3, drawn
    assert 0.5 < drawn[1] < 0.8, drawn


def test_filters_stand_in_the_address(page: Page) -> None:
    page.goto("/")
    page.locator(".chip", has_text="Critical").click()
    page.wait_for_url("**/?severity=critical*")
    assert names(page) == ["Northwind Logistics", "Kestrel Media"]

    page.get_by_label("Owner", exact=True).select_option("ben")
    page.wait_for_url("**owner=ben*")
    assert names(page) == ["Kestrel Media"]

    page.get_by_role("link", name="Clear filters").click()
    page.get_by_role("navigation", name="State").get_by_role("link", name="Snoozed").click()
    page.wait_for_url("**/?state=snoozed")
    assert names(page) == ["Riverbend Foods"]


def test_slash_searches_and_nothing_found_says_what_to_do(page: Page) -> None:
    page.goto("/")
    page.keyboard.press("/")
    page.keyboard.type("fjord")
    page.keyboard.press("Enter")
    page.wait_for_url("**q=fjord*")
    assert names(page) == ["Fjord Energi"]

    page.goto("/?q=sable")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    page.get_by_role("link", name="search all accounts").click()
    expect(page.get_by_role("link", name="Sable Insurance")).to_be_visible()


def test_only_mine_after_saying_who_i_am(page: Page) -> None:
    page.goto("/")
    page.get_by_label("I am").select_option("Ana Lima")
    expect(page.get_by_role("heading", level=1)).to_contain_text("Ana Lima")
    page.get_by_label("Owner", exact=True).select_option("me")

    page.wait_for_url("**owner=me*")
    expect(page.locator("tr.case")).to_have_count(4)
    cookie = next(one for one in page.context.cookies() if one["name"] == "ebbwatch_person")
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["value"]) == (True, "Lax", "ana")


def test_nobody_notified_stale_and_rebuilding_are_told(page: Page, console: Served) -> None:
    world = console.world
    world.without_channels()
    page.goto("/")
    expect(page.locator(".banner", has_text="Nobody is notified")).to_be_visible()

    whole = console.run(world.freshness())
    world.fresh = whole.model_copy(update={"complete": False, "current": 3})
    page.goto("/")
    expect(page.locator(".banner", has_text="The pages are being rebuilt")).to_contain_text(
        "3 of 8"
    )

    reason = "Partition 3 was not written for 40 s; see the log of its owner."
    world.fresh = whole.model_copy(update={"stale": True, "reason": reason})
    page.goto("/")
    expect(page.locator(".banner", has_text="This is out of date")).to_contain_text(reason)
    expect(page.locator("#freshness")).to_have_text("Out of date")


def test_deliveries_show_how_each_channel_does(page: Page, console: Served) -> None:
    console.world.break_channel()
    page.goto("/deliveries")

    cards = page.locator(".channel")
    expect(cards).to_have_count(3)
    expect(cards.filter(has_text="backup")).to_contain_text("Failing since")
    expect(cards.filter(has_text="old")).to_contain_text("ebbwatch channels enable old")
    expect(page.locator(".plain")).to_contain_text("Crm did not answer in time")
    assert "hooks.crm.example/ebbwatch" not in page.content()
