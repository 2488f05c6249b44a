"""How findings are shown."""

from services.commands import doctor
from services.commands.checks.finding import fail, ok, warn


def test_each_finding_is_a_line_and_its_remedy_another() -> None:
    found = [ok("kafka", "there"), warn("log", "old\x1b[2J", "look"), fail("lag", "much")]
    assert [doctor.line(each) for each in found] == [
        "\x1b[32mok  \x1b[0m  kafka       there",
        "\x1b[33mwarn\x1b[0m  log         old\ufffd[2J\n                  -> look",
        "\x1b[31mFAIL\x1b[0m  lag         much",
    ]
    assert doctor.summary(found) == "1 FAIL, 1 warn, 1 ok"
    assert doctor.summary(found[:1]) == "all well: 1 check"
    assert doctor.plain(found)[1] == {
        "verdict": "warn",
        "name": "log",
        "text": "old\x1b[2J",
        "remedy": "look",
    }
