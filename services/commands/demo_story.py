"""The demo's story: live events that are made up, and what is said about them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from services.alerts.cases.open_alerts import ranked
from services.alerts.cases.standing import Standing
from services.commands.alerts import render
from services.commands.demo_data import CHAMPION, CHAMPION_PERSON, DEAD_API
from services.wording import counted

PAYER: Final = "hotel-h14"
PAYMENT: Final = {"payment": "demo-payment-1", "amount": 800_000, "currency": "EUR"}
SHOWN: Final = 3

INTRODUCTION: Final = """\
Ebbwatch tells the owner of an account, early and with reasons, that revenue is at risk.
This demo plays real activity of five public sources (demo/README.md names them and their
licences), moved by whole weeks so that it ends yesterday. What is made up: names, owners, revenue,
renewal dates, the persons, one API that died last week, and the live events at the end."""


CHANNELS: Final = """\
[channel.crm]
kind = "webhook"
url = "{url}"
secret_file = "crm.secret"
allow = ["127.0.0.0/8"]    # the receiver of the demo is on this machine
allow_http = true
"""


class Step(NamedTuple):
    """Something that happens at a customer.

    Attributes:
        says: What it is, for a person.
        event: As it is sent.
        rule: The rule that answers it, or None where one must wait for the next step.
    """

    says: str
    event: bytes
    rule: str | None

    @property
    def account(self) -> str:
        """The account at which it happens."""
        return str(msgspec.json.decode(self.event)["subject"])


def steps(names: Mapping[str, str]) -> list[Step]:
    """Return the story.

    Args:
        names: Name of each account.
    """
    payer, champion = names[PAYER], names[CHAMPION]
    left = {"person": CHAMPION_PERSON, "status": "left"}
    return [
        Step(f"A payment of {payer} fails.", _event("1", "payment.failed", PAYER, PAYMENT), None),
        Step(
            "It is tried again, and fails again.",
            _event("2", "payment.failed", PAYER, PAYMENT),
            "payment-failed",
        ),
        Step(
            f"The champion at {champion} leaves.",
            _event("3", "contact.updated", CHAMPION, left),
            "contact-left",
        ),
    ]


def digest(standings: Iterable[Standing]) -> str:
    """Return what of the past is still open, the worst of it in full.

    Args:
        standings: All alerts of the past, cleared ones too.
    """
    every = [one for one in standings if not one.latest.shadow]
    open_ones = ranked(one for one in every if one.open)
    by_rule = Counter(one.latest.rule for one in open_ones)
    lines = [
        f"In the imported months {counted(len(every), 'alert')} arose; "
        f"{len(open_ones)} of them are still open today:"
    ]
    lines += [f"  {number:3} {rule}" for rule, number in by_rule.most_common()]
    lines += ["", f"The {min(SHOWN, len(open_ones))} worst:" if open_ones else "", ""]
    lines += [text for one in _one_a_rule(open_ones)[:SHOWN] for text in (render(one.latest), "")]
    return "\n".join(lines).rstrip()


def _one_a_rule(standings: Sequence[Standing]) -> list[Standing]:
    """Put the worst of each rule first: three alike teach less than three kinds."""
    seen: set[str] = set()
    first: list[Standing] = []
    for one in standings:
        if one.latest.rule not in seen:
            seen.add(one.latest.rule)
            first.append(one)
    return first + [one for one in standings if one not in first]


def _event(number: str, type: str, subject: str, data: Mapping[str, object]) -> bytes:
    outer = {"specversion": "1.0", "id": f"story-{number}", "source": "demo/story", "type": type}
    return msgspec.json.encode(outer | {"subject": subject, "data": data})


def suggestions(folder: Path, console: str, receiver: str) -> str:
    """Return what a person may look at and try next.

    Args:
        folder: The demo's own folder.
        console: Address of the console.
        receiver: Address of the webhook's receiver.
    """
    event = {"specversion": "1.0", "id": "mine-N", "source": "me", "type": "payment.failed"}
    data = {"payment": "p-1", "amount": 120_000, "currency": "USD"}
    text = msgspec.json.encode(event | {"subject": "stations-polk", "data": data}).decode()
    return f"""\
Look, in a browser:
  {console}/                          the inbox: who needs you, and why; j k o a s r ? are its keys
  {console}/accounts/{DEAD_API}   usage that stopped: chart, reason, timeline, buttons
  {console}/accounts/{CHAMPION}     the champion who has just left
  {receiver}                         what the webhook received, each signature checked

Try, in another terminal, in this folder:
  .venv/bin/ebbwatch alerts list
  .venv/bin/ebbwatch accounts show {CHAMPION}
  .venv/bin/ebbwatch rules explain usage-drop
  for n in 1 2; do echo '{text.replace("N", "'$n'")}'; done \\
    | EBBWATCH_KEY_FILE={folder}/key .venv/bin/ebbwatch send -
Alerts go on appearing here. Ctrl-C ends the demo; the next one begins from nothing."""
