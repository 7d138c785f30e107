from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path

import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor.integrations import (
    MAX_INTEGRATIONS,
    load_integrations,
    parse_custom_config,
    require_count,
    require_uri,
)

pytestmark = pytest.mark.unit

SECRET = b"an endpoint's secret"
GOOD = f"""
[[endpoint]]
uri = "wss://one.example.com/hook?tenant=7"
api_key = "key-1"
client_secret = "{base64.b64encode(SECRET).decode()}"
"""


@pytest.fixture
def load(tmp_path: Path) -> Callable[[str], tuple[EndpointConfig, ...]]:
    def load(text: str) -> tuple[EndpointConfig, ...]:
        path = tmp_path / "five.toml"
        path.write_text(text, encoding="utf-8")
        return load_integrations(path)

    return load


def test_an_organisation_has_at_most_five() -> None:
    assert MAX_INTEGRATIONS == 5
    for count in range(1, 6):
        require_count(count)
    with pytest.raises(ConfigurationError, match="at most 5 integrations"):
        require_count(6)
    with pytest.raises(ConfigurationError, match="no endpoint"):
        require_count(0)


def test_reconnections_are_off_unless_they_are_switched_on(
    load: Callable[[str], tuple[EndpointConfig, ...]],
) -> None:
    assert [one.reconnections for one in load(GOOD)] == [False]
    assert [one.reconnections for one in load(GOOD + "reconnections = true")] == [True]
    with pytest.raises(ConfigurationError, match="reconnections"):
        load(GOOD + 'reconnections = "yes"')


def test_clear_text_that_was_asked_for_is_let_through_to_the_connection(tmp_path: Path) -> None:
    path = tmp_path / "one.toml"
    path.write_text(GOOD.replace("wss://", "ws://"), encoding="utf-8")
    (config,) = load_integrations(path, allow_ws=True)
    assert config.allow_clear_text


@pytest.mark.parametrize(
    "uri",
    [
        "wss://example.com/hook",
        "wss://example.com:8443/hook?tenant=7",
        "ws://127.0.0.1:3000/hook",
        "ws://127.9.9.9/hook",
        "ws://[::1]:3000/hook",
        "ws://localhost:3000/hook",
        "ws://service.localhost/hook",
    ],
)
def test_encrypted_uris_and_this_machine_are_accepted(uri: str) -> None:
    assert require_uri(uri) == uri


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("", "the URI is empty"),
        ("example.com/hook", "must begin with wss://"),
        ("https://example.com/hook", "https:// is no wss://"),
        ("wss:///hook", "host is missing"),
        ("wss://user:pass@example.com/", "remove the user name"),
        ("wss://example.com:99999/", "not a usable URI"),
        ("wss://example.com/a b", "percent-encode"),
        ("ws://example.com/hook", "unencrypted beyond this machine"),
        ("ws://10.0.0.7/hook", "--allow-ws"),
    ],
)
def test_other_uris_are_refused_with_what_would_be_right(uri: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said) as caught:
        require_uri(uri)
    assert "pass" not in str(caught.value)


def test_clear_text_beyond_this_machine_has_to_be_asked_for() -> None:
    assert require_uri("ws://10.0.0.7/hook", allow_ws=True) == "ws://10.0.0.7/hook"


def test_a_custom_configuration_is_any_json_object() -> None:
    assert parse_custom_config('{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", r"not JSON: .*line 1, column 1"),
        ("{", "not JSON"),
        ("[1]", "is a JSON object"),
        ('"text"', "is a JSON object"),
        ("[" * 200_000, "has 200000 bytes; at most 60000 fit"),
        ("[" * 50_000, "nested too deeply"),
        ('{"a": "' + "x" * 60_000 + '"}', "at most 60000 fit"),
    ],
)
def test_anything_else_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_custom_config(text)


def test_endpoints_are_read_with_their_own_credentials(
    load: Callable[[str], tuple[EndpointConfig, ...]],
) -> None:
    first, second = load(
        GOOD
        + """
[[endpoint]]
name = "coach"
uri = "ws://localhost:3000/"
api_key = "key-2"
client_secret = ""
channel = "internal"
[endpoint.custom_config]
tenant = "blue"
rate = 1.5
"""
    )
    assert first == EndpointConfig(
        name="endpoint-1",
        uri="wss://one.example.com/hook?tenant=7",
        api_key="key-1",
        client_secret=SECRET,
    )
    assert second == EndpointConfig(
        name="coach",
        uri="ws://localhost:3000/",
        api_key="key-2",
        client_secret=b"",
        channel="internal",
        custom_config={"tenant": "blue", "rate": 1.5},
    )


def test_a_custom_configuration_may_be_json_in_a_text(
    load: Callable[[str], tuple[EndpointConfig, ...]],
) -> None:
    (config,) = load(GOOD + "custom_config = '{\"tenant\": 7}'")
    assert config.custom_config == {"tenant": 7}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "five.toml: no endpoint was given"),
        (GOOD * 6, "five.toml: 6 endpoints were given; an organisation has at most 5 integrations"),
        ("[[endpoints]]\nuri = ''", "line 1: endpoints: unknown key; did you mean 'endpoint'?"),
        (GOOD + "key = 1", "line 6: [[endpoint]] 1: key: unknown key; did you mean 'api_key'?"),
        ("[[endpoint]]\napi_key = 'k'", "line 1: [[endpoint]] 1: 'uri' is missing; it is a text"),
        (GOOD.replace("wss:", "http:"), "line 3: [[endpoint]] 1: uri: not a usable URI"),
        (GOOD.replace("key-1", "key 1"), "line 4: [[endpoint]] 1: api_key: the API key may hold"),
        (
            GOOD.replace('client_secret = "', 'client_secret = "-'),
            "line 5: [[endpoint]] 1: client_secret: the client secret is not base64",
        ),
        (GOOD + "channel = 'left'", "line 6: [[endpoint]] 1: channel: 'left' is not one of"),
        (GOOD + "custom_config = '{'", "line 6: [[endpoint]] 1: custom_config: the custom con"),
        (GOOD + "custom_config = 7", "custom_config: the custom configuration is a JSON object"),
        (GOOD + "custom_config = {at = 2020-01-01}", "custom_config: dates have no place in JSON"),
        (GOOD + 'name = "a"' + GOOD + 'name = "a"', "name: 'a' is the name of another endpoint"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_without_secrets(
    load: Callable[[str], tuple[EndpointConfig, ...]], text: str, said: str
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(text)
    assert said in str(caught.value)
    assert base64.b64encode(SECRET).decode() not in str(caught.value)
