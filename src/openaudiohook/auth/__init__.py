"""Who is calling: HTTP message signatures as AudioHook uses them (protocol section 3).

Sans-IO: a request goes in as values, the time and random octets are arguments, and what
comes out is `Authenticated` or a subclass of `AuthError`.
"""

from __future__ import annotations

from openaudiohook.auth.components import (
    REQUIRED_COMPONENTS,
    SignedRequest,
    canonical_authority,
    component_value,
    request_for_uri,
)
from openaudiohook.auth.explain import (
    Explanation,
    RequestLines,
    explain_signature,
    read_request_lines,
)
from openaudiohook.auth.forwarding import ExternalAddress
from openaudiohook.auth.keys import (
    Credentials,
    InMemoryKeys,
    KeyStore,
    decode_secret,
    parse_credentials,
    validate_api_key,
)
from openaudiohook.auth.replay import NonceMemory, ReplayCache
from openaudiohook.auth.signing import encode_nonce, sign, signature_base, upgrade_headers
from openaudiohook.auth.verification import Authenticated, VerificationPolicy, verify

__all__ = [
    "REQUIRED_COMPONENTS",
    "Authenticated",
    "Credentials",
    "Explanation",
    "ExternalAddress",
    "InMemoryKeys",
    "KeyStore",
    "NonceMemory",
    "ReplayCache",
    "RequestLines",
    "SignedRequest",
    "VerificationPolicy",
    "canonical_authority",
    "component_value",
    "decode_secret",
    "encode_nonce",
    "explain_signature",
    "parse_credentials",
    "read_request_lines",
    "request_for_uri",
    "sign",
    "signature_base",
    "upgrade_headers",
    "validate_api_key",
    "verify",
]
