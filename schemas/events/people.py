"""Who belongs to which account."""

from .fields import Fields, Id


class PersonJoined(Fields, frozen=True, tag="person.joined"):
    """A person belongs to an account from now on (from a group or identify call)."""

    person: Id
    account: Id
