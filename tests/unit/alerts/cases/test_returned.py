"""What goes back to the detector of what people said: once, in order, for this log's life."""

from typing import Literal

import msgspec

from schemas.envelope import Entry, Origin
from schemas.events import FeedbackGiven
from services.alerts.cases.ledger import KEY
from services.alerts.cases.partition import Partition
from tests.unit.alerts import builders as a


def test_what_an_alert_was_worth_goes_back_to_the_detector_once() -> None:
    log = a.Log()
    log.add(
        a.raised(),
        a.feedback("a", "false_alarm", id="k1", by="bob"),
        a.feedback("a", "false_alarm", id="k1", by="bob"),
        a.feedback("a", "false_alarm", id="k2", by="bob"),
        a.feedback("gone", id="k3"),
        a.feedback("a", "useful", id="k4", by="bob"),
    )
    partition = Partition.begin(3, 8)
    a.apply(partition, log.messages)
    first, second, begun = log.messages[1], log.messages[5], log.messages[0].appended
    verdicts: list[Literal["false_alarm", "useful"]] = ["false_alarm", "useful"]
    assert partition.returned == [
        Entry(
            f"feedback~{begun}-3-{one.offset}",
            "ebbwatch",
            one.appended,
            ("account:acme",),
            FeedbackGiven(alert="a", verdict=verdict, author="bob", rule="usage-drop"),
            Origin(f"alerts.v1~{begun}", 3, one.offset, 0),
        )
        for one, verdict in zip((first, second), verdicts, strict=True)
    ]


def test_what_was_folded_before_the_snapshot_goes_back_no_more() -> None:
    log = a.Log()
    log.add(a.raised(), a.feedback("a", id="k1"))
    partition = Partition.begin(0, 1)
    a.apply(partition, log.messages)
    restored = Partition.restore(0, 1, a.store({}, partition.cut()))
    a.apply(restored, log.messages)
    assert (len(partition.returned), restored.returned) == (1, [])


def told(partition: Partition, log: a.Log) -> list[tuple[str, Origin | None]]:
    """Return id and origin of what goes back once a log is folded."""
    a.apply(partition, log.messages)
    return [(one.id, one.origin) for one in partition.returned]


def test_of_a_log_created_anew_the_same_places_are_news_to_the_detector() -> None:
    """It drops what is not newer than the newest of its input, and an id that it knows."""
    first, second = a.Log(), a.Log()
    for log in (first, second):
        log.add(a.raised(), a.feedback("a"))
    second.messages = [one._replace(appended=one.appended + 1_000) for one in second.messages]

    before, after = told(Partition.begin(0, 1), first), told(Partition.begin(0, 1), second)

    assert before == [(f"feedback~{a.us()}-0-1", Origin(f"alerts.v1~{a.us()}", 0, 1, 0))]
    later = a.us() + 1_000
    assert after == [(f"feedback~{later}-0-1", Origin(f"alerts.v1~{later}", 0, 1, 0))]


def test_a_log_keeps_its_name_over_restarts() -> None:
    log = a.Log()
    log.add(a.raised())
    partition = Partition.begin(0, 1)
    a.apply(partition, log.messages)
    log.add(a.feedback("a"))
    restored = Partition.restore(0, 1, a.store({}, partition.cut()))
    assert told(restored, log) == told(partition, log) == told(Partition.begin(0, 1), log)


def test_what_an_earlier_version_folded_goes_on_under_the_name_that_it_gave() -> None:
    """Between its last snapshot and its end it may have said what is folded again now."""
    log = a.Log()
    log.add(a.raised())
    partition = Partition.begin(0, 1)
    a.apply(partition, log.messages)
    records = a.store({}, partition.cut())
    ledger = msgspec.json.decode(records[KEY])
    assert ledger.pop("begun") == a.us()
    log.add(a.feedback("a"))

    restored = Partition.restore(0, 1, records | {KEY: msgspec.json.encode(ledger)})

    assert told(restored, log) == [("feedback-0-1", Origin("alerts.v1", 0, 1, 0))]
