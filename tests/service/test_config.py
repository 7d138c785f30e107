"""Configuration: defaults, file, environment, options; and errors that say what would be right."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.service.config import (
    SETTINGS,
    Address,
    ServiceConfig,
    load_config,
    read_credentials,
)

pytestmark = pytest.mark.unit

OPEN = {"no_auth": True}


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str | bytes) -> Path:
        path = tmp_path / "service.toml"
        path.write_bytes(text.encode() if isinstance(text, str) else text)
        return path

    return write


def test_every_field_has_its_setting() -> None:
    assert set(SETTINGS) == {field.name for field in msgspec.structs.fields(ServiceConfig)}


def test_defaults_are_those_of_the_command_line() -> None:
    config = load_config(options=OPEN)
    assert (config.host, config.port) == ("127.0.0.1", 3000)
    assert config.path == "/api/v1/audiohook/ws"
    assert (config.consumers, config.recordings) == (("recorder",), "recordings")


def test_later_sources_win(write: Any) -> None:
    path = write('port = 1\nadmin = "127.0.0.1:1"\nlog_level = "error"\nno_auth = true\n')
    environment = {"OPENAUDIOHOOK_PORT": "2", "OPENAUDIOHOOK_ADMIN": "127.0.0.1:2"}
    options = {"port": 3, "admin": None}
    config = load_config(path, environment=environment, options=options)
    assert (config.port, config.admin, config.log_level) == (3, "127.0.0.1:2", "error")


def test_the_environment_holds_every_type() -> None:
    environment = {
        "OPENAUDIOHOOK_PORT": "0",
        "OPENAUDIOHOOK_NO_AUTH": "true",
        "OPENAUDIOHOOK_CONSUMERS": "recorder, mine",
        "OPENAUDIOHOOK_LANGUAGES": "",
        "OPENAUDIOHOOK_DRAIN_GRACE_S": "1.5",
        "OPENAUDIOHOOK_MAX_SESSIONS": "7",
        "OPENAUDIOHOOK_CONSUMER": "ignored: tables have no environment variable",
    }
    config = load_config(environment=environment)
    assert config.consumers == ("recorder", "mine")
    assert (config.languages, config.drain_grace_s, config.max_sessions) == ((), 1.5, 7)


def test_paths_in_a_file_start_at_the_file(write: Any, tmp_path: Path) -> None:
    path = write('no_auth = true\nrecordings = "calls"\ntls_cert = "/a"\ntls_key = "b"\n')
    config = load_config(path)
    assert config.recordings == str(tmp_path / "calls")
    assert (config.tls_cert, config.tls_key) == ("/a", str(tmp_path / "b"))


def test_options_of_a_consumer_have_a_table(write: Any) -> None:
    path = write('no_auth = true\n[consumer.recorder]\ndirectory = "x"\n')
    assert load_config(path).consumer == {"recorder": {"directory": "x"}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("port = \n", r"service\.toml: not valid TOML: .*line 1"),
        ("x = 1\n" * 2, r"not valid TOML: .*line 2"),
        ("a = " + "[" * 3000, "not valid TOML: (nested too deeply|.*recursion|.*Unclosed)"),
        (b"host = '\xff'", r"service\.toml: byte 8 is not UTF-8"),
        ('\nprot = 3000\n', r"service\.toml, line 2: prot: unknown key; did you mean 'port'\?"),
        ("zzz = 1\n", r"line 1: zzz: unknown key; known are host, port"),
        ('port = "3000"\n', r"line 1: port: a number from 0 to 65535 is needed"),
        ("port = 70000\n", r"line 1: port: a number from 0 to 65535 is needed"),
        ("# c\nconsumers = 'recorder'\n", r"line 2: consumers: names in quotes: \[\"recorder\"\]"),
        ('no_auth = "yes"\n', r"line 1: no_auth: true or false is needed"),
        ('probe_media = "none"\n', r'probe_media: "select" or "empty" is needed'),
        ("[consumer]\nrecorder = 1\n", r"line 1: consumer: a table for each consumer"),
        ('"port" = true\n', r"line 1: port: a number"),
        ("drain_grace_s = -1\n", r"drain_grace_s: seconds, 0 to 86400 is needed"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_file_names_line_key_and_remedy(
    write: Any, text: str | bytes, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        load_config(write(text))


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml: cannot be read: No such file"):
        load_config(tmp_path / "none.toml")


def test_a_mistake_in_the_environment_names_the_variable() -> None:
    with pytest.raises(ConfigurationError, match="variable OPENAUDIOHOOK_PORT: port: a number"):
        load_config(environment={"OPENAUDIOHOOK_PORT": "many"})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "no credentials: give api_key and client_secret"),
        ({"no_auth": True, "tls_cert": "a"}, "tls_cert and tls_key belong together"),
        ({"api_key": "a"}, "api_key and client_secret belong together"),
        ({"client_secret": "YQ=="}, "api_key and client_secret belong together"),
        ({"no_auth": True, "admin": "9090"}, "admin: HOST:PORT is needed"),
        ({"no_auth": True, "admin": "a..b:1"}, "admin: 'a..b' is no address or host name"),
        ({"no_auth": True, "host": "a..b"}, "host: 'a..b' is no address or host name"),
        ({"no_auth": True, "host": "a\0b"}, "is no address or host name"),
        ({"no_auth": True, "path": "ws"}, "path: 'ws' must start with /"),
        ({"no_auth": True, "host": "0.0.0.0"}, "no_auth on 0.0.0.0 would let anyone in"),
        ({"no_auth": True, "api_key": "a", "client_secret": ""}, "no_auth ignores credentials"),
    ],
)
def test_what_does_not_fit_together_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ServiceConfig(**settings).checked()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_no_auth_is_for_loopback(host: str) -> None:
    assert ServiceConfig(no_auth=True, host=host).checked().no_auth


def test_no_auth_elsewhere_needs_a_second_word() -> None:
    config = ServiceConfig(no_auth=True, host="0.0.0.0", allow_remote_no_auth=True)
    assert config.checked() is config


def test_no_auth_said_for_this_run_leaves_the_surroundings_credentials_out() -> None:
    environment = {"OPENAUDIOHOOK_API_KEY": "k", "OPENAUDIOHOOK_CLIENT_SECRET": "YQ=="}
    assert load_config(environment=environment, options=OPEN).api_key is None
    with pytest.raises(ConfigurationError, match="no_auth ignores credentials"):
        load_config(options={**OPEN, "api_key": "k", "client_secret": ""})


def test_credentials_come_from_the_pair_and_the_file(tmp_path: Path) -> None:
    path = tmp_path / "keys.toml"
    path.write_text('[[credentials]]\napi_key = "b"\nclient_secret = ""\n')
    config = ServiceConfig(api_key="a", client_secret="c2VjcmV0", credentials=str(path))
    found = read_credentials(config.checked())
    assert [(pair.api_key, pair.secret) for pair in found] == [("a", b"secret"), ("b", b"")]


def test_a_credentials_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    config = ServiceConfig(credentials=str(tmp_path / "keys.toml"))
    with pytest.raises(ConfigurationError, match=r"keys\.toml: cannot be read"):
        read_credentials(config)


def test_a_configuration_shows_no_secret() -> None:
    config = ServiceConfig(api_key="topkey", client_secret="dG9wc2VjcmV0")
    assert "top" not in repr(config)
    assert "dG9w" not in repr(config)


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [("127.0.0.1:0", "127.0.0.1", 0), ("[::1]:9090", "::1", 9090), ("host:65535", "host", 65535)],
)
def test_addresses_are_read(text: str, host: str, port: int) -> None:
    assert Address.parse(text) == Address(host, port)


@pytest.mark.parametrize("text", ["", "9090", ":9090", "host:", "host:x", "host:65536", "h:1 "])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="HOST:PORT is needed"):
        Address.parse(text)
