"""What the doctor says of subjects that are held back."""

import msgspec

from services.commands.checks import subjects
from services.commands.checks.subjects import Held, is_subject
from services.detector.subject import Quarantine
from tests import builders as a
from tests import playing
from tests.unit.commands.checks.builders import wrong


def test_accounts_that_are_held_back_are_named() -> None:
    held = {
        "b": Held(Quarantine(3, "ValueError: x")),
        "a": Held(Quarantine(3, "ValueError: x"), {"usage-drop": 7}),
        "person:u1": Held(Quarantine(4, "KeyError: 'x'")),
        "c": Held(off={"usage-drop": 7, "silence": 6}),
    }
    assert wrong(subjects.judge(held, 7)) == [
        ("warn", "accounts", "3 subjects quarantined by a fault: a, b, person:u1"),
        ("warn", "accounts", "rules that raised are off: usage-drop for 2 accounts"),
    ]
    # In another rule set the rule is on again.
    assert wrong(subjects.judge({"c": held["c"]}, 8)) == []


def test_the_records_of_all_subjects_are_looked_at_and_no_others() -> None:
    told = [a.usage(day=10, person="u1"), a.joined("u2", day=10), a.spent(5, day=10)]
    touch = a.about(a.touch(day=10), "account:acme", "colleague:ana")
    waits = a.of_person(a.usage(day=10), "u3")
    log = playing.Log().add(a.rules(a.silent(2)), a.tick(10, 3)).add(*told, touch, waits)
    records = playing.store({}, playing.play(log).cut())
    looked_at = {key for key in records if is_subject(key.encode())}
    assert looked_at == {
        "account:acme",
        "colleague:ana",
        "company",
        "person:u2",
        "person:u3",
    }
    assert [msgspec.msgpack.decode(records[key], type=Held) for key in looked_at] == [Held()] * 5
