"""Records of logs and of the configuration, API keys' and channels' among them, and signatures."""

import base64
import contextlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from typing import get_args

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from schemas.config import (
    CHANNEL_PREFIX,
    HEALTH_PREFIX,
    KEYS_PREFIX,
    MODE_KEY,
    PERSON_PREFIX,
    ROUTING_KEY,
    RULES_PREFIX,
)
from schemas.rejects import Reject
from services.alerts import directory, listing
from services.alerts.cases.partition import Partition as Cases
from services.alerts.cases.reading import Refusal, read
from services.alerts.channels import guard, webhook
from services.detector.rules import RuleError, compile_rules
from services.ingest import config
from services.sealing import Sealer
from tests.fuzz.target import Target
from tests.unit.alerts.fakes import case
from tests.unit.schemas.examples import EXAMPLES

NOW = datetime(2026, 5, 14, 9, 30, tzinfo=UTC)
SEALER = Sealer("a key of the tests, long enough to be one")
SORTS = get_args(listing.Sort)
KEYS = (
    *(f"{RULES_PREFIX}1", MODE_KEY, f"{KEYS_PREFIX}k1", f"{PERSON_PREFIX}ana", ROUTING_KEY),
    *(f"{CHANNEL_PREFIX}crm", f"{HEALTH_PREFIX}crm", "import", "inputs/gateway"),
)


@lru_cache
def _log() -> tuple[bytes, ...]:
    kinds = ("alert.", "case.", "notice.", "feedback_record")
    return tuple(one.raw for one in EXAMPLES if one.type.startswith(kinds))


def _check_alert(raw: bytes) -> None:
    """A record of the alert log is folded or refused; what follows it is folded, too."""
    try:
        account = json.loads(raw)
        told = str(account.get("account") or account.get("case"))
        key = told.encode(errors="replace").decode()
    except (ValueError, AttributeError, RecursionError):
        key = "acct_42"
    partition = Cases.begin(0, 1)
    partition.apply(0, 0, key, raw)
    assert partition.failures == []
    for one in partition.rejects:
        assert msgspec.json.decode(msgspec.json.encode(one), type=Reject) == one
    good = next(one for one in _log() if not isinstance(read("acct_42", one), Refusal))
    partition.apply(1, 0, "acct_42", good)
    assert partition.cases["acct_42"].standings
    snapshot = {name: value for name, value in partition.cut() if value is not None}
    assert Cases.restore(0, 1, snapshot).cases == partition.cases


def _check_config(raw: bytes) -> None:
    """Every reader of the configuration takes a record, or passes it over as unreadable."""
    known, people = config.Configuration(), directory.DirectorySnapshot()
    for key in KEYS:
        for fold in (partial(config.fold, known), partial(directory.fold, SEALER, people)):
            try:
                fold(key, raw)
            except (msgspec.MsgspecError, UnicodeDecodeError):
                continue


@lru_cache
def _configs() -> tuple[bytes, ...]:
    kinds = ("rule_set", "mode", "api_key", "person_rec", "routing", "channel")
    return tuple(one.raw for one in EXAMPLES if one.type.startswith(kinds))


def _check_rules(raw: bytes) -> None:
    """A rule set is refused with what those expect who put it in force, and nothing else."""
    with contextlib.suppress(RuleError, msgspec.MsgspecError):
        compile_rules(1, raw.decode(errors="replace"))


def _rule_seeds() -> Sequence[bytes]:
    from services.company import shipped

    return (msgspec.json.encode(shipped().content),)


def _check_signature(raw: bytes) -> None:
    """What we sign, others verify; what was changed on its way, they refuse."""
    secret = webhook.make_secret((raw[:32] + bytes(32))[:32])
    assert webhook.secret_fault(secret) is None
    text = raw.decode(errors="replace")
    at = datetime.now(UTC)
    headers = webhook._headers((secret,), "id-1", text.encode(), at)
    signed = {name: headers[name] for name in headers if name.startswith("webhook-")}
    assert _verified(secret, text, signed)
    assert not _verified(secret, text + "x", signed)
    webhook.secret_fault(text)
    webhook._pause(text, NOW)


def _verified(secret: str, text: str, headers: dict[str, str]) -> bool:
    try:
        Webhook(secret).verify(text, headers)
    except WebhookVerificationError:
        return False
    except ValueError:
        # The signature holds, and only the body is no JSON.
        return True
    return True


def _check_address(raw: bytes) -> None:
    text = raw.decode(errors="replace")
    for allow_http in (False, True):
        webhook.url_fault(text, (), allow_http)
        guard.parse(text, allow_http)
    guard.refusal(text, ())


def _addresses() -> Sequence[bytes]:
    return (
        b"https://crm.example.com/hooks/1?a=b",
        b"http://user:pw@127.0.0.1:8443/",
        b"https://[::ffff:10.0.0.1]:443/x",
        b"https://0x7f.1/",
        b"https://xn--bcher-kva.example:8443/%2e%2e/#x",
        # yarl and the codec for IDNA have raised what nobody expects of these.
        b"https://xn--bn--bcher-kva.example/",
        b"https://xn--.example/",
        b"https://xn--a-\xcc\x88.example/",
        b"https://[]@/",
    )


def _check_cursor(raw: bytes) -> None:
    """A cursor that nobody gave is refused, and never breaks a list."""
    text = raw.decode(errors="replace")
    encoded = base64.urlsafe_b64encode(raw).decode().rstrip("=")
    cases = [case(), case("acct_2", arr=None, renewal_on=None)]
    for sort in SORTS:
        for cursor in (text, encoded):
            listing.page(cases, listing.Filter(), sort, NOW.date(), cursor, 1)


def _cursors() -> Sequence[bytes]:
    cases = [case(), case("acct_2", arr=None, renewal_on=None)]
    told = [listing.page(cases, listing.Filter(), sort, NOW.date(), None, 1) for sort in SORTS]
    cursors = [one.next for one in told if isinstance(one, listing.CasePage) and one.next]
    return [base64.urlsafe_b64decode(one + "==") for one in cursors]


TARGETS = (
    Target("alert", _check_alert, _log, (b'"because":{', b'"v":2', b'"acct_42"')),
    Target("config", _check_config, _configs, (b'"allow":["10.0.0.0/8"]', b'"revoked_at":null')),
    Target("rules", _check_rules, _rule_seeds, (b'"params":{', b'"rule":', b"-1", b"1e400")),
    Target("signature", _check_signature, _configs),
    Target("address", _check_address, _addresses, (b"http://", b"@", b"[", b"%", b":99999")),
    Target("cursor", _check_cursor, _cursors, (b"1e308", b"NaN", b'"arr"', b"9999-12-31")),
)
