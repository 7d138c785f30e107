"""What signers get wrong, and what proxies change: a table of guesses to try.

A signature does not show what was signed. But the mistakes that happen are few, so each
row of `HYPOTHESES` says what a signer may have used instead, and `find_cause` computes
which of them, alone or two together, gives the signature that came.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, permutations, product
from urllib.parse import quote, unquote

import http_sf

from openaudiohook.auth.components import (
    CORRELATION_ID,
    ORGANIZATION_ID,
    REQUIRED_COMPONENTS,
    SESSION_ID,
    X_API_KEY,
    SignedRequest,
    component_value,
)
from openaudiohook.auth.forwarding import forwarded_host
from openaudiohook.auth.signing import ReceivedSignature

__all__ = ["HYPOTHESES", "Change", "Evidence", "Found", "Hypothesis", "Shape", "find_cause"]

Lines = Sequence[tuple[str, str]]
Shape = Callable[[Lines, str], str]
"""From the components and the text of the parameters to a whole base."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What there is to reason from.

    Attributes:
        request: the request as its receiver sees it.
        dialled: the request as the URI says it should be.
        signature: the signature that came.
        secret_text: the client secret as written.
        secret: the client secret decoded.
    """

    request: SignedRequest
    dialled: SignedRequest
    signature: ReceivedSignature
    secret_text: str = field(repr=False)
    secret: bytes = field(repr=False)

    @property
    def lines(self) -> list[tuple[str, str]]:
        """The components and the values their receiver gives them."""
        return [(name, component_value(self.request, name)) for name in self.signature.components]


def well_formed(lines: Lines, params: str) -> str:
    """Spell the base as protocol section 3.3 wants it."""
    return "\n".join([f'"{name}": {value}' for name, value in lines] + [_params_line(params)])


@dataclass(frozen=True, slots=True)
class Change:
    """One thing a signer may have done otherwise.

    Attributes:
        values: other values of components.
        secret: another HMAC key.
        shape: another way to spell the base.
        shown: the value to name in the sentence about it.
    """

    values: Mapping[str, str] = field(default_factory=dict)
    secret: bytes | None = field(default=None, repr=False)
    shape: Shape | None = None
    shown: str = ""


@dataclass(frozen=True, slots=True)
class Hypothesis:
    """A kind of mistake.

    Attributes:
        aspect: what it touches; two of the same aspect are not tried together.
        cause: what happened, as a sentence; `{}` stands for the value the signer used.
        remedy: what to do about it, as a sentence.
        changes: what to try, from the evidence.
    """

    aspect: str
    cause: str
    remedy: str
    changes: Callable[[Evidence], Iterable[Change]]


@dataclass(frozen=True, slots=True)
class Found:
    """A combination that reproduces the signature: the causes, and what was signed."""

    causes: tuple[tuple[Hypothesis, Change], ...]
    base: str
    secret: bytes = field(repr=False)


def find_cause(evidence: Evidence) -> Found | None:
    """Return the simplest known cause that reproduces the signature, or None."""
    singles = [(row, change) for row in HYPOTHESES for change in row.changes(evidence)]
    pairs = (
        (one, other) for one, other in combinations(singles, 2) if one[0].aspect != other[0].aspect
    )
    guesses = ((COMMON_PATH, change) for change in COMMON_PATH.changes(evidence))
    lines = evidence.lines
    for causes in (*((single,) for single in singles), *pairs):
        found = _try(evidence, lines, causes)
        if found:
            return found
    return next(filter(None, (_try(evidence, lines, (guess,)) for guess in guesses)), None)


def _try(
    evidence: Evidence, lines: Lines, causes: tuple[tuple[Hypothesis, Change], ...]
) -> Found | None:
    values: dict[str, str] = {}
    secret = evidence.secret
    shape: Shape = well_formed
    for _, change in causes:
        values.update(change.values)
        secret = evidence.secret if change.secret is None else change.secret
        shape = change.shape or shape
    base = shape(
        [(name, values.get(name, value)) for name, value in lines], evidence.signature.text
    )
    if hmac.compare_digest(_mac(secret, base), evidence.signature.value):
        return Found(causes=causes, base=base, secret=secret)
    return None


def _mac(secret: bytes, base: str) -> bytes:
    return hmac.digest(secret, base.encode("utf-8"), "sha256")


# --- the key ---------------------------------------------------------------------------


def _undecoded(evidence: Evidence) -> Iterator[Change]:
    yield Change(secret=evidence.secret_text.encode(), shown="not decoded")


def _with_line_feed(evidence: Evidence) -> Iterator[Change]:
    yield Change(secret=evidence.secret + b"\n", shown="decoded and a line feed")
    yield Change(secret=evidence.secret_text.encode() + b"\n", shown="not decoded")


def _api_key_as_secret(evidence: Evidence) -> Iterator[Change]:
    api_key = evidence.request.header(X_API_KEY) or ""
    yield Change(secret=api_key.encode(), shown="the API key")


# --- the host --------------------------------------------------------------------------


def _authority(value: str) -> Change:
    return Change(values={"@authority": value, "host": value}, shown=value)


def _known_hosts(evidence: Evidence) -> list[str]:
    hosts = [
        component_value(evidence.dialled, "@authority"),
        component_value(evidence.request, "@authority"),
        forwarded_host(evidence.request, "x-forwarded-host"),
        forwarded_host(evidence.request, "forwarded"),
        evidence.request.header("x-original-host"),
    ]
    return list(dict.fromkeys(host for host in hosts if host))


def _other_hosts(evidence: Evidence) -> Iterator[Change]:
    yield from map(_authority, _known_hosts(evidence))


def _with_default_port(evidence: Evidence) -> Iterator[Change]:
    for host, port in product(_known_hosts(evidence), ("443", "80")):
        yield _authority(f"{host}:{port}")


def _without_port(evidence: Evidence) -> Iterator[Change]:
    for host in _known_hosts(evidence):
        name, colon, port = host.rpartition(":")
        if colon and port.isdigit():
            yield _authority(name)


def _host_as_written(evidence: Evidence) -> Iterator[Change]:
    for name in ("host", "x-forwarded-host"):
        written = evidence.request.header(name)
        if written:
            yield _authority(written)
    yield from (_authority(host.upper()) for host in _known_hosts(evidence))


# --- the path --------------------------------------------------------------------------

_ORIGINAL_TARGET_HEADERS = (
    "x-original-uri",
    "x-original-url",
    "x-forwarded-uri",
    "x-rewrite-url",
    "x-envoy-original-path",
)
_PATH_WORDS = (
    *("api", "v1", "v2", "audiohook", "ws", "voicetranscription", "voicebiometrics"),
    *("loadtest", "audioconnector", "genesys", "stream", "websocket"),
)
_MAX_GUESSED_SEGMENTS = 4


def _target(value: str) -> Change:
    path, mark, query = value.partition("?")
    values = {"@request-target": value, "@path": path or "/", "@query": mark + query or "?"}
    return Change(values=values, shown=value)


def _known_targets(evidence: Evidence) -> list[str]:
    request = evidence.request
    targets = [evidence.dialled.target, request.target]
    targets += [request.header(name) or "" for name in _ORIGINAL_TARGET_HEADERS]
    prefix = request.header("x-forwarded-prefix")
    if prefix:
        targets.append(prefix.rstrip("/") + request.target)
    return list(dict.fromkeys(target for target in targets if target))


def _other_targets(evidence: Evidence) -> Iterator[Change]:
    yield from map(_target, _known_targets(evidence))


def _trailing_slash(evidence: Evidence) -> Iterator[Change]:
    for target in _known_targets(evidence):
        path, mark, query = target.partition("?")
        other = path.removesuffix("/") if path.endswith("/") else path + "/"
        yield _target(other + mark + query)


def _without_query(evidence: Evidence) -> Iterator[Change]:
    for target in _known_targets(evidence):
        path, _, query = target.partition("?")
        yield _target(path if query else path + "?")


def _shortened(evidence: Evidence) -> Iterator[Change]:
    for target in _known_targets(evidence):
        path, mark, query = target.partition("?")
        segments = path.strip("/").split("/")
        for count in range(len(segments)):
            yield _target("/" + "/".join(segments[count + 1 :]) + mark + query)
            yield _target("/" + "/".join(segments[:count]) + mark + query)


def _respelt(evidence: Evidence) -> Iterator[Change]:
    for target in _known_targets(evidence):
        for spell in (unquote, quote, str.lower):
            yield _target(spell(target))


def _with_method(evidence: Evidence) -> Iterator[Change]:
    method = evidence.request.method
    for target, word in product(_known_targets(evidence), (method, method.lower())):
        yield _target(f"{word} {target}")


def _whole_uri(evidence: Evidence) -> Iterator[Change]:
    for scheme, host, target in product(
        ("wss", "https", "ws", "http"), _known_hosts(evidence), _known_targets(evidence)
    ):
        yield _target(f"{scheme}://{host}{target}")


def _common_paths(evidence: Evidence) -> Iterator[Change]:
    target = evidence.request.target
    mark, query = target.partition("?")[1:]
    for length in range(1, _MAX_GUESSED_SEGMENTS + 1):
        for words in product(_PATH_WORDS, repeat=length):
            path = "/" + "/".join(words)
            yield _target(path)
            if query:
                yield _target(path + mark + query)
            if length < _MAX_GUESSED_SEGMENTS:
                yield _target(path + target)


# --- ids and key in the headers ----------------------------------------------------------

_IDS = (ORGANIZATION_ID, SESSION_ID, CORRELATION_ID)


def _swapped_ids(evidence: Evidence) -> Iterator[Change]:
    values = [evidence.request.header(name) or "" for name in _IDS]
    for order in permutations(values):
        yield Change(values=dict(zip(_IDS, order, strict=True)))


def _ids_in_other_case(evidence: Evidence) -> Iterator[Change]:
    for spell in (str.lower, str.upper):
        yield Change(values={name: spell(evidence.request.header(name) or "") for name in _IDS})


def _key_id(evidence: Evidence) -> Iterator[Change]:
    keyid = evidence.signature.parameters.get("keyid")
    if isinstance(keyid, str):
        yield Change(values={X_API_KEY: keyid})


# --- the spelling of the base ------------------------------------------------------------


def _params_line(params: str) -> str:
    return f'"@signature-params": {params}'


def _reserialized(lines: Lines, params: str) -> str:
    parsed = http_sf.parse(f"x={params}".encode(), tltype="dictionary")
    return well_formed(lines, http_sf.ser(parsed).partition("=")[2])


def _without_params(lines: Lines, params: str) -> str:
    return well_formed(lines, params).rpartition("\n")[0]


def _unquoted(lines: Lines, params: str) -> str:
    spelt = [f"{name}: {value}" for name, value in lines]
    return "\n".join([*spelt, f"@signature-params: {params}"])


def _without_spaces(lines: Lines, params: str) -> str:
    spelt = [f'"{name}":{value}' for name, value in lines]
    return "\n".join([*spelt, f'"@signature-params":{params}'])


def _in_documented_order(lines: Lines, params: str) -> str:
    known = {name: place for place, name in enumerate(REQUIRED_COMPONENTS)}
    return well_formed(sorted(lines, key=lambda line: known.get(line[0], len(known))), params)


def _spelt(*shapes: Shape) -> Callable[[Evidence], Iterable[Change]]:
    return lambda _evidence: [Change(shape=shape) for shape in shapes]


def _labelled(evidence: Evidence) -> Iterator[Change]:
    label = evidence.signature.label
    yield Change(shape=lambda lines, params: well_formed(lines, f"{label}={params}"))


HYPOTHESES: tuple[Hypothesis, ...] = (
    Hypothesis(
        "key",
        "the client secret was used as text, without base64-decoding it",
        "Decode the secret from base64 and use the resulting octets as the HMAC key.",
        _undecoded,
    ),
    Hypothesis(
        "key",
        "a line feed was left at the end of the client secret",
        "Strip the line end when reading the secret from a file, then decode it.",
        _with_line_feed,
    ),
    Hypothesis(
        "key",
        "the API key was used as the HMAC key",
        "Use the decoded client secret; the API key only names it.",
        _api_key_as_secret,
    ),
    Hypothesis(
        "authority",
        "the host is not the one that was signed, which is {}: "
        "it was rewritten on the way, or the URI is another",
        "Let the proxy pass Host on unchanged, or set {} as the external authority.",
        _other_hosts,
    ),
    Hypothesis(
        "authority",
        "the signer wrote the default port: {}",
        "Leave :443 out of @authority for wss, and :80 for ws.",
        _with_default_port,
    ),
    Hypothesis(
        "authority",
        "the signer left the port out: {}",
        "Sign host:port wherever the port is not the default of the scheme; "
        "behind a proxy, set {} as the external authority.",
        _without_port,
    ),
    Hypothesis(
        "authority",
        "the signer did not write the host in lower case: {}",
        "Write @authority in lower case, without the default port.",
        _host_as_written,
    ),
    Hypothesis(
        "target",
        "the path is not the one that was signed, which is {}: "
        "it was rewritten on the way, or the URI is another",
        "Let the proxy pass the path on unchanged, or set what it cuts off as the path prefix.",
        _other_targets,
    ),
    Hypothesis(
        "target",
        "the paths differ in a trailing slash: {} was signed",
        "Write the path the same way in the integration and at the server.",
        _trailing_slash,
    ),
    Hypothesis(
        "target",
        "the paths differ in the query: {} was signed",
        "Sign path and query exactly as they stand in the request line.",
        _without_query,
    ),
    Hypothesis(
        "target",
        "the signer's path is a part of ours: {} was signed",
        "Find what adds to the path on the way, and verify with the path that was signed.",
        _shortened,
    ),
    Hypothesis(
        "target",
        "the path is encoded otherwise: {} was signed",
        "Take the path from the request line as it is; neither decode nor encode it.",
        _respelt,
    ),
    Hypothesis(
        "target",
        "the signer put the method into @request-target: {}",
        "Write path and query only: @request-target holds no method.",
        _with_method,
    ),
    Hypothesis(
        "target",
        "the signer put the whole URI into @request-target: {}",
        "Write path and query only: @request-target holds no scheme and no host.",
        _whole_uri,
    ),
    Hypothesis(
        "ids",
        "the values of the id headers are exchanged",
        "Send organization, session and correlation id each in the header of its own name.",
        _swapped_ids,
    ),
    Hypothesis(
        "ids",
        "the ids were signed in another case than they were sent",
        "Sign header values exactly as they are sent.",
        _ids_in_other_case,
    ),
    Hypothesis(
        "api-key",
        "another API key was signed than was sent",
        "Send the key that keyid names in X-API-KEY.",
        _key_id,
    ),
    Hypothesis(
        "form",
        "the signer ended the base with a line end, or used CR LF",
        "Join the lines with a single LF, and write none after the last.",
        _spelt(
            lambda lines, params: well_formed(lines, params) + "\n",
            lambda lines, params: well_formed(lines, params).replace("\n", "\r\n"),
        ),
    ),
    Hypothesis(
        "form",
        "the signer left out the last line, @signature-params",
        "End the base with @signature-params and what follows the label in Signature-Input.",
        _spelt(_without_params, lambda lines, params: _without_params(lines, params) + "\n"),
    ),
    Hypothesis(
        "form",
        "the signer put the label into the last line",
        "Write only what follows `label=` in Signature-Input.",
        _labelled,
    ),
    Hypothesis(
        "form",
        "the signer wrote the parameters one way and sent them another",
        "Use the same text for @signature-params and for Signature-Input.",
        _spelt(_reserialized),
    ),
    Hypothesis(
        "form",
        "the signer wrote the names of the components without quotes",
        'Write each line as "name": value, with the quotes.',
        _spelt(_unquoted),
    ),
    Hypothesis(
        "form",
        "the signer wrote no space after the colon",
        'Write each line as "name": value, with one space.',
        _spelt(_without_spaces),
    ),
    Hypothesis(
        "form",
        "the signer's lines are in another order than Signature-Input says",
        "Write the lines in the order in which Signature-Input lists the components.",
        _spelt(_in_documented_order),
    ),
)
"""Every known cause, the likeliest first."""

COMMON_PATH = Hypothesis(
    "target",
    "the path is not the one that was signed, which is {}",
    "Serve the path that the integration's URI has, or correct the URI.",
    _common_paths,
)
"""The last resort, tried when nothing else fits: paths in common use."""
