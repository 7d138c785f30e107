"""TLS as both ends use it: 1.2 or newer, certificates checked, never switched off."""

from __future__ import annotations

import functools
import ssl
from pathlib import Path

from openaudiohook.exceptions import ConfigurationError

__all__ = ["client_tls", "default_client_tls", "server_tls"]


def server_tls(certificate: Path | str, key: Path | str) -> ssl.SSLContext:
    """Return the TLS settings of a listener.

    Args:
        certificate: PEM file with the certificate and the chain above it.
        key: PEM file with its private key, without a pass phrase.

    Raises:
        ConfigurationError: a file cannot be read, or the two do not belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    for path in (certificate, key):
        _check_readable(path)
    try:
        context.load_cert_chain(certificate, key, password=_refuse_pass_phrase)
    except ssl.SSLError as error:
        raise ConfigurationError(
            f"TLS certificate {certificate} and key {key} cannot be used: "
            f"{error.reason or 'not PEM'}; give the full chain and its unencrypted key"
        ) from None
    return context


def client_tls(ca_file: Path | str | None = None) -> ssl.SSLContext:
    """Return the TLS settings of an endpoint connection.

    Args:
        ca_file: PEM file with authorities to trust besides the public ones.

    Raises:
        ConfigurationError: the file cannot be read or holds no certificate.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_file is not None:
        _check_readable(ca_file)
        try:
            context.load_verify_locations(cafile=ca_file)
        except ssl.SSLError:
            raise ConfigurationError(f"{ca_file} holds no PEM certificate") from None
    return context


@functools.cache
def default_client_tls() -> ssl.SSLContext:
    """Return settings that trust the public authorities; loading those takes a while."""
    return client_tls()


def _check_readable(path: Path | str) -> None:
    try:
        Path(path).open("rb").close()
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}") from None


def _refuse_pass_phrase() -> str:
    raise ConfigurationError("the TLS key has a pass phrase; give one without")
