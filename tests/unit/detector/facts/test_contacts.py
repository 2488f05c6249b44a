from itertools import permutations

import msgspec

from schemas.envelope import Entry
from services.detector.facts.contacts import (
    CONTACT_LIMIT,
    ID_SIZE,
    Contact,
    Contacts,
    Touch,
    stamp_of,
)
from services.detector.facts.people import active_days
from tests import builders as a


def folded(*entries: Entry, contacts: Contacts | None = None) -> Contacts:
    contacts = contacts or Contacts()
    for one in entries:
        assert contacts.fold(one, a.moment(one)) is None
    return contacts


def test_a_stamp_keeps_an_id_as_it_is_or_what_tells_it_apart() -> None:
    uuid = "6b7a0f0e-2f5c-4a53-9f0c-0d6f4f1f3a11"
    assert stamp_of(7, uuid) == (7, uuid)
    long = f"{uuid}/part-1", f"{uuid}/part-2"
    stamps = [stamp_of(7, one) for one in long]
    assert [(time, one[:20], len(one)) for time, one in stamps] == [(7, uuid[:20], ID_SIZE)] * 2
    assert len(set(stamps)) == 2


def test_role_status_and_admin_resolve_apart_in_any_order() -> None:
    told = (
        a.contact("u1", {"role": "champion"}, day=1, id="a"),
        a.granted("u1", day=2, id="b"),
        a.left("u1", day=3, id="c"),
        a.contact("u1", {"role": "sponsor"}, day=4, id="d"),
        a.revoked("u1", day=5, id="e"),
    )
    for order in permutations(told):
        assert folded(*order).people == {
            "u1": Contact(
                role="sponsor",
                status="left",
                role_stamp=(a.at(4), "d"),
                status_stamp=(a.at(3), "c"),
                changed_day=a.START + 3,
                admin=False,
                admin_stamp=(a.at(5), "e"),
            )
        }


def test_administrators_who_left_are_none() -> None:
    contacts = folded(a.granted("u2", day=1), a.granted("u1", day=1), a.granted("u3", day=1))
    assert contacts.admins() == ["u1", "u2", "u3"]
    assert folded(a.left("u1", day=2), a.revoked("u3", day=2), contacts=contacts).admins() == ["u2"]


def test_the_last_touches_are_the_newest_in_any_order() -> None:
    told = (
        a.touch("u1", day=1, id="a"),
        a.touch("u2", day=3, id="b"),
        a.touch("u1", two_way=False, day=5, id="c"),
    )
    for order in permutations(told):
        contacts = folded(*order)
        assert contacts.last_touch == Touch((a.at(5), "c"), a.START + 5, "call", "u1", "ana")
        assert contacts.last_two_way == Touch((a.at(3), "b"), a.START + 3, "call", "u2", "ana")
        days = {who: active_days(one.touches or 0, a.START + 7, 7) for who, one in _(contacts)}
        assert days == {"u1": 1, "u2": 1}


def _(contacts: Contacts) -> list[tuple[str, Contact]]:
    return list(contacts.people.items())


def test_touched_contacts_can_be_written_and_read_back() -> None:
    contacts = folded(a.touch("u1", day=1), a.touch("u1", day=40), a.contact("u2", {"role": "x"}))
    raw = msgspec.msgpack.encode(contacts)
    assert msgspec.msgpack.decode(raw, type=Contacts) == contacts
    assert contacts.people["u2"].touches is None


def test_who_left_first_makes_room_and_else_nobody_is_added() -> None:
    contacts = folded(*(a.contact(f"u{n}", {"role": "user"}) for n in range(CONTACT_LIMIT)))
    more = a.contact("new", {"role": "user"}, day=9)
    assert contacts.fold(more, a.moment(more)) == "too_many_contacts"
    touched = a.touch("new", day=9)
    assert contacts.fold(touched, a.moment(touched)) == "too_many_contacts"
    assert (contacts.last_touch, len(contacts.people)) == (None, CONTACT_LIMIT)
    folded(a.left("u7", day=5), a.left("u3", day=6), more, contacts=contacts)
    assert ("u7" in contacts.people, "u3" in contacts.people, "new" in contacts.people) == (
        False,
        True,
        True,
    )
