"""Which parts of a request are signed, and how each is spelt."""

from __future__ import annotations

import pytest

from openaudiohook.auth.components import (
    DERIVED_COMPONENTS,
    SignedRequest,
    canonical_authority,
    canonical_value,
    component_value,
    request_for_uri,
)
from openaudiohook.exceptions import ConfigurationError, MalformedSignature

pytestmark = pytest.mark.unit

REQUEST = SignedRequest(
    target="/svc/bot?lang=en-US&v=2",
    headers=(
        ("Host", "AH.example.net:8443"),
        ("X-Twice", " one "),
        ("x-twice", "two\r\n  three"),
        ("X-Empty", ""),
        ("X-Control", "a\nb"),
        ("X-Letters", "é"),
    ),
    scheme="WSS",
)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("@method", "GET"),
        ("@scheme", "wss"),
        ("@target-uri", "wss://ah.example.net:8443/svc/bot?lang=en-US&v=2"),
        ("@path", "/svc/bot"),
        ("@query", "?lang=en-US&v=2"),
        ("@request-target", "/svc/bot?lang=en-US&v=2"),
        ("@authority", "ah.example.net:8443"),
        ("x-twice", "one, two three"),
        ("x-empty", ""),
        ("host", "AH.example.net:8443"),
    ],
)
def test_a_component_has_the_value_its_signer_hashed(name: str, value: str) -> None:
    assert component_value(REQUEST, name) == value


def test_the_derived_components_are_those_of_the_reference_verifier() -> None:
    assert set(DERIVED_COMPONENTS) == {
        "@method",
        "@scheme",
        "@target-uri",
        "@path",
        "@query",
        "@request-target",
        "@authority",
        "@status",
    }


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("@signature-params", "not a component of a request"),
        ("@query-params", "not a component of a request"),
        ("@query-param", "not a component of a request"),
        ("@", "not a component of a request"),
        ("@status", "is not in the request"),
        ("x-absent", "is not in the request"),
        ("X-Twice", "no header name in lower case"),
        ("", "no header name in lower case"),
        ('x": y', "no header name in lower case"),
        ("x-control", "control or non-ASCII"),
        ("x-letters", "control or non-ASCII"),
    ],
)
def test_a_component_that_cannot_be_covered_is_refused(name: str, complaint: str) -> None:
    with pytest.raises(MalformedSignature, match=complaint):
        component_value(REQUEST, name)


@pytest.mark.parametrize("name", ["@authority", "@target-uri"])
def test_without_a_host_there_is_no_authority(name: str) -> None:
    with pytest.raises(MalformedSignature, match="is not in the request"):
        component_value(SignedRequest(target="/", headers=()), name)


def test_an_authority_given_wins_over_the_host_header() -> None:
    request = SignedRequest(target="/", headers=(("Host", "inside"),), authority="Outside:443")
    assert component_value(request, "@authority") == "outside"


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [("/a", "/a", "?"), ("/a?", "/a", "?"), ("?x=1", "/", "?x=1"), ("/a?b?c", "/a", "?b?c")],
)
def test_path_and_query_part_at_the_first_question_mark(target: str, path: str, query: str) -> None:
    request = SignedRequest(target=target, headers=())
    assert component_value(request, "@path") == path
    assert component_value(request, "@query") == query


@pytest.mark.parametrize(
    ("authority", "scheme", "expected"),
    [
        ("Example.COM", "wss", "example.com"),
        ("example.com:443", "wss", "example.com"),
        ("example.com:443", "HTTPS", "example.com"),
        ("example.com:80", "ws", "example.com"),
        ("example.com:80", "http", "example.com"),
        ("example.com:80", "wss", "example.com:80"),
        ("example.com:8443", "wss", "example.com:8443"),
        ("[::1]:443", "wss", "[::1]"),
        ("example.com:443", "gopher", "example.com:443"),
    ],
)
def test_the_default_port_goes_without_saying(authority: str, scheme: str, expected: str) -> None:
    assert canonical_authority(authority, scheme) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("  a  ", "a"),
        ("\ta\t", "a"),
        ("a \t\r\n \tb", "a b"),
        ("a\r\n b\r\n c", "a b c"),
        ("a  b", "a  b"),
        ("", ""),
    ],
)
def test_a_header_line_is_trimmed_and_unfolded(value: str, expected: str) -> None:
    assert canonical_value(value) == expected


@pytest.mark.parametrize(
    ("uri", "authority", "target"),
    [
        ("wss://Example.com/ws", "example.com", "/ws"),
        ("wss://example.com:443/ws?x=1", "example.com", "/ws?x=1"),
        ("ws://127.0.0.1:3000", "127.0.0.1:3000", "/"),
        ("ws://[::1]:80/a%20b", "[::1]", "/a%20b"),
        ("https://example.com?x", "example.com", "/?x"),
        ("wss://example.com:/ws", "example.com", "/ws"),
    ],
)
def test_a_uri_gives_authority_and_target(uri: str, authority: str, target: str) -> None:
    request = request_for_uri(uri)
    assert (component_value(request, "@authority"), request.target) == (authority, target)


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("example.com/ws", "must begin with wss://"),
        ("ftp://example.com", "must begin with wss://"),
        ("wss:///ws", "host is missing"),
        ("wss://example.com:port/ws", "not a usable URI"),
        ("wss://[::1/ws", "not a usable URI"),
        ("wss://me:pass@example.com/ws", "remove the user name"),
        ("wss://example.com/ws#there", "remove the user name or the #fragment"),
        ("wss://example.com/a b", "percent-encode"),
        ("wss://exämple.com/", "percent-encode"),
        ("wss://example.com/a\tb", "percent-encode"),
        ("", "percent-encode"),
    ],
)
def test_a_uri_that_cannot_be_dialled_is_refused(uri: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        request_for_uri(uri)
