"""The report of a backtest, as it opens from a disk: read by anybody, asking for nothing."""

from collections import Counter
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from services.backtest.comparing import compare
from services.backtest.report import Compared, Made, html
from services.backtest.truth import Churn, Truth, judge
from tests.browser.conftest import NARROW, WIDE
from tests.browser.test_access import SCHEMES, findings
from tests.unit.backtest.builders import on, outcome, row

LONG = "Ω" * 300


@pytest.fixture
def report(tmp_path: Path) -> Path:
    """A report with every section, about customers with long names too."""
    rows = [
        row(f"acct-{n}", 3 * n, rule, owner=f"owner-{n % 5}", days=None if n % 7 == 0 else n)
        for n in range(1, 80)
        for rule in ("usage-drop", "account-silent", "usage-fast-drop", "usage-expansion")[: n % 5]
    ]
    rows.append(row(LONG, 200, owner=LONG, segment=LONG, headline=LONG, text=LONG, severity="high"))
    a = outcome(rows[::2])
    b = outcome(rows, refused={"invalid": 1}, examples=[LONG], interrupted=True)
    churns = [Churn(on(3 * n + 40), f"acct-{n}", 1_000 * n) for n in range(1, 80, 9)]
    truth = Truth([*churns, Churn(on(300), LONG, None)], Counter(invalid=1), [LONG])
    compared = Compared(compare(a, b, ("as they are", LONG)), judge(a, truth, 90))
    path = tmp_path / "report.html"
    path.write_text(html(b, judge(b, truth, 90), Made(LONG, LONG, LONG, (LONG,)), compared))
    return path


def test_a_report_is_readable_everywhere(browser: Browser, report: Path) -> None:
    page = browser.new_page()
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    page.on("request", lambda request: said.append(request.url))
    page.goto(report.as_uri())
    page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
    for width, height in (WIDE, NARROW):
        page.set_viewport_size({"width": width, "height": height})
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)
            said += [f"{width}, {scheme}: {one}" for one in findings(page, scheme)]
        assert not page.evaluate("document.documentElement.scrollWidth > innerWidth"), width
    page.close()

    assert said == [report.as_uri()]
