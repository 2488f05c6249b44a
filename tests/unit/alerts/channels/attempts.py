"""One attempt to send a notice, and endpoints to send it to."""

import ssl
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from services.alerts.channels import Channel, Outcome, Sender, webhook
from tests.unit.alerts.receiver import Names, Say, receiving

NOTICE = "0b0f1a9e-6f3a-5d0e-9a55-0123456789ab"
NEW = webhook.make_secret(bytes(range(32)))
OLD = webhook.make_secret(bytes(range(1, 33)))
BODY = '{"type":"alert.raised","data":{"name":"Zoë"}}'.encode()
LOOPBACK = (ip_network("127.0.0.0/8"),)


def channel(url: str, *secrets: str) -> Channel:
    return Channel("crm", "webhook", url, secrets or (NEW,), LOOPBACK, allow_http=True)


async def send(to: Channel, names: Names | None = None, within: float = 5.0) -> Outcome:
    lookup = names or Names(["127.0.0.1"])
    return await webhook.send(to, NOTICE, BODY, datetime.now(UTC), within, lookup)


async def answered(answer: bytes | Say, within: float = 5.0) -> Outcome:
    async with receiving(answer) as receiver:
        return await send(channel(receiver.url), within=within)


def status(line: str, *headers: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {line}", *headers, "Content-Length: 0", "", ""]).encode()


class sender:
    """A sender as long as the block lasts."""

    async def __aenter__(self) -> Sender:
        self._sender = Sender(5.0)
        return self._sender

    async def __aexit__(self, *_: object) -> None:
        await self._sender.close()


def self_signed(folder: Path) -> ssl.SSLContext:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "crm.test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .sign(key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    (folder / "cert").write_bytes(certificate.public_bytes(pem))
    (folder / "key").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert", folder / "key")
    return context
