from schemas.accounts import AccountSummary
from services.commands.routes import Route, render

EVIL = "\x1b]0;owned\x07\nHIGH  forged\u202e"
SHOWN = "�]0;owned��HIGH  forged�"


def summary(account: str, name: str | None) -> AccountSummary:
    return AccountSummary(account=account, stamp=7, name=name)


def test_a_route_says_who_is_told_by_what_and_why() -> None:
    told = render(Route("ana", "Ana Lima", "owner", ("crm",)), summary("acct_1", "Acme"))
    assert told == (
        "Acme (acct_1): Ana Lima (ana) would be told by crm\n"
        "    the account's owner; whoever a case is assigned to comes first"
    )


def test_no_name_in_a_route_does_anything_to_a_terminal_or_forges_a_line() -> None:
    told = render(Route("ana", EVIL, "owner", ("crm",)), summary(EVIL, EVIL))
    assert told == (
        f"{SHOWN} ({SHOWN}): {SHOWN} (ana) would be told by crm\n"
        "    the account's owner; whoever a case is assigned to comes first"
    )
