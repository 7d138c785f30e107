"""Sealing: secrets are stored encrypted, with a key that is kept outside the store.

AES-256-GCM with a random nonce; the key is derived from the Monitor's master key by HKDF-SHA256.
"""

from __future__ import annotations

import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from openaudiohook.exceptions import ConfigurationError, StoreError
from openaudiohook.store.keys import MASTER_KEY_BYTES, derived_key

__all__ = ["Sealer"]

_PURPOSE: Final = b"openaudiohook sealing"
_FORMAT: Final = b"\x01"
_NONCE_BYTES: Final = 12


class Sealer:
    """Seals small secrets, and opens what it sealed.

    Args:
        master: the Monitor's master key, 32 bytes.

    Raises:
        ConfigurationError: the key is of another length.
    """

    def __init__(self, master: bytes) -> None:
        if len(master) != MASTER_KEY_BYTES:
            raise ConfigurationError(
                f"the Monitor's key has {len(master)} bytes; it must have {MASTER_KEY_BYTES}"
            )
        self._cipher = AESGCM(derived_key(master, _PURPOSE))

    def seal(self, secret: bytes, context: bytes) -> bytes:
        """Encrypt a secret; it can be opened only with the same `context`, which is not stored."""
        nonce = os.urandom(_NONCE_BYTES)
        return _FORMAT + nonce + self._cipher.encrypt(nonce, secret, _FORMAT + context)

    def open(self, sealed: bytes, context: bytes) -> bytes:
        """Decrypt what `seal` made.

        Raises:
            StoreError: it was sealed with another key or for another context, or was changed.
        """
        nonce, text = sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        try:
            if sealed[:1] != _FORMAT:
                raise InvalidTag
            return self._cipher.decrypt(nonce, text, _FORMAT + context)
        except (InvalidTag, ValueError):
            raise StoreError(
                "a stored secret does not open with the Monitor's key: start it with the key it "
                "was stored with, or store the credential anew"
            ) from None
