"""The comparison with an undisturbed fold, and what half a year is made of."""

from datetime import UTC, datetime, timedelta
from random import Random

from schemas.events import PartClosed
from tests.faults.halfyear import DAYS, HAPPENINGS, HalfYear, customers
from tests.faults.lapse import in_order
from tests.faults.load import Load
from tests.faults.logs import Message
from tests.faults.oracle.homes import ACCOUNT, COMPANY, home
from tests.faults.undisturbed import alert_differences, fold, heard, written
from tests.unit.faults import stories as a
from tests.unit.faults.stories import Log, silent

BEGIN = datetime(2026, 3, 2, tzinfo=UTC)


def messages(log: Log) -> list[Message]:
    return [Message(*one) for one in log.messages]


def test_a_log_folded_in_one_piece_tells_its_alerts_by_account() -> None:
    found = fold(0, 1, messages(silent()))
    (alert,) = found.alerts["acme"]
    assert (alert["type"], alert["rule"], alert["day"]) == ("alert.raised", "silence", a.on(3))
    assert found.shown["acme"]["judged"] == a.on(4)


def test_an_alert_that_is_missing_or_says_something_else_is_told() -> None:
    wanted = fold(0, 1, messages(silent())).alerts
    assert list(alert_differences(wanted, wanted)) == []
    (alert,) = wanted["acme"]
    (lost,) = alert_differences(wanted, {})
    assert lost.startswith("alert record 0 of acme is None, undisturbed it is {")
    other = {**alert, "because": {**alert["because"], "title": "Other"}}
    assert list(alert_differences(wanted, {"acme": [other]})) == [
        "alert record 0 of acme.because.title is 'Other', undisturbed it is 'Silent for two days'"
    ]
    (twice,) = alert_differences(wanted, {"acme": [alert, alert]})
    assert twice.startswith("alert record 1 of acme is {")


def test_of_the_alert_log_only_alerts_count() -> None:
    raised = b'{"type":"alert.raised","account":"acme"}'
    noted = b'{"type":"notice.intended","case":"acme"}'
    records = [Message(n, 0, raw, b"acme") for n, raw in enumerate((raised, noted))]
    assert written(records) == {"acme": [{"type": "alert.raised", "account": "acme"}]}


def test_what_partitions_say_is_heard_once_however_often_it_is_said() -> None:
    said = PartClosed(
        scope=COMPANY, day=BEGIN.date(), partition=0, values={"accounts": 1}, revision=1
    )
    log = Log().say(a.system(said), now=a.at(1)).say(a.system(said), now=a.at(1))
    log.say(a.usage(1), now=a.at(1))
    assert len(heard(messages(log))) == 1


def test_half_a_year_is_the_same_for_the_same_seed_and_in_order() -> None:
    one, other = (HalfYear(Load(Random(5)), BEGIN).tell() for _ in range(2))
    assert one == other
    times = [datetime.fromisoformat(sent.event["time"]) for sent in one]
    assert times == sorted(times) == [at for at, _ in in_order(one)]
    assert (times[0], times[-1]) == (
        BEGIN + timedelta(hours=12),
        BEGIN + timedelta(days=DAYS - 1, hours=12),
    )


def test_every_partition_has_customers_to_whom_something_happens() -> None:
    homes = {home(ACCOUNT + account, 2) for what, account in customers() if what.rules}
    assert homes == {0, 1}
    rules = [rule for one in HAPPENINGS for rule in one.rules]
    assert len(rules) == len(set(rules)) == 11
