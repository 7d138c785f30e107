"""The Monitor's configuration file: what it says, and every mistake with its place."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.monitor.config import SETTINGS, MonitorConfig, load_monitor_config
from openaudiohook.monitor.declared import DEFAULT_ORGANIZATION, SCOPES, SECTIONS
from openaudiohook.protocol.types import PauseCause

pytestmark = pytest.mark.unit

ACME = "8b0f9a7c-3f0e-4f63-9a3d-2f1f6f0d8f11"
WHOLE = f"""
[monitor]
host = "0.0.0.0"
port = 8080
state_dir = "state"
store = "sqlite:///db/monitor.sqlite"
key_file = "keys/master"
media_dir = "media"
region = "eu-central-1"
free_pauses = ["secure", "client", "server"]

[[organizations]]
id = "{ACME}"
name = "Acme"

[[organizations]]
name = "Globex"

[[clients]]
id = "ops"
secret = "s3cret-of-ops-client"
scopes = ["integrations", "conversations:readonly"]
organization = "Acme"

[[integrations]]
organization = "Acme"
name = "transcripts"
uri = "wss://transcripts.example.com/audiohook?tenant=7"
api_key = "key-of-acme"
client_secret = "c2VjcmV0"
channel = "external"
reconnections = true
retry_upgrade_5xx = true
region = "eu-west-1"
frame_ms = 200
notes = "asked for by sales"
active = false

[integrations.advanced]
model = "large"
threshold = 0.5

[[queues]]
organization = "{ACME}"
name = "Sales"
enable_audio_monitoring = true
language = "de-DE"
hold_back_ms = 1500
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "monitor.toml"
    path.write_text(text, encoding="utf-8")
    return path


def load(tmp_path: Path, text: str, environment: dict[str, str] | None = None) -> MonitorConfig:
    return load_monitor_config(written(tmp_path, text), environment=environment or {})


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE)
    assert (config.host, config.port, config.region) == ("0.0.0.0", 8080, "eu-central-1")
    assert config.state_dir == str(tmp_path / "state")
    assert config.store_url == f"sqlite:///{tmp_path / 'db/monitor.sqlite'}"
    assert config.key_path == tmp_path / "keys/master"
    assert config.free_pauses == set(PauseCause)
    acme, globex = config.organizations
    assert (acme.id, acme.name, globex.name) == (ACME, "Acme", "Globex")
    (client,) = config.clients
    assert (client.id, client.organization_id) == ("ops", ACME)
    assert client.scopes == {"integrations", "conversations:readonly"}
    (integration,) = config.integrations
    assert integration.organization_id == ACME
    assert integration.uri.endswith("?tenant=7")
    assert (integration.channel, integration.frame_ms, integration.active) == (
        "external", 200, False,
    )  # fmt: skip
    assert json.loads(integration.advanced) == {"model": "large", "threshold": 0.5}
    (queue,) = config.queues
    assert (queue.organization_id, queue.language, queue.hold_back_ms) == (ACME, "de-DE", 1500)
    assert queue.enable_audio_monitoring
    assert not queue.enable_transcription


def test_without_a_file_there_is_one_organization(tmp_path: Path) -> None:
    config = load_monitor_config(environment={})
    assert config.organizations == (DEFAULT_ORGANIZATION,)
    assert config.store_url == "sqlite:///monitor-state/monitor.sqlite"
    assert config.key_path == Path("monitor-state.key")


def test_an_organization_without_an_id_has_the_same_one_each_time(tmp_path: Path) -> None:
    first, second = (load(tmp_path, WHOLE).organization("Globex") for _ in range(2))
    assert first.id == second.id


def test_what_is_not_said_starts_at_the_file(tmp_path: Path) -> None:
    assert load(tmp_path, "").state_dir == str(tmp_path / "monitor-state")


def test_the_environment_wins_over_the_file_and_options_over_both(tmp_path: Path) -> None:
    environment = {
        "OPENAUDIOHOOK_MONITOR_PORT": "9000",
        "OPENAUDIOHOOK_MONITOR_STORE": "postgresql://monitor:pass@db/monitor",
        "OPENAUDIOHOOK_MONITOR_FREE_PAUSES": "secure",
    }
    config = load(tmp_path, WHOLE, environment)
    assert config.port == 9000
    assert config.store_url == "postgresql://monitor:pass@db/monitor"
    assert config.free_pauses == {PauseCause.SECURE}
    path = written(tmp_path, WHOLE)
    options = {"port": 9001, "host": None}
    config = load_monitor_config(path, environment=environment, options=options)
    assert (config.port, config.host) == (9001, "0.0.0.0")


def test_a_first_client_comes_from_the_command_line(tmp_path: Path) -> None:
    config = load_monitor_config(environment={}, client="ops:a:b")
    (client,) = config.clients
    assert (client.id, client.secret) == ("ops", "a:b")
    assert client.scopes == set(SCOPES)
    assert client.organization_id == DEFAULT_ORGANIZATION.id


def test_a_client_that_the_file_declares_is_the_same_one_or_refused(tmp_path: Path) -> None:
    path = written(tmp_path, WHOLE)
    same = load_monitor_config(path, environment={}, client="ops:s3cret-of-ops-client")
    assert len(same.clients) == 1
    with pytest.raises(ConfigurationError, match="another secret") as caught:
        load_monitor_config(path, environment={}, client="ops:hunter2")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("client", ["ops", "ops:", ":secret"])
def test_a_client_that_is_no_pair_is_refused(client: str) -> None:
    with pytest.raises(ConfigurationError, match="ID:SECRET"):
        load_monitor_config(environment={}, client=client)


def test_a_secret_may_stand_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("c2VjcmV0\n", encoding="utf-8")
    text = (
        '[[integrations]]\nname = "a"\nuri = "wss://a.example"\n'
        'api_key = { env = "THE_KEY" }\nclient_secret = { file = "secret" }\n'
    )
    (integration,) = load(tmp_path, text, {"THE_KEY": "key"}).integrations
    assert (integration.api_key, integration.client_secret) == ("key", "c2VjcmV0")
    with pytest.raises(ConfigurationError, match=r"line 4: .*api_key: .*no variable THE_KEY"):
        load(tmp_path, text)


def test_advanced_json_is_kept_as_it_was_written(tmp_path: Path) -> None:
    text = INTEGRATION + 'advanced = \'{ "b": 1,  "a": 2 }\'\n'
    assert load(tmp_path, text).integrations[0].advanced == '{ "b": 1,  "a": 2 }'


INTEGRATION = '[[integrations]]\nname = "a"\nuri = "wss://a.example"\napi_key = "key"\n'
CLIENT = '[[clients]]\nid = "ops"\nsecret = "s3cret"\n'


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("[monitr]\n", r"monitor.toml, line 1: monitr: unknown key; did you mean 'monitor'"),
        ("[monitor]\nprt = 1\n", r"line 2: \[monitor\]: prt: unknown key; did you mean 'port'"),
        ("[monitor]\nport = 70000\n", r"line 2: \[monitor\]: port: a number from 0 to 65535"),
        ('[monitor]\nport = "80"\n', r"line 2: .*port: a number from 0 to 65535"),
        ('[monitor]\nfree_pauses = ["hold"]\n', r'line 2: .*free_pauses: a list of "secure"'),
        ('[monitor]\nstore = "mysql://root:hunter2@db"\n', r"store: a URL in quotes"),
        ('[[organizations]]\nname = "A"\nid = "7"\n', r"line 3: .*id: a UUID"),
        ('[[organizations]]\nname = ""\n', r"line 2: .*name: 1 to 128 printable characters"),
        (
            '[[organizations]]\nname = "A"\n[[organizations]]\nname = "A"\n',
            r"line 4: \[\[organizations\]\] 2: name: 'A' is taken",
        ),
        ("[organizations]\n", r"each one is written under its own \[\[organizations\]\]"),
        ('[[clients]]\nid = "ops"\n', r"line 1: .*'secret' is missing"),
        ('[[clients]]\nid = "ops"\nsecret = ""\n', r"line 3: .*secret: it is empty"),
        ('[[clients]]\nid = "a:b"\nsecret = "hunter2"\n', r"line 2: .*id: a colon"),
        (CLIENT + 'scopes = ["everything"]\n', r"line 4: .*scopes: 'everything' is no scope"),
        (CLIENT + CLIENT, r"line 5: .*id: 'ops' is taken"),
        (CLIENT + 'organization = "Nobody"\n', r"line 4: .*organization: 'Nobody' is none of"),
        (
            '[[organizations]]\nname = "A"\n[[organizations]]\nname = "B"\n' + CLIENT,
            r"line 5: .*'organization' is missing; it is one of 'A', 'B'",
        ),
        (INTEGRATION.replace("wss", "http"), r"line 3: .*uri: not a usable URI: http://"),
        (INTEGRATION.replace("wss", "ws"), r"line 3: .*uri: ws:// would carry the call"),
        (INTEGRATION.replace('"key"', '"hunter2!"'), r"line 4: .*api_key: "),
        (INTEGRATION + 'client_secret = "hunter2!"\n', r"line 5: .*client_secret: "),
        (INTEGRATION + "client_secret = 7\n", r"line 5: .*client_secret: a text is needed"),
        (INTEGRATION + "client_secret = { env = 7 }\n", r"line 5: .*client_secret: text is need"),
        (INTEGRATION + 'client_secret = { file = "no" }\n', r"line 5: .*no: cannot be read"),
        (INTEGRATION + 'channel = "left"\n', r"line 5: .*channel: 'left' is not one of"),
        (INTEGRATION + "frame_ms = 10\n", r"line 5: .*frame_ms: a whole number from 20 to 200"),
        (INTEGRATION + "frame_ms = true\n", r"line 5: .*frame_ms: a whole number"),
        (INTEGRATION + "advanced = '[]'\n", r"line 5: .*advanced: .*JSON object"),
        (INTEGRATION + "advanced = { at = 2026-01-01 }\n", r"line 5: .*advanced: dates have no"),
        (INTEGRATION + f'advanced = \'{{"a": "{"x" * 60_000}"}}\'\n', r"at most 60000 fit"),
        (INTEGRATION + 'active = "yes"\n', r"line 5: .*active: true or false is needed"),
        (INTEGRATION + INTEGRATION, r"line 6: .*name: 'a' is taken"),
        (
            "".join(INTEGRATION.replace('"a"', f'"{name}"') for name in "abcdef"),
            r"line 21: \[\[integrations\]\] 6: an organization has at most 5 integrations",
        ),
        ('[[queues]]\nname = "Q"\nlanguage = "german!"\n', r"line 3: .*language: 'german!'"),
        ('[[queues]]\nname = "Q"\nhold_back_ms = 3001\n', r"line 3: .*from 0 to 3000"),
        ('[[queues]]\nname = "Q"\nhold_back = 1\n', r"did you mean 'hold_back_ms'"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_without_secrets(
    tmp_path: Path, text: str, complaint: str
) -> None:
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        load(tmp_path, text)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value"), [("PORT", "eighty"), ("FREE_PAUSES", "hold"), ("STORE", "hunter2")]
)
def test_a_mistake_in_the_environment_is_named(variable: str, value: str) -> None:
    name = f"OPENAUDIOHOOK_MONITOR_{variable}"
    with pytest.raises(ConfigurationError, match=variable.lower() if value == "hunter2" else name):
        load_monitor_config(environment={name: value})


def test_nothing_secret_is_shown(tmp_path: Path) -> None:
    config = load(tmp_path, WHOLE)
    shown: list[Any] = [config, *config.clients, *config.integrations, *config.queues]
    assert not [one for one in shown if "c2VjcmV0" in repr(one) or "s3cret" in repr(one)]


def test_every_key_is_described() -> None:
    fields = set(MonitorConfig.__struct_fields__)
    assert fields == set(SETTINGS) | set(SECTIONS)
