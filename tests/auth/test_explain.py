"""The explanation names the cause, the line and the remedy."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from tests.support.signed import (
    COMPONENTS,
    CREATED,
    HEADERS,
    HOST,
    NOW_NS,
    SECRET_TEXT,
    TARGET,
    signed,
)

from openaudiohook.auth import Explanation, RequestLines, explain_signature, read_request_lines
from openaudiohook.exceptions import ConfigurationError

pytestmark = pytest.mark.unit

URI = f"wss://{HOST}{TARGET}"
Headers = tuple[tuple[str, str], ...]


def explained(headers: Headers, **arguments: Any) -> Explanation:
    target = arguments.pop("target", None)
    defaults = {"uri": URI, "client_secret": SECRET_TEXT, "utc_ns": NOW_NS}
    return explain_signature(RequestLines(headers, target), **{**defaults, **arguments})


def replaced(headers: Headers, name: str, value: str) -> Headers:
    return tuple((n, value if n.lower() == name else v) for n, v in headers)


def difference(explanation: Explanation) -> str | None:
    number = explanation.first_difference
    if number is None or explanation.signed is None:
        return None
    lines = explanation.expected if number <= len(explanation.expected) else explanation.signed
    return lines[number - 1].partition(":")[0].strip('"')


def test_a_good_request_needs_no_explanation() -> None:
    explanation = explained(signed())
    assert explanation.is_valid
    assert explanation.expected == explanation.signed
    assert explanation.first_difference is None
    assert len(explanation.expected) == 7


@pytest.mark.parametrize("uri", [f"wss://{HOST.upper()}:443{TARGET}", f"https://{HOST}{TARGET}"])
def test_spelling_of_the_uri_does_not_matter(uri: str) -> None:
    assert explained(signed(), uri=uri).is_valid


def test_without_a_host_line_the_uri_decides() -> None:
    assert explained(tuple(pair for pair in signed() if pair[0] != "Host")).is_valid


def test_an_undecoded_secret_shows_as_another_key() -> None:
    explanation = explained(signed(secret=SECRET_TEXT.encode()))
    assert "without base64-decoding" in explanation.findings[0].summary
    assert explanation.expected == explanation.signed
    assert explanation.expected_key == "32 octets, decoded"
    assert explanation.signed_key == "44 octets, not decoded"


@pytest.mark.parametrize(
    ("headers", "uri"),
    [
        (replaced(signed(), "host", "127.0.0.1:3000"), URI),
        (signed(), f"ws://127.0.0.1:3000{TARGET}"),
        (
            (*replaced(signed(), "host", "127.0.0.1:3000"), ("X-Forwarded-Host", HOST)),
            f"ws://127.0.0.1:3000{TARGET}",
        ),
    ],
)
def test_a_rewritten_host_is_found_wherever_the_first_is_named(headers: Headers, uri: str) -> None:
    explanation = explained(headers, uri=uri)
    assert difference(explanation) == "@authority"
    assert HOST in explanation.findings[0].summary
    assert HOST in explanation.findings[0].remedy
    assert explanation.expected[1] == '"@authority": 127.0.0.1:3000'


@pytest.mark.parametrize(
    "path",
    [
        "/voicebiometrics/ws",
        "/api/v1/voicebiometrics/ws/",
        "/api/v1/voicebiometrics",
        "/edge/api/v1/voicebiometrics/ws",
        "/api/v2/voicebiometrics/ws",
        "/api/v1/voicebiometrics/wss",
        "/somewhere/else",
    ],
)
def test_a_changed_path_is_found(path: str) -> None:
    for explanation in (
        explained(signed(), uri=f"wss://{HOST}{path}"),
        explained(signed(), target=path),
    ):
        assert difference(explanation) == "@request-target"
        assert explanation.expected[0] == f'"@request-target": {path}'
        assert explanation.signed is not None
        assert explanation.signed[0] == f'"@request-target": {TARGET}'


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("audiohook-session-id", "audiohook-correlation-id"),
        ("audiohook-organization-id", "audiohook-session-id"),
    ],
)
def test_swapped_ids_are_found(one: str, other: str) -> None:
    values = {name.lower(): value for name, value in HEADERS}
    headers = signed(changed={one: values[other], other: values[one]})
    explanation = explained(headers)
    assert difference(explanation) == one
    assert "exchanged" in explanation.findings[0].summary


def test_an_expired_request_differs_in_its_times() -> None:
    explanation = explained(signed(), utc_ns=(CREATED + 100) * 10**9)
    assert explanation.findings[0].summary.startswith('expired: "expires" is 70 s in the past')
    assert "--now" in explanation.findings[0].remedy
    assert difference(explanation) == "@signature-params"
    assert explanation.expected[-1].endswith(
        f";created={CREATED + 100};expires={CREATED + 100 + 30}"
    )


def test_an_old_request_that_has_not_expired_differs_in_its_creation() -> None:
    explanation = explained(signed(), utc_ns=(CREATED + 20) * 10**9)
    assert '"created" is 20 s ago' in explanation.findings[0].summary
    assert explanation.expected[-1].endswith(f";created={CREATED + 20};expires={CREATED + 30}")


def test_a_request_from_the_future_is_not_valid_yet() -> None:
    explanation = explained(signed(expires=None), utc_ns=(CREATED - 100) * 10**9)
    assert explanation.findings[0].summary.startswith('not valid yet: "created" is 100 s')
    assert difference(explanation) == "@signature-params"


def test_two_causes_at_once_are_both_named() -> None:
    headers = replaced(signed(secret=SECRET_TEXT.encode()), "host", "localhost:3000")
    explanation = explained(headers, utc_ns=(CREATED + 100) * 10**9)
    key, host, expired = explanation.findings
    assert "base64" in key.summary
    assert HOST in host.summary
    assert expired.summary.startswith("expired")
    assert difference(explanation) == "@authority"


@pytest.mark.parametrize(
    ("change", "summary", "remedy"),
    [
        ({"nonce": '"short"'}, "it has 5", "16 random octets"),
        ({"nonce": None}, "it is missing", "16 random octets"),
        ({"tag": '"x"'}, 'unknown signature parameter "tag"', "Leave that parameter out"),
        ({"keyid": '"other"'}, '"keyid" is not the value', "same value as keyid"),
        ({"alg": '"none"'}, '"alg" is not', "as the page on authentication"),
        ({"created": '"5"'}, '"created" must be', "as the page on authentication"),
        ({"components": COMPONENTS[:-1]}, 'does not cover "x-api-key"', "all six components"),
        ({"components": (*COMPONENTS, "date")}, '"date" is not in the request', "Send the header"),
        ({"components": (*COMPONENTS, "@x")}, '"@x" is not a component', "page on authentication"),
    ],
)
def test_what_a_server_would_refuse_is_named(
    change: dict[str, Any], summary: str, remedy: str
) -> None:
    explanation = explained(signed(**change))
    assert summary in explanation.findings[0].summary
    assert remedy in explanation.findings[0].remedy
    assert not explanation.is_valid


@pytest.mark.parametrize(
    ("headers", "summary"),
    [
        (HEADERS, "the request is not signed"),
        (signed()[:-1], "the Signature header is missing"),
        (tuple(pair for pair in signed() if pair[0] != "X-API-KEY"), "X-API-KEY header is missing"),
        (replaced(signed(), "signature-input", "sig1"), "must be a list"),
    ],
)
def test_a_request_that_cannot_be_read_has_no_bases(headers: Headers, summary: str) -> None:
    explanation = explained(headers)
    assert summary in explanation.findings[0].summary
    assert explanation.expected == ()
    assert explanation.first_difference is None


def test_a_signature_of_the_wrong_length_is_named() -> None:
    hexadecimal = base64.b64encode(b"0" * 64).decode()
    explanation = explained(replaced(signed(), "signature", f"sig1=:{hexadecimal}:"))
    assert "64 octets" in explanation.findings[0].summary
    assert "neither hexadecimal" in explanation.findings[0].remedy
    assert explanation.signed is None


def test_when_nothing_fits_it_says_so_and_what_remains() -> None:
    explanation = explained(signed(secret=b"another secret altogether"))
    (finding,) = explanation.findings
    assert "no known cause" in finding.summary
    assert "client secret" in finding.remedy
    assert 'line 1, "@request-target" or line 2, "@authority"' in finding.remedy
    assert explanation.signed is None
    assert explanation.first_difference is None


def test_when_nothing_fits_and_nothing_is_unseen_no_line_is_suspected() -> None:
    explanation = explained(signed(components=COMPONENTS[2:], secret=b"another"))
    assert "(" not in explanation.findings[0].remedy


def test_a_host_line_that_is_no_host_is_no_obstacle() -> None:
    headers = signed(components=COMPONENTS[2:], secret=b"another")
    assert "no known" in explained(replaced(headers, "host", "hö\x00st")).findings[0].summary


def test_an_extra_line_at_the_signer_is_a_difference() -> None:
    explanation = Explanation(findings=(), expected=("a",), signed=("a", "b"))
    assert explanation.first_difference == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"uri": "localhost"}, "must begin with wss://"),
        ({"client_secret": ""}, "requests are not signed then"),
        ({"client_secret": "%"}, "not base64"),
    ],
)
def test_what_cannot_be_used_is_a_configuration_error(
    arguments: dict[str, str], complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        explained(signed(), **arguments)


def test_lines_are_read_as_pasted() -> None:
    text = "GET /ws?x=1 HTTP/1.1\r\nHost: a.example\r\n\r\nX-Long: one\r\n  two\r\nX-Empty:\r\n"
    assert read_request_lines(text) == RequestLines(
        headers=(("Host", "a.example"), ("X-Long", "one two"), ("X-Empty", "")),
        target="/ws?x=1",
        method="GET",
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "no header lines"),
        ("\n \n", "no header lines"),
        ("GET / HTTP/1.1\n", "no header lines"),
        ("Host: a\nnonsense\n", "line 2 is not of the form Name: value"),
        (" indented: first\n", "line 1 is not"),
        ("Host: a\nGET / HTTP/1.1\n", "line 2 is not"),
        ("GET / HTTP/1.1\nGET / HTTP/1.1\n", "line 2 is not"),
    ],
)
def test_lines_that_are_no_request_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        read_request_lines(text)
