"""Subjects that a fault holds back: quarantined ones, and rules that are off for some."""

from collections import Counter
from collections.abc import Mapping
from typing import Final

import msgspec
from aiokafka import TopicPartition

from schemas import topics
from schemas.envelope import ACCOUNT
from services.commands.checks.finding import Finding, ok, some, warn
from services.commands.kafka_facts import Asking
from services.detector.ledger import ROOT
from services.detector.subject import SEPARATOR, Quarantine
from services.settings import ServiceSettings
from services.wording import counted


class Held(msgspec.Struct):
    """What is read of a subject's record.

    Attributes:
        quarantine: Why it folds no more, or None.
        off: Rules that are off for it, with the rule set in which they raised.
    """

    quarantine: Quarantine | None = None
    off: dict[str, int] = msgspec.field(default_factory=dict)


_decode: Final = msgspec.msgpack.Decoder(Held).decode


async def look(kafka: Asking, settings: ServiceSettings) -> dict[str, Held]:
    """Return the subjects that are held back; reads all of `state.v1`.

    Args:
        kafka: The connection.
        settings: Which deployment.

    Returns:
        Accounts by id, others by subject.
    """
    state = topics.full_name(topics.STATE, settings.prefix)
    parts = [TopicPartition(state, number) for number in (await kafka.topics()).get(state, ())]
    offsets = await kafka.offsets(parts)
    begins = {part: held.start for part, held in offsets.items()}
    ends = {part: held.end for part, held in offsets.items()}
    found: dict[bytes, Held] = {}
    async for _, record in kafka.read(begins, ends):
        if is_subject(record.key):
            held = None if record.value is None else _decode(record.value)
            if held is not None and (held.quarantine is not None or held.off):
                found[record.key] = held
            else:
                found.pop(record.key, None)
    return {key.decode().removeprefix(ACCOUNT): held for key, held in found.items()}


def is_subject(key: bytes) -> bool:
    r"""Tell whether a key of `state.v1` is a subject, and no part of one and of no ledger.

    >>> [is_subject(key) for key in (b"person:u1", b"person:u1\x1fwaiting\x1f7.0", b"~ledger")]
    [True, False, False]
    """
    return SEPARATOR.encode() not in key and not key.startswith(ROOT.encode())


def judge(held: Mapping[str, Held], rules: int) -> list[Finding]:
    """Return what is to be said of subjects that are held back.

    Args:
        held: As `look` returns them.
        rules: Number of the rule set in force; a rule that raised in another one is on again.
    """
    quarantined = sorted(id for id, one in held.items() if one.quarantine is not None)
    off = Counter(rule for one in held.values() for rule, n in one.off.items() if n == rules)
    if not quarantined and not off:
        return [ok("accounts", "none is quarantined, no rule is switched off")]
    found = []
    if quarantined:
        text = f"{counted(len(quarantined), 'subject')} quarantined by a fault: {some(quarantined)}"
        remedy = "report the error in `ebbwatch accounts show ID`; then `ebbwatch accounts repair`"
        found.append(warn("accounts", text, remedy))
    if off:
        each = [f"{rule} for {counted(n, 'account')}" for rule, n in off.most_common()]
        remedy = "report it; a new rule set (`ebbwatch config apply`) switches them on again"
        found.append(warn("accounts", f"rules that raised are off: {some(each)}", remedy))
    return found
