"""API keys, client secrets, and the file they stand in."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.auth import (
    Credentials,
    InMemoryKeys,
    decode_secret,
    parse_credentials,
    validate_api_key,
)
from openaudiohook.auth.keys import is_api_key
from openaudiohook.exceptions import ConfigurationError

pytestmark = pytest.mark.unit

DECOY = bytes(32)
GOOD = """\
# our keys
[[credentials]]
api_key = "first-key"
client_secret = "c2VjcmV0"

[[credentials]]
"api_key" = "second-key"
client_secret = ""
"""


@pytest.mark.parametrize("text", ["a", "SGVsbG8=", "SGVsbA==", "A-_b+/9", "x" * 512])
def test_a_well_formed_api_key_is_accepted(text: str) -> None:
    assert is_api_key(text)
    assert validate_api_key(text) == text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "is empty"),
        ("x" * 513, "has 513 characters, at most 512"),
        ("a b", "letters, digits"),
        ("a===", "at most two ="),
        ("=", "letters, digits"),
        ("key\n", "letters, digits"),
        ("schlüssel", "letters, digits"),
    ],
)
def test_a_malformed_api_key_is_refused_without_showing_it(text: str, complaint: str) -> None:
    assert not is_api_key(text)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        validate_api_key(text)
    assert not text.strip("=") or text not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "octets"),
    [("", b""), ("c2VjcmV0", b"secret"), ("YQ==", b"a"), ("YQ", b"a"), ("YWI=", b"ab")],
)
def test_a_secret_is_decoded_with_and_without_padding(text: str, octets: bytes) -> None:
    assert decode_secret(text) == octets


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("c2Vj-mV0", "position 5 holds - or _; use the standard alphabet"),
        ("c2VjcmV0\n", "position 9 holds white space"),
        ("c2V!cmV0", "position 4 holds a character other than"),
        ("c2VjcmV0c", "9 characters do not make whole octets"),
        ("YQ=", "3 characters do not make whole octets"),
        ("YQ==YQ==", "= may stand at the end only"),
        ("A" * 516, "has 516 characters, at most 512"),
        ("٣" * 4, "position 1 holds a character other than"),
    ],
)
def test_a_malformed_secret_is_refused_without_showing_it(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        decode_secret(text)
    assert text.strip() not in str(caught.value)


@given(st.text(min_size=24, max_size=60).map(lambda text: f"{text}!"))
def test_no_error_shows_the_text_it_is_about(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        decode_secret(text)
    assert text not in str(caught.value)


@given(st.binary(max_size=300))
def test_a_secret_decodes_to_what_was_encoded(octets: bytes) -> None:
    text = base64.b64encode(octets).decode()
    assert decode_secret(text) == decode_secret(text.rstrip("=")) == octets


def test_no_representation_shows_a_secret() -> None:
    pair = Credentials.from_text("first-key", "c2VjcmV0")
    keys = InMemoryKeys([pair], decoy=DECOY)
    for shown in (repr(pair), str(pair), repr(keys), repr([keys, pair])):
        assert "first-key" not in shown
        assert "secret'" not in shown
        assert "c2VjcmV0" not in shown
    assert repr(keys) == "InMemoryKeys(1 keys)"


def test_a_snapshot_tells_known_from_unknown() -> None:
    keys = InMemoryKeys([Credentials("a", b"x"), Credentials("b", b"")], decoy=DECOY)
    assert [keys.secret_for(name) for name in "abc"] == [b"x", b"", None]
    assert keys.decoy == DECOY
    assert len(keys) == 2


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="credentials 2: the API key is given twice"):
        InMemoryKeys([Credentials("a", b"x"), Credentials("a", b"y")], decoy=DECOY)


def test_a_short_decoy_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        InMemoryKeys([], decoy=bytes(31))


def test_a_credentials_file_nested_too_deeply_is_refused_like_any_other() -> None:
    with pytest.raises(ConfigurationError, match=r"^keys\.toml: not valid TOML: nested too deeply"):
        parse_credentials(f"a = {'[' * 5000}{']' * 5000}", source="keys.toml")


def test_a_credentials_file_is_read_in_order() -> None:
    assert parse_credentials(GOOD, source="keys.toml") == (
        Credentials("first-key", b"secret"),
        Credentials("second-key", b""),
    )


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[[credentials]\n", r"keys.toml: not valid TOML: .*line 1"),
        ("", "keys.toml: no credentials; add a"),
        ("credentials = []", "no credentials; add a"),
        ('credentials = "x"', "no credentials; add a"),
        ("credentials = [1]", r"keys.toml: credentials 1, api_key: missing; write a"),
        ('[[credential]]\napi_key = "a"', "unknown key 'credential'"),
        (
            '[[credentials]]\nclient_secret = "YQ=="',
            r'keys.toml, line 1: credentials 1, api_key: missing; add api_key = "..."',
        ),
        ('[[credentials]]\napi_key = "a"', "line 1: credentials 1, client_secret: missing"),
        (
            '[[credentials]]\n\napi_key = 5\nclient_secret = ""',
            "line 3: credentials 1, api_key: must be text",
        ),
        (
            GOOD + '[[credentials]]\napi_key = "a b"\nclient_secret = ""',
            "line 10: credentials 3, api_key: the API key may hold",
        ),
        (
            '[[credentials]]\napi_key = "a"\n client_secret = "YQ=x"',
            "line 3: credentials 1, client_secret: the client secret is not base64",
        ),
        (
            '[[credentials]]\napi_key = "a"\nsecret = "YQ=="',
            "line 3: credentials 1, secret: unknown; only api_key and client_secret",
        ),
        (
            GOOD + '[[credentials]]\napi_key = "first-key"\nclient_secret = ""',
            "line 10: credentials 3, api_key: this key is given twice",
        ),
        (
            'credentials = [{api_key = "a", client_secret = "%"}]',
            "^keys.toml: credentials 1, client_secret: the client secret is not base64",
        ),
    ],
)
def test_a_fault_in_the_file_is_named_with_its_place(text: str, complaint: str) -> None:
    with pytest.raises(ConfigurationError, match=complaint):
        parse_credentials(text, source="keys.toml")
