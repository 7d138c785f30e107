"""Why a signature does not verify, said in a sentence, with both signature bases.

For people who have a captured request, the URI and the client secret in their hands. It
tells more than a peer may ever learn, so it belongs on a terminal and not in a server.
"""

from __future__ import annotations

import hmac
import re
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from openaudiohook.auth.changes import Change, Evidence
from openaudiohook.auth.components import X_API_KEY, SignedRequest, request_for_uri
from openaudiohook.auth.hypotheses import Found, Hypothesis, find_cause
from openaudiohook.auth.keys import decode_secret
from openaudiohook.auth.signing import DEFAULT_LIFETIME_S, signature_base
from openaudiohook.auth.verification import (
    CHECKS,
    DEFAULT_POLICY,
    SIGNATURE_LENGTH,
    ReceivedSignature,
    VerificationPolicy,
    read_signature,
)
from openaudiohook.exceptions import (
    AuthError,
    ConfigurationError,
    ExpiredSignature,
    MissingSignature,
    UnknownKey,
)

__all__ = ["Explanation", "Finding", "RequestLines", "explain_signature", "read_request_lines"]

_REQUEST_LINE = re.compile(r"([A-Z]+) (\S+) HTTP/\d(?:\.\d)?")
_HEADER_LINE = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):(.*)")
_NS = 1_000_000_000
_PARAMS = "@signature-params"


@dataclass(frozen=True, slots=True)
class RequestLines:
    """A request as pasted: header lines, and perhaps the request line above them.

    Attributes:
        headers: `(name, value)` pairs in order.
        target: path and query of the request line, None where there was none.
        method: its method.
    """

    headers: tuple[tuple[str, str], ...]
    target: str | None = None
    method: str = "GET"


@dataclass(frozen=True, slots=True)
class Finding:
    """One reason why a request is refused.

    Attributes:
        summary: what is wrong, as a clause.
        remedy: what to do about it, as a sentence.
    """

    summary: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of looking into a signature.

    Attributes:
        findings: what is wrong, the most telling first; empty if the request is good.
        expected: the lines of the base its receiver computes; empty if there is none.
        signed: the lines of the base the signer used; None where it is not known.
        expected_key: what the HMAC key should be, in words.
        signed_key: what the signer used, in words.
    """

    findings: tuple[Finding, ...]
    expected: tuple[str, ...] = ()
    signed: tuple[str, ...] | None = None
    expected_key: str = ""
    signed_key: str = field(default="")

    @property
    def is_valid(self) -> bool:
        """Whether a server would accept the request."""
        return not self.findings

    @property
    def first_difference(self) -> int | None:
        """The number, from 1, of the first line in which the two bases differ, if they do."""
        if self.signed is None:
            return None
        pairs = zip_longest(self.expected, self.signed)
        return next((number for number, (a, b) in enumerate(pairs, start=1) if a != b), None)


def read_request_lines(text: str) -> RequestLines:
    """Read `Name: value` lines, with a request line above them or without.

    Blank lines are skipped, and a line that begins with a blank continues the one before.

    Raises:
        ConfigurationError: a line is neither, or there is no header at all.
    """
    headers: list[tuple[str, str]] = []
    target, method = None, "GET"
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        request_line = _REQUEST_LINE.fullmatch(line.strip())
        header = _HEADER_LINE.fullmatch(line)
        if request_line and not headers and target is None:
            method, target = request_line.groups()
        elif line[0] in " \t" and headers:
            name, value = headers.pop()
            headers.append((name, f"{value} {line.strip()}"))
        elif header:
            headers.append((header.group(1), header.group(2).strip()))
        else:
            raise ConfigurationError(f"line {number} is not of the form Name: value")
    if not headers:
        raise ConfigurationError("no header lines; give the request's lines as Name: value")
    return RequestLines(tuple(headers), target, method)


def explain_signature(
    lines: RequestLines,
    *,
    uri: str,
    client_secret: str,
    utc_ns: int,
    policy: VerificationPolicy = DEFAULT_POLICY,
) -> Explanation:
    """Say whether a request is signed well for a URI, and if not, why.

    Args:
        lines: the request.
        uri: where it was sent, as configured at the platform.
        client_secret: in base64, as configured at the platform.
        utc_ns: when it arrived, in nanoseconds since the Unix epoch.
        policy: skew and age that the server tolerates.

    Raises:
        ConfigurationError: the URI or the secret cannot be used.
    """
    secret = decode_secret(client_secret)
    if not secret:
        raise ConfigurationError("the client secret is empty: requests are not signed then")
    dialled = request_for_uri(uri, lines.headers, method=lines.method)
    received = replace(
        dialled,
        target=dialled.target if lines.target is None else lines.target,
        authority=dialled.authority if dialled.header("host") is None else None,
    )
    try:
        api_key, signature = _read(received)
        # Two views of one request: a server goes by what it received, the user by the URI.
        # A request is good only if the signature fits both; show the one it does not fit.
        bases = [
            signature_base(view, signature.components, signature.text)
            for view in (received, dialled)
        ]
    except AuthError as error:
        return Explanation((Finding(str(error), _remedy(str(error))),))
    findings = _judge(signature, api_key, utc_ns, policy)
    keyed = f"{len(secret)} octets, decoded"
    for view, base in zip((received, dialled), bases, strict=True):
        if not hmac.compare_digest(hmac.digest(secret, base, "sha256"), signature.value):
            found = find_cause(Evidence(view, dialled, signature, client_secret, secret))
            return Explanation(
                findings=(*_mismatch(found, signature), *findings),
                expected=_split(base.decode()),
                signed=None if found is None else _split(found.base),
                expected_key=keyed,
                signed_key="" if found is None else _key_in_words(found, secret, keyed),
            )
    signed = bases[0].decode()
    return Explanation(
        findings=findings,
        expected=_split(_accepted_now(signed, utc_ns, policy) if findings else signed),
        signed=_split(signed),
        expected_key=keyed,
        signed_key=keyed,
    )


def _read(request: SignedRequest) -> tuple[str, ReceivedSignature]:
    api_key = request.header(X_API_KEY)
    if api_key is None:
        raise UnknownKey("the X-API-KEY header is missing")
    signature = read_signature(request)
    if signature is None:
        raise MissingSignature(
            "the request is not signed: Signature-Input and Signature are missing"
        )
    return api_key, signature


def _judge(
    signature: ReceivedSignature, api_key: str, utc_ns: int, policy: VerificationPolicy
) -> tuple[Finding, ...]:
    findings = []
    for check in CHECKS:
        try:
            check(signature, api_key, utc_ns, policy)
        except ExpiredSignature as error:
            state = "not valid yet" if "future" in str(error) else "expired"
            findings.append(Finding(f'{state}: {error} (line "{_PARAMS}")', _remedy(state)))
        except AuthError as error:
            findings.append(Finding(str(error), _remedy(str(error))))
    return tuple(findings)


_REMEDIES = {
    "unknown signature parameter": "Leave that parameter out.",
    "expired": "Sign each request anew and set the clocks right; for a request captured "
    "earlier, give the time it arrived (--now).",
    "not valid yet": "Set the clocks of both machines right, or give the time the request "
    "arrived (--now).",
    "nonce": "Put at least 16 random octets into each nonce, in base64.",
    "does not cover": "Cover all six components: @request-target, @authority, the three ids "
    "and x-api-key.",
    "not in the request": "Send the header, or leave it out of Signature-Input.",
    "X-API-KEY": "Send the API key in X-API-KEY and the same value as keyid.",
    "not signed": "Type the client secret into the integration, or take it away from the key.",
    "octets": "Send the raw HMAC in base64: neither hexadecimal, nor cut, nor another hash.",
    "": "Write the two headers as the page on authentication shows.",
}
"""What to do about a problem, by the first of these words found in it."""


def _remedy(problem: str) -> str:
    return next(remedy for words, remedy in _REMEDIES.items() if words in problem)


def _mismatch(found: Found | None, signature: ReceivedSignature) -> tuple[Finding, ...]:
    if found is not None:
        return tuple(_told(row, change) for row, change in found.causes)
    if len(signature.value) != SIGNATURE_LENGTH:
        return ()  # the findings say so already, and nothing can be concluded from it
    unseen = [
        f'line {number}, "{name}"'
        for number, name in enumerate(signature.components, start=1)
        if name.startswith("@")
    ]
    where = f" ({' or '.join(unseen)})" if unseen else ""
    return (
        Finding(
            "the signature does not fit, and no known cause reproduces it",
            "Compare the client secret at both ends first: another secret is the likeliest. "
            f"If it is right, the path or the host was another when the request was signed{where}: "
            "compare the URI in the integration with this one, letter by letter. "
            "Last, look for headers that were changed on the way.",
        ),
    )


def _told(row: Hypothesis, change: Change) -> Finding:
    return Finding(row.cause.format(change.shown), row.remedy.format(change.shown))


def _key_in_words(found: Found, secret: bytes, keyed: str) -> str:
    if found.secret == secret:
        return keyed
    origin = next(change.shown for row, change in found.causes if row.aspect == "key")
    return f"{len(found.secret)} octets, {origin}"


def _accepted_now(base: str, utc_ns: int, policy: VerificationPolicy) -> str:
    """Return the base as it would be accepted at `utc_ns`, as far as its times go."""
    now = utc_ns // _NS
    head, line_feed, last = base.rpartition("\n")
    for name, value in (("created", now), ("expires", now + DEFAULT_LIFETIME_S)):
        written = re.search(rf";\s*{name}=(\d+)", last)
        if written and _is_out_of_time(name, int(written[1]), utc_ns, policy):
            last = last[: written.start(1)] + str(value) + last[written.end(1) :]
    return head + line_feed + last


def _is_out_of_time(name: str, value: int, utc_ns: int, policy: VerificationPolicy) -> bool:
    skew_ns = policy.skew_s * _NS
    if name == "expires":
        return value * _NS < utc_ns - skew_ns
    return not (utc_ns - skew_ns - policy.max_age_s * _NS <= value * _NS <= utc_ns + skew_ns)


def _split(base: str) -> tuple[str, ...]:
    return tuple(base.replace("\r", "\\r").split("\n"))
