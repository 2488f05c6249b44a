import pytest

from schemas.accounts import AccountSummary
from schemas.config import PersonRecord, RoutingRecord
from services.alerts.routing import Recipient, route
from tests.unit.alerts import builders as a

PEOPLE = {one: PersonRecord(id=one, name=one.title()) for one in ("ana", "bob", "kim")}
KIM = RoutingRecord(signal_manager="kim")
NONE = RoutingRecord()


def summary(owner: str | None, stamp: int) -> AccountSummary:
    return AccountSummary(account="acme", stamp=stamp, owner=owner)


@pytest.mark.parametrize(
    "owner, stated, assignee, routing, expected",
    [
        ("ana", None, None, KIM, Recipient("ana", "owner")),
        ("ana", None, "bob", KIM, Recipient("bob", "assignee")),
        # the alert's stamp is 5: of it and the account's summary the newer one says who owns it
        ("ana", summary("bob", 4), None, KIM, Recipient("ana", "owner")),
        ("ana", summary("bob", 5), None, KIM, Recipient("bob", "owner")),
        ("ana", summary("bob", 6), None, KIM, Recipient("bob", "owner")),
        ("ana", summary(None, 6), None, KIM, Recipient("kim", "signal_manager")),
        (None, summary("bob", 6), None, KIM, Recipient("bob", "owner")),
        (None, None, None, KIM, Recipient("kim", "signal_manager")),
        (None, None, None, NONE, Recipient(None, "nobody")),
        # who has left is in no directory that has people
        ("zoe", None, None, KIM, Recipient("kim", "signal_manager")),
        ("zoe", None, None, NONE, Recipient(None, "nobody")),
        ("ana", None, "zoe", KIM, Recipient("ana", "owner")),
        ("zoe", None, None, RoutingRecord(signal_manager="yan"), Recipient(None, "nobody")),
    ],
)
def test_who_is_told(
    owner: str | None,
    stated: AccountSummary | None,
    assignee: str | None,
    routing: RoutingRecord,
    expected: Recipient,
) -> None:
    case = a.case(a.raised(owner=owner, stamp=5), a.assigned(assignee))
    assert route(case, stated, PEOPLE, routing) == expected


def test_an_empty_directory_takes_every_id_as_it_is() -> None:
    assert route(a.case(a.raised(owner="zoe")), None, {}, KIM) == Recipient("zoe", "owner")
    yan = RoutingRecord(signal_manager="yan")
    assert route(a.case(a.raised(owner=None)), None, {}, yan) == Recipient("yan", "signal_manager")
