"""What the doctor says of accounts that are held back."""

from services.commands.checks import subjects
from services.commands.checks.subjects import Held
from services.detector.subject import Quarantine
from tests.unit.commands.checks.builders import wrong


def test_accounts_that_are_held_back_are_named() -> None:
    held = {
        "b": Held(Quarantine(3, "ValueError: x")),
        "a": Held(Quarantine(3, "ValueError: x"), {"usage-drop": 7}),
        "c": Held(off={"usage-drop": 7, "silence": 6}),
    }
    assert wrong(subjects.judge(held, 7)) == [
        ("warn", "accounts", "2 accounts quarantined by a fault: a, b"),
        ("warn", "accounts", "rules that raised are off: usage-drop for 2 accounts"),
    ]
    # In another rule set the rule is on again.
    assert wrong(subjects.judge({"c": held["c"]}, 8)) == []
