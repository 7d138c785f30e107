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
from openaudiohook.auth.explain import Explanation, explain
from openaudiohook.auth.forwarding import ExternalAddress
from openaudiohook.auth.keys import (
    Credentials,
    InMemoryKeys,
    KeyStore,
    decode_secret,
    parse_credentials,
    validate_api_key,
)
from openaudiohook.auth.replay import ReplayCache
from openaudiohook.auth.signing import (
    Authenticated,
    VerificationPolicy,
    encode_nonce,
    sign,
    signature_base,
    upgrade_headers,
    verify,
)

__all__ = [
    "REQUIRED_COMPONENTS",
    "Authenticated",
    "Credentials",
    "Explanation",
    "ExternalAddress",
    "InMemoryKeys",
    "KeyStore",
    "ReplayCache",
    "SignedRequest",
    "VerificationPolicy",
    "canonical_authority",
    "component_value",
    "decode_secret",
    "encode_nonce",
    "explain",
    "parse_credentials",
    "request_for_uri",
    "sign",
    "signature_base",
    "upgrade_headers",
    "validate_api_key",
    "verify",
]
