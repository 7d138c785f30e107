"""The Monitor's master key: 32 octets kept outside the store, and what is derived from them.

Whoever has the store but not the key can neither read the secrets in it nor change the journal
unseen. The key is therefore never logged, and its file is for its owner alone.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Final

from openaudiohook.exceptions import ConfigurationError

__all__ = ["KEY_VARIABLE", "MASTER_KEY_BYTES", "audit_key", "derived_key", "load_master_key"]

KEY_VARIABLE: Final = "OPENAUDIOHOOK_MONITOR_KEY"
"""The environment variable that may hold the key, in base64."""

MASTER_KEY_BYTES: Final = 32

_MADE_BY: Final = "make one with `head -c 32 /dev/urandom | base64`"


def load_master_key(path: Path | None, value: str | None = None, *, create: bool = False) -> bytes:
    """Return the master key: from `value` where it is given, else from a file.

    Args:
        path: of a file that holds the key in base64, readable to its owner alone.
        value: what the environment variable holds, in base64; it wins over the file.
        create: make the file, with a new key, where there is none.

    Raises:
        ConfigurationError: there is no key, it is not 32 octets in base64, or others may read
            its file.
    """
    if value is not None:
        return _key(value, source=f"${KEY_VARIABLE}")
    if path is None:
        raise ConfigurationError(
            f"the Monitor's key is missing: name a key file, or set {KEY_VARIABLE}"
        )
    try:
        if create and not path.exists():
            _make(path)
        return _key(_read(path), source=str(path))
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no key file {path}: name the one the Monitor uses, or set {KEY_VARIABLE}"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"the key file {path}: {error.strerror}") from None


def audit_key(master: bytes) -> bytes:
    """Return the key that chains the journal."""
    return derived_key(master, b"openaudiohook audit")


def derived_key(master: bytes, purpose: bytes) -> bytes:
    """Return 32 octets for one purpose: HKDF-SHA256 (RFC 5869) without a salt, one block long."""
    pseudorandom = hmac.digest(bytes(32), master, "sha256")
    return hmac.digest(pseudorandom, purpose + b"\x01", "sha256")


def _key(text: str, *, source: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except (binascii.Error, ValueError):  # the text itself must not be shown
        key = b""
    if len(key) != MASTER_KEY_BYTES:
        raise ConfigurationError(
            f"{source} does not hold {MASTER_KEY_BYTES} octets in base64: {_MADE_BY}"
        )
    return key


def _read(path: Path) -> str:
    with path.open("rb") as file:
        mode = os.fstat(file.fileno()).st_mode
        if stat.S_IMODE(mode) & 0o077:
            raise ConfigurationError(
                f"others may read or write the key file {path}: `chmod 600 {path}`"
            )
        return file.read(1024).decode("ascii", "replace")


def _make(path: Path) -> None:
    """Make the file whole or not at all; where another process was first, its key holds."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(fd, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(base64.b64encode(secrets.token_bytes(MASTER_KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            path.hardlink_to(unfinished)
    finally:
        unfinished.unlink()
