"""Verify an upgrade request: the nine steps of protocol section 3.5, then the nonce.

`verify` raises one of the subclasses of `AuthError`. Their texts are for the operator:
the peer is told 401 and nothing else, whatever the cause.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NoReturn, cast

import http_sf

from openaudiohook.auth.components import REQUIRED_COMPONENTS, X_API_KEY, SignedRequest
from openaudiohook.auth.forwarding import ExternalAddress
from openaudiohook.auth.keys import KeyStore, is_api_key
from openaudiohook.auth.replay import NonceMemory
from openaudiohook.auth.signing import ALGORITHM, PARAMETERS, signature_base
from openaudiohook.exceptions import (
    ConfigurationError,
    ExpiredSignature,
    MalformedSignature,
    MissingSignature,
    SignatureMismatch,
    UnknownKey,
)

__all__ = [
    "CHECKS",
    "DEFAULT_POLICY",
    "MAX_NAME_LENGTH",
    "MAX_NONCE_LENGTH",
    "MAX_SIGNATURE_HEADER_LENGTH",
    "MIN_NONCE_LENGTH",
    "SIGNATURE_LENGTH",
    "Authenticated",
    "ReceivedSignature",
    "VerificationPolicy",
    "member_text",
    "read_signature",
    "verify",
]

MIN_NONCE_LENGTH = 22
MAX_NONCE_LENGTH = 512
MAX_NAME_LENGTH = 64
MAX_SIGNATURE_HEADER_LENGTH = 4096
SIGNATURE_LENGTH = 32

_NS = 1_000_000_000
_PARAMETER_TYPES: Mapping[str, type[str] | type[int]] = {
    "keyid": str,
    "nonce": str,
    "alg": str,
    "created": int,
    "expires": int,
}
_TYPE_NAMES = {str: "a string", int: "a non-negative integer"}
# A dictionary member up to its comma: strings may hold commas, and so may display strings.
_MEMBER = re.compile(r'(?:[^",%]++|%(?!")|%"[^"]*"|"(?:[^"\\]++|\\.)*")++')


@dataclass(frozen=True, slots=True)
class VerificationPolicy:
    """What a verifier tolerates.

    Attributes:
        skew_s: how far the signer's clock may be off, in seconds, either way.
        max_age_s: how old a signature may be, in seconds.
        label: which signature to check where several came; None means the first.
        external: what our address looks like from outside.
    """

    skew_s: int = 3
    max_age_s: int = 10
    label: str | None = None
    external: ExternalAddress = field(default_factory=ExternalAddress)

    def __post_init__(self) -> None:
        if self.skew_s < 0 or self.max_age_s < 1:
            raise ConfigurationError(
                "signature policy: the skew must be at least 0 s and the maximum age at least 1 s"
            )

    @property
    def replay_window_ns(self) -> int:
        """How long a nonce must be remembered: as long as its signature can be accepted."""
        return (self.max_age_s + 2 * self.skew_s) * _NS


DEFAULT_POLICY = VerificationPolicy()


@dataclass(frozen=True, slots=True)
class Authenticated:
    """Who a request comes from.

    Attributes:
        api_key: the key that authenticated it.
        is_signed: False where the key has no secret and the request no signature.
    """

    api_key: str
    is_signed: bool


@dataclass(frozen=True, slots=True)
class ReceivedSignature:
    """One signature as it came, read and not yet believed.

    Attributes:
        label: its name in both headers.
        components: the covered components, in the signer's order.
        parameters: the signature parameters by name.
        text: components and parameters exactly as received.
        value: the signature's octets.
    """

    label: str
    components: tuple[str, ...]
    parameters: Mapping[str, Any]
    text: str
    value: bytes = field(repr=False)


def member_text(header: str, label: str) -> str:
    """Return the value of one member of a dictionary header, exactly as it is written.

    The header must be a well-formed structured-field dictionary without duplicates.
    """
    for match in _MEMBER.finditer(header):
        name, _, value = match.group().strip(" \t").partition("=")
        if name == label:
            return value
    raise MalformedSignature("Signature-Input has no such signature")


def read_signature(request: SignedRequest, *, label: str | None = None) -> ReceivedSignature | None:
    """Read the signature headers, or return None where the request has neither.

    Only form is checked here; `CHECKS` judge what was read.

    Raises:
        MissingSignature: one of the two headers is missing.
        MalformedSignature: they cannot be read.
    """
    signature_input, signature = request.header("signature-input"), request.header("signature")
    if signature_input is None and signature is None:
        return None
    if signature_input is None or signature is None:
        missing = "Signature-Input" if signature_input is None else "Signature"
        raise MissingSignature(f"the {missing} header is missing")
    inputs = _parse_dictionary("Signature-Input", signature_input)
    signatures = _parse_dictionary("Signature", signature)
    if label is None:
        label = next(iter(inputs))
    if label not in inputs or label not in signatures:
        raise MalformedSignature("Signature-Input and Signature do not hold the same label")
    members, parameters = inputs[label]
    if not isinstance(members, list):
        raise MalformedSignature("Signature-Input must be a list of components in parentheses")
    if not parameters:
        raise MalformedSignature("Signature-Input has no parameters")
    for name, qualifiers in members:
        if type(name) is not str:
            raise MalformedSignature("a covered component must be a string in quotes")
        if len(name) > MAX_NAME_LENGTH:
            raise MalformedSignature(f"a covered component has over {MAX_NAME_LENGTH} characters")
        if qualifiers:
            raise MalformedSignature(f'"{name}" has parameters of its own; none are known here')
    value = signatures[label][0]
    if type(value) is not bytes:
        raise MalformedSignature("Signature must be base64 between colons")
    return ReceivedSignature(
        label=label,
        components=tuple(name for name, _ in members),
        parameters=parameters,
        text=member_text(signature_input, label),
        value=value,
    )


def verify(
    request: SignedRequest,
    *,
    keys: KeyStore,
    utc_ns: int,
    replay: NonceMemory | None,
    policy: VerificationPolicy = DEFAULT_POLICY,
) -> Authenticated:
    """Authenticate an upgrade request: steps 1 to 9 of protocol section 3.5, then the nonce.

    An unsigned request is accepted only if its key is known and has no secret. The work
    done is the same for a known and an unknown key.

    Args:
        request: the request as it arrived.
        keys: a snapshot of the keys that are ours.
        utc_ns: the wall clock, in nanoseconds since the Unix epoch.
        replay: nonces seen before; None switches the check off.
        policy: what is tolerated.

    Raises:
        AuthError: one of its subclasses says why; nothing else is ever raised.
    """
    api_key = request.header(X_API_KEY)
    if api_key is None or not is_api_key(api_key):
        raise UnknownKey("X-API-KEY is missing or malformed")
    secret = keys.secret_for(api_key)
    signature = read_signature(request, label=policy.label)
    if signature is None:
        if secret is None:
            raise UnknownKey("the API key is not known, and the request is not signed")
        if secret:
            raise MissingSignature("the API key has a secret, and the request is not signed")
        return Authenticated(api_key, is_signed=False)
    for check in CHECKS:
        check(signature, api_key, utc_ns, policy)
    external = policy.external.as_signed(request)
    base = signature_base(external, signature.components, signature.text)
    expected = hmac.digest(secret or keys.decoy, base, "sha256")
    fits = hmac.compare_digest(expected, signature.value)
    if secret is None:
        raise UnknownKey("the API key is not known")
    if not secret:
        raise SignatureMismatch("the request is signed, and its API key has no secret here")
    if not fits:
        raise SignatureMismatch("the signature does not fit the request")
    if replay is not None:
        nonce = signature.parameters["nonce"]
        replay.admit(api_key, nonce, utc_ns=utc_ns, window_ns=policy.replay_window_ns)
    return Authenticated(api_key, is_signed=True)


def _parse_dictionary(name: str, value: str) -> Mapping[str, Any]:
    if len(value) > MAX_SIGNATURE_HEADER_LENGTH:
        raise MalformedSignature(f"{name} is longer than {MAX_SIGNATURE_HEADER_LENGTH} characters")

    def refuse_duplicate(_key: str, kind: str) -> NoReturn:
        what = "label" if kind == "dictionary" else "parameter"
        raise MalformedSignature(f"{name} holds the same {what} twice")

    try:
        octets = value.encode("ascii")
        parsed = http_sf.parse(octets, tltype="dictionary", on_duplicate_key=refuse_duplicate)
    except ValueError:
        raise MalformedSignature(f"{name} is not a structured-field dictionary") from None
    if not parsed:
        raise MalformedSignature(f"{name} is empty")
    return cast(Mapping[str, Any], parsed)


def _check_length(
    signature: ReceivedSignature, _key: str, _utc_ns: int, _policy: VerificationPolicy
) -> None:
    if len(signature.value) != SIGNATURE_LENGTH:
        raise MalformedSignature(
            f"the signature has {len(signature.value)} octets, {ALGORITHM} makes {SIGNATURE_LENGTH}"
        )


def _check_parameters(
    signature: ReceivedSignature, _key: str, _utc_ns: int, _policy: VerificationPolicy
) -> None:
    for name, value in signature.parameters.items():
        expected = _PARAMETER_TYPES.get(name)
        if expected is None:
            shown, known = name[:MAX_NAME_LENGTH], ", ".join(PARAMETERS)
            raise MalformedSignature(f'unknown signature parameter "{shown}"; known are {known}')
        if type(value) is not expected or (isinstance(value, int) and value < 0):
            raise MalformedSignature(f'"{name}" must be {_TYPE_NAMES[expected]}')


def _check_time(
    signature: ReceivedSignature, _key: str, utc_ns: int, policy: VerificationPolicy
) -> None:
    created, expires = _unix_time(signature, "created"), _unix_time(signature, "expires")
    skew_ns = policy.skew_s * _NS
    if created is None:
        raise MalformedSignature('"created" is missing, so the age cannot be told')
    if created * _NS > utc_ns + skew_ns:
        raise ExpiredSignature(f'"created" is {_seconds(created * _NS - utc_ns)} in the future')
    if expires is not None and expires * _NS < utc_ns - skew_ns:
        raise ExpiredSignature(f'"expires" is {_seconds(utc_ns - expires * _NS)} in the past')
    if (created + policy.max_age_s) * _NS < utc_ns - skew_ns:
        raise ExpiredSignature(
            f'"created" is {_seconds(utc_ns - created * _NS)} ago, '
            f"at most {policy.max_age_s} s are allowed"
        )


def _check_coverage(
    signature: ReceivedSignature, _key: str, _utc_ns: int, _policy: VerificationPolicy
) -> None:
    covered = set(signature.components)
    if len(covered) < len(signature.components):
        raise MalformedSignature("a component is covered twice")
    for name in REQUIRED_COMPONENTS:
        if name not in covered:
            raise MalformedSignature(f'the signature does not cover "{name}"')


def _check_identity(
    signature: ReceivedSignature, api_key: str, _utc_ns: int, _policy: VerificationPolicy
) -> None:
    nonce = signature.parameters.get("nonce")
    if not isinstance(nonce, str) or not MIN_NONCE_LENGTH <= len(nonce) <= MAX_NONCE_LENGTH:
        found = f"it has {len(nonce)}" if isinstance(nonce, str) else "it is missing"
        raise MalformedSignature(
            f'"nonce" needs {MIN_NONCE_LENGTH} to {MAX_NONCE_LENGTH} characters, {found}'
        )
    if signature.parameters.get("keyid") != api_key:
        raise MalformedSignature('"keyid" is not the value of X-API-KEY')
    if signature.parameters.get("alg", ALGORITHM) != ALGORITHM:
        raise MalformedSignature(f'"alg" is not {ALGORITHM}')


CHECKS = (_check_length, _check_parameters, _check_time, _check_coverage, _check_identity)
"""What is judged without the secret, in order; each raises a subclass of `AuthError`."""


def _unix_time(signature: ReceivedSignature, name: Literal["created", "expires"]) -> int | None:
    value = signature.parameters.get(name)
    return value if type(value) is int else None


def _seconds(duration_ns: int) -> str:
    return f"{-(-duration_ns // _NS)} s"
