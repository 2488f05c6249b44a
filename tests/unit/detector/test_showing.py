import json

from services.detector.showing import shown
from tests import builders as a
from tests import playing


def test_an_account_is_shown_as_plain_json() -> None:
    log = playing.Log().add(a.rules(a.silent(2)), a.tick(1, 3))
    log.add(
        a.profile({"owner": "ana", "arr": 5, "renewal_on": a.on(90)}, id="p"),
        a.usage(1.5, person="u1"),
        a.usage(0, metric="nothing"),
        a.payment_failed(id="f"),
        a.touch("u1", id="t"),
        a.closure(4, 6),
    )
    log.each(*(a.tick(day, 3, seen={"app": [day - 1]}) for day in (2, 3, 4)))
    partition = playing.play(log)
    account = partition.accounts["account:acme"]
    found = json.loads(json.dumps(shown(account, 3, partition.stamp, a.START + 3)))
    (episode,) = found.pop("episodes")
    assert (episode["rule"], episode["object"], episode["state"]) == (
        "silent",
        "activity",
        "firing",
    )
    assert found.pop("contacts")["last_two_way"]["person"] == "u1"
    assert found.pop("payments")["payments"]["p1"]["failures"] == [[a.at(1), "f"]]
    assert found == {
        "account": "acme",
        "partition": 3,
        "stamp": 4,
        "judged": "2026-01-07",
        "facts": {"owner": "ana", "arr": 5, "renewal_on": "2026-04-04"}
        | {"closures": [["2026-01-08", "2026-01-10"]]},
        "buckets": {"@people": {"2026-01-05": 1}, "nothing": {}, "usage": {"2026-01-05": 1.5}},
        "people": {"u1": "2026-01-05"},
        "usage": {"last_day": a.START + 1},
        "feedback": {},
        "tickets": {},
        "seats": {},
        "least": {},
        "usual": {},
        "watch": [],
        "states": dict.fromkeys(("@people", "nothing", "usage"), "warming_up"),
        "merged": None,
        "quarantine": None,
        "rules_off": [],
    }
