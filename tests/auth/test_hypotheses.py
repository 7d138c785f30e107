"""Every row of the table finds the mistake it is for, and names it."""

from __future__ import annotations

import base64
import hmac
from collections.abc import Callable
from typing import Any

import http_sf
import pytest
from tests.support.signed import (
    API_KEY,
    COMPONENTS,
    HEADERS,
    HOST,
    PARAMS,
    SECRET,
    SECRET_TEXT,
    TARGET,
    signed,
)

from openaudiohook.auth import SignedRequest, request_for_uri
from openaudiohook.auth.changes import Evidence, well_formed
from openaudiohook.auth.hypotheses import GUESSED_PATH, HYPOTHESES, Found, find_cause
from openaudiohook.auth.verification import read_signature

pytestmark = pytest.mark.unit

Headers = tuple[tuple[str, str], ...]
Lines = list[tuple[str, str]]
IDS = [HEADERS[place][1] for place in (1, 2, 3)]


def found(
    headers: Headers,
    *,
    extra: Headers = (),
    uri: str = f"wss://{HOST}{TARGET}",
    target: str | None = None,
    host: str | None = None,
) -> Found | None:
    headers = (*headers, *extra)
    if host is not None:
        headers = tuple((n, host if n == "Host" else v) for n, v in headers)
    dialled = request_for_uri(uri, headers)
    received = SignedRequest(target=target or dialled.target, headers=headers, scheme="wss")
    signature = read_signature(received)
    assert signature is not None
    return find_cause(Evidence(received, dialled, signature, SECRET_TEXT, SECRET))


def shaped(shape: Callable[[Lines, str], str], **change: Any) -> Headers:
    """Sign a base that is spelt by `shape`."""
    *headers, (_, text), _ = signed(**change)
    values = {n.lower(): v for n, v in HEADERS} | {"@request-target": TARGET, "@authority": HOST}
    base = shape([(name, values[name]) for name in COMPONENTS], text.partition("=")[2])
    value = base64.b64encode(hmac.digest(SECRET, base.encode(), "sha256")).decode()
    return (*headers, ("Signature-Input", text), ("Signature", f"sig1=:{value}:"))


def target(value: str, **received: Any) -> Found | None:
    return found(signed(target=value), **received)


def authority(value: str, **received: Any) -> Found | None:
    return found(signed(authority=value), **received)


CASES: list[tuple[str, Callable[[], Found | None]]] = [
    ("used as text", lambda: found(signed(secret=SECRET_TEXT.encode()))),
    ("line feed was left", lambda: found(signed(secret=SECRET + b"\n"))),
    ("line feed was left", lambda: found(signed(secret=SECRET_TEXT.encode() + b"\n"))),
    ("API key was used", lambda: found(signed(secret=API_KEY.encode()))),
    ("host is not the one", lambda: found(signed(), host="localhost:3000")),
    (
        "host is not the one",
        lambda: authority("a.example", extra=(("X-Forwarded-Host", "a.example"),)),
    ),
    (
        "host is not the one",
        lambda: authority("a.example", extra=(("Forwarded", "host=a.example"),)),
    ),
    (
        "host is not the one",
        lambda: authority("a.example", extra=(("X-Original-Host", "a.example"),)),
    ),
    ("wrote the default port", lambda: authority(f"{HOST}:443")),
    ("wrote the default port", lambda: authority(f"{HOST}:80")),
    (
        "left the port out",
        lambda: found(signed(), host=f"{HOST}:8443", uri=f"wss://{HOST}:8443{TARGET}"),
    ),
    ("in lower case", lambda: authority("AudioHook.Example.com", host="AudioHook.Example.com")),
    ("in lower case", lambda: authority(HOST.upper())),
    ("path is not the one", lambda: found(signed(), target="/inside")),
    ("path is not the one", lambda: target("/out", extra=(("X-Original-URI", "/out"),))),
    (
        "path is not the one",
        lambda: target(f"/out{TARGET}", extra=(("X-Forwarded-Prefix", "/out/"),)),
    ),
    ("trailing slash", lambda: target(TARGET + "/")),
    ("trailing slash", lambda: found(signed(), uri=f"wss://{HOST}{TARGET}/?")),
    ("differ in the query", lambda: target(TARGET, uri=f"wss://{HOST}{TARGET}?a=1")),
    ("differ in the query", lambda: target(TARGET + "?")),
    ("part of ours", lambda: target("/ws")),
    ("part of ours", lambda: target("/api/v1")),
    ("part of ours", lambda: target("/")),
    ("encoded otherwise", lambda: target("/a b", uri=f"wss://{HOST}/a%20b")),
    ("encoded otherwise", lambda: target("/a%2520b", uri=f"wss://{HOST}/a%20b")),
    ("encoded otherwise", lambda: target("/ws", uri=f"wss://{HOST}/WS")),
    ("put the method", lambda: target(f"GET {TARGET}")),
    ("put the method", lambda: target(f"get {TARGET}")),
    ("whole URI", lambda: target(f"wss://{HOST}{TARGET}")),
    ("whole URI", lambda: target(f"https://{HOST}{TARGET}")),
    (
        "exchanged",
        lambda: found(signed(changed=dict(zip(COMPONENTS[2:5], IDS[::-1], strict=True)))),
    ),
    (
        "another case",
        lambda: found(signed(changed=dict(zip(COMPONENTS[2:5], map(str.upper, IDS), strict=True)))),
    ),
    (
        "another API key",
        lambda: found(
            signed(params={**PARAMS, "keyid": '"other"'}, changed={"x-api-key": "other"})
        ),
    ),
    ("ended the base with", lambda: found(shaped(lambda *b: well_formed(*b) + "\n"))),
    (
        "ended the base with",
        lambda: found(shaped(lambda *b: well_formed(*b).replace("\n", "\r\n"))),
    ),
    (
        "left out the last line",
        lambda: found(shaped(lambda *b: well_formed(*b).rpartition("\n")[0])),
    ),
    (
        "left out the last line",
        lambda: found(shaped(lambda *b: well_formed(*b).rpartition("\n")[0] + "\n")),
    ),
    (
        "label into the last line",
        lambda: found(shaped(lambda lines, text: well_formed(lines, f"sig1={text}"))),
    ),
    (
        "one way and sent",
        lambda: found(
            shaped(
                lambda lines, text: well_formed(
                    lines,
                    http_sf.ser(http_sf.parse(b"x=" + text.encode(), tltype="dictionary"))[2:],
                ),
                params={
                    "keyid": PARAMS["keyid"],
                    " nonce": PARAMS["nonce"],
                    "created": PARAMS["created"],
                },
            )
        ),
    ),
    (
        "without quotes",
        lambda: found(
            shaped(
                lambda lines, text: "\n".join(
                    f"{n}: {v}" for n, v in [*lines, ("@signature-params", text)]
                )
            )
        ),
    ),
    (
        "no space after",
        lambda: found(
            shaped(
                lambda lines, text: "\n".join(
                    f'"{n}":{v}' for n, v in [*lines, ("@signature-params", text)]
                )
            )
        ),
    ),
    ("another order", lambda: found(shaped(well_formed, components=COMPONENTS[::-1]))),
]


@pytest.mark.parametrize(("cause", "case"), CASES)
def test_a_mistake_is_found_and_named(cause: str, case: Callable[[], Found | None]) -> None:
    result = case()
    assert result is not None
    assert [cause in row.cause for row, _ in result.causes] == [True]


def test_every_row_of_the_table_has_a_case() -> None:
    causes = {cause for cause, _ in CASES}
    missing = [row.cause for row in HYPOTHESES if not any(cause in row.cause for cause in causes)]
    assert missing == []


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("/api/v1/audiohook/ws", "/elsewhere"),
        ("/audiohook/ws", "/elsewhere"),
        ("/edgy/ws", "/edgy/v9/ws"),
        ("/calls/v1/ws", "/calls/v2/ws"),
        ("/calls/ws", "/cals/ws"),
        ("/calls/ws", "/callss/ws"),
        ("/calls/ws", "/cells/ws"),
        ("/api/v1/calls", "/calls"),
        ("/audiohook/ws?a=1", "/elsewhere?a=1"),
        ("/audiohook/ws", "/elsewhere?a=1"),
    ],
)
def test_a_path_nearby_or_in_common_use_is_guessed(theirs: str, ours: str) -> None:
    result = target(theirs, uri=f"wss://{HOST}{ours}")
    assert result is not None
    ((_, change),) = result.causes
    assert change.shown == theirs


def test_a_guess_comes_last() -> None:
    result = target("/audiohook/v7/ws", uri=f"wss://{HOST}/audiohook/v8/ws")
    assert result is not None
    assert result.causes[0][0] is GUESSED_PATH


def test_two_mistakes_of_different_kinds_are_found_together() -> None:
    result = found(signed(secret=SECRET_TEXT.encode(), target=f"GET {TARGET}"), host="inside:1")
    assert result is None  # three are too many to tell
    result = found(signed(secret=SECRET_TEXT.encode(), target=f"GET {TARGET}"))
    assert result is not None
    assert [row.aspect for row, _ in result.causes] == ["key", "target"]
    assert result.base.startswith(f'"@request-target": GET {TARGET}\n')


def test_a_wrong_secret_is_not_explained_away() -> None:
    assert found(signed(secret=b"another secret")) is None


def test_a_signature_without_a_key_id_is_looked_into_as_well() -> None:
    result = found(signed(keyid=None, secret=SECRET_TEXT.encode()))
    assert result is not None
    assert result.causes[0][0].aspect == "key"
