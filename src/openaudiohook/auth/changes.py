"""What a signer may have signed instead: the changes that `hypotheses` tries.

Each function takes the evidence and yields what one kind of mistake, or one kind of
proxy, may have made of it. None of them knows whether it is right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import permutations, product
from urllib.parse import quote, unquote

import http_sf

from openaudiohook.auth.components import (
    CORRELATION_ID,
    DERIVED_COMPONENTS,
    ORGANIZATION_ID,
    REQUIRED_COMPONENTS,
    SESSION_ID,
    X_API_KEY,
    SignedRequest,
    component_value,
)
from openaudiohook.auth.forwarding import forwarded_host
from openaudiohook.auth.verification import ReceivedSignature

__all__ = [
    "Change",
    "Evidence",
    "Lines",
    "Shape",
    "api_key_as_secret",
    "guessed_paths",
    "host_as_written",
    "ids_in_other_case",
    "in_documented_order",
    "key_id",
    "labelled",
    "other_hosts",
    "other_targets",
    "reserialized",
    "respelt",
    "shortened",
    "spelt",
    "swapped_ids",
    "trailing_slash",
    "undecoded",
    "unquoted",
    "well_formed",
    "whole_uri",
    "with_default_port",
    "with_line_feed",
    "with_method",
    "without_params",
    "without_port",
    "without_query",
    "without_spaces",
]

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


# --- the key ---------------------------------------------------------------------------


def undecoded(evidence: Evidence) -> Iterator[Change]:
    """The secret's text is the key."""
    yield Change(secret=evidence.secret_text.encode(), shown="not decoded")


def with_line_feed(evidence: Evidence) -> Iterator[Change]:
    """A line feed stayed at the end of the secret."""
    yield Change(secret=evidence.secret + b"\n", shown="decoded and a line feed")
    yield Change(secret=evidence.secret_text.encode() + b"\n", shown="not decoded")


def api_key_as_secret(evidence: Evidence) -> Iterator[Change]:
    """The API key is the key."""
    api_key = evidence.request.header(X_API_KEY) or ""
    yield Change(secret=api_key.encode(), shown="the API key")


# --- the host --------------------------------------------------------------------------


def _authority(value: str) -> Change:
    return Change(values={"@authority": value, "host": value}, shown=value)


def _known_hosts(evidence: Evidence) -> list[str]:
    hosts = [
        _authority_of(evidence.dialled),
        _authority_of(evidence.request),
        _authority_of(replace(evidence.request, authority=None)),
        forwarded_host(evidence.request, "x-forwarded-host"),
        forwarded_host(evidence.request, "forwarded"),
        evidence.request.header("x-original-host"),
    ]
    return list(dict.fromkeys(host for host in hosts if host))


def _authority_of(request: SignedRequest) -> str | None:
    return DERIVED_COMPONENTS["@authority"](request)


def other_hosts(evidence: Evidence) -> Iterator[Change]:
    """One of the other hosts known."""
    yield from map(_authority, _known_hosts(evidence))


def with_default_port(evidence: Evidence) -> Iterator[Change]:
    """A known host with a default port."""
    for host, port in product(_known_hosts(evidence), ("443", "80")):
        yield _authority(f"{host}:{port}")


def without_port(evidence: Evidence) -> Iterator[Change]:
    """A known host without its port."""
    for host in _known_hosts(evidence):
        name, colon, port = host.rpartition(":")
        if colon and port.isdigit():
            yield _authority(name)


def host_as_written(evidence: Evidence) -> Iterator[Change]:
    """A host in the letters it was written in."""
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
_RARER_WORDS = (
    *("audio", "hook", "media", "voice", "monitor", "transcription", "transcribe", "recorder"),
    *("bot", "connector", "server", "service", "socket", "live", "prod", "test", "dev", "v3"),
)
_MAX_GUESSED_SEGMENTS = 4
_TYPED = "abcdefghijklmnopqrstuvwxyz0123456789-_./"


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


def other_targets(evidence: Evidence) -> Iterator[Change]:
    """One of the other targets known."""
    yield from map(_target, _known_targets(evidence))


def trailing_slash(evidence: Evidence) -> Iterator[Change]:
    """A trailing slash more, or less."""
    for target in _known_targets(evidence):
        path, mark, query = target.partition("?")
        other = path.removesuffix("/") if path.endswith("/") else path + "/"
        yield _target(other + mark + query)


def without_query(evidence: Evidence) -> Iterator[Change]:
    """Without the query; or an empty one."""
    for target in _known_targets(evidence):
        path, _, query = target.partition("?")
        yield _target(path if query else path + "?")


def shortened(evidence: Evidence) -> Iterator[Change]:
    """The path's end, or its beginning, only."""
    for target in _known_targets(evidence):
        path, mark, query = target.partition("?")
        segments = path.strip("/").split("/")
        for count in range(len(segments)):
            yield _target("/" + "/".join(segments[count + 1 :]) + mark + query)
            yield _target("/" + "/".join(segments[:count]) + mark + query)


def respelt(evidence: Evidence) -> Iterator[Change]:
    """Percent-decoded, percent-encoded, or in lower case."""
    for target in _known_targets(evidence):
        for spell in (unquote, quote, str.lower):
            yield _target(spell(target))


def with_method(evidence: Evidence) -> Iterator[Change]:
    """The method before the target."""
    method = evidence.request.method
    for target, word in product(_known_targets(evidence), (method, method.lower())):
        yield _target(f"{word} {target}")


def whole_uri(evidence: Evidence) -> Iterator[Change]:
    """The whole URI for a target."""
    for scheme, host, target in product(
        ("wss", "https", "ws", "http"), _known_hosts(evidence), _known_targets(evidence)
    ):
        yield _target(f"{scheme}://{host}{target}")


def guessed_paths(evidence: Evidence) -> Iterator[Change]:
    """Paths near ours, then paths in common use."""
    path, mark, query = evidence.request.target.partition("?")
    for guess in (*_near_paths(path), *_common_paths(path)):
        yield _target(guess)
        if query:
            yield _target(guess + mark + query)


def _near_paths(path: str) -> Iterator[str]:
    """Yield paths that differ in one segment, or in one letter."""
    segments = path.strip("/").split("/")
    for place, word in product(range(len(segments) + 1), (*_PATH_WORDS, *_RARER_WORDS)):
        yield "/" + "/".join([*segments[:place], word, *segments[place:]])
        yield "/" + "/".join([*segments[:place], word, *segments[place + 1 :]])
    for place in range(len(segments)):
        yield "/" + "/".join(segments[:place] + segments[place + 1 :])
    for place in range(1, len(path) + 1):
        yield path[:place] + path[place + 1 :]
        for letter in _TYPED:
            yield path[:place] + letter + path[place:]
            yield path[:place] + letter + path[place + 1 :]


def _common_paths(path: str) -> Iterator[str]:
    """Yield paths in common use, alone and in front of ours."""
    for length in range(1, _MAX_GUESSED_SEGMENTS + 1):
        words = _PATH_WORDS if length > 2 else (*_PATH_WORDS, *_RARER_WORDS)
        for chosen in product(words, repeat=length):
            prefix = "/" + "/".join(chosen)
            yield prefix
            if length < _MAX_GUESSED_SEGMENTS:
                yield prefix + path


# --- ids and key in the headers ----------------------------------------------------------

_IDS = (ORGANIZATION_ID, SESSION_ID, CORRELATION_ID)


def swapped_ids(evidence: Evidence) -> Iterator[Change]:
    """The three ids in every order."""
    values = [evidence.request.header(name) or "" for name in _IDS]
    for order in permutations(values):
        yield Change(values=dict(zip(_IDS, order, strict=True)))


def ids_in_other_case(evidence: Evidence) -> Iterator[Change]:
    """The ids in lower or upper case."""
    for spell in (str.lower, str.upper):
        yield Change(values={name: spell(evidence.request.header(name) or "") for name in _IDS})


def key_id(evidence: Evidence) -> Iterator[Change]:
    """The API key that `keyid` names."""
    keyid = evidence.signature.parameters.get("keyid")
    if isinstance(keyid, str):
        yield Change(values={X_API_KEY: keyid})


# --- the spelling of the base ------------------------------------------------------------


def _params_line(params: str) -> str:
    return f'"@signature-params": {params}'


def reserialized(lines: Lines, params: str) -> str:
    """Spell the parameters anew."""
    parsed = http_sf.parse(f"x={params}".encode(), tltype="dictionary")
    return well_formed(lines, http_sf.ser(parsed).partition("=")[2])


def without_params(lines: Lines, params: str) -> str:
    """Leave out the last line."""
    return well_formed(lines, params).rpartition("\n")[0]


def unquoted(lines: Lines, params: str) -> str:
    """Leave out the quotes."""
    spelt = [f"{name}: {value}" for name, value in lines]
    return "\n".join([*spelt, f"@signature-params: {params}"])


def without_spaces(lines: Lines, params: str) -> str:
    """Leave out the space after the colon."""
    spelt = [f'"{name}":{value}' for name, value in lines]
    return "\n".join([*spelt, f'"@signature-params":{params}'])


def in_documented_order(lines: Lines, params: str) -> str:
    """Put the lines into the platform's order."""
    known = {name: place for place, name in enumerate(REQUIRED_COMPONENTS)}
    return well_formed(sorted(lines, key=lambda line: known.get(line[0], len(known))), params)


def spelt(*shapes: Shape) -> Callable[[Evidence], Iterable[Change]]:
    """Try other ways to spell the base."""
    return lambda _evidence: [Change(shape=shape) for shape in shapes]


def labelled(evidence: Evidence) -> Iterator[Change]:
    """The label stands in the last line."""
    label = evidence.signature.label
    yield Change(shape=lambda lines, params: well_formed(lines, f"{label}={params}"))
