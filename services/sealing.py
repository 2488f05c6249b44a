"""Seals secrets that stand in the log, so that only who has the deployment's key can read them.

AES-256-GCM. The key is derived from `EBBWATCH_SECRET_KEY` by HKDF-SHA256, whose `info` keeps it
apart from what API keys are hashed with. The record's key is bound in: a secret that was copied to
another record does not open there.
"""

import base64
import binascii
import os
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FORM: Final = "v1:"

_INFO: Final = b"ebbwatch sealing v1"
_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12


class Unopened(NamedTuple):
    """Why a sealed text cannot be read.

    Attributes:
        reason: What is wrong, and the remedy.
    """

    reason: str


class Sealer:
    """Seals and opens under one deployment's key; its repr shows nothing of it.

    Args:
        secret_key: `EBBWATCH_SECRET_KEY`; hard to guess, because HKDF makes no guess expensive.
    """

    def __init__(self, secret_key: str) -> None:
        derived = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=None, info=_INFO)
        self._cipher = AESGCM(derived.derive(secret_key.encode()))

    def seal(self, text: str, where: str) -> str:
        """Return a text as `v1:<base64>`; another one each time.

        Args:
            text: The secret.
            where: Key of the record that it is to stand in.
        """
        # Made here, and not an argument: under one key no nonce may ever come twice.
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._cipher.encrypt(nonce, text.encode(), where.encode())
        return FORM + base64.b64encode(nonce + sealed).decode()

    def open(self, sealed: str, where: str) -> str | Unopened:
        """Return what was sealed, or why it cannot be read.

        Args:
            sealed: What `seal` returned.
            where: Key of the record that it stands in.
        """
        if not sealed.startswith(FORM):
            return Unopened(f"its secret is not of the form {FORM}...; {_APPLY}")
        try:
            raw = base64.b64decode(sealed.removeprefix(FORM), validate=True)
            opened = self._cipher.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], where.encode())
        except (binascii.Error, ValueError):
            return Unopened(f"its sealed secret is damaged; {_APPLY}")
        except InvalidTag:
            return Unopened(
                "its secret was sealed under another EBBWATCH_SECRET_KEY, or is damaged: set the "
                f"key that it was sealed under, or {_APPLY}"
            )
        return opened.decode()


_APPLY: Final = "run `ebbwatch config apply` again, which seals it anew"
