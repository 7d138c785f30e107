"""A new integration, from nothing: its key and secret, both sides' configuration, and what to type.

What is written holds secrets, and is for its owner alone to read (0600).
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

import msgspec

from openaudiohook.auth import decode_secret, validate_api_key
from openaudiohook.exceptions import ConfigurationError, ControlError
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor.control_client import ControlClient
from openaudiohook.monitor.integrations import parse_custom_config, require_uri
from openaudiohook.store.records import Channel
from openaudiohook.transport.sockets import is_loopback

__all__ = [
    "MONITOR_FILE",
    "SERVICE_FILE",
    "Field",
    "Plan",
    "Provisioned",
    "monitor_toml",
    "new_credentials",
    "platform_fields",
    "provision",
    "service_toml",
    "write_private",
]

SERVICE_FILE: Final = "service.toml"
MONITOR_FILE: Final = "monitor.toml"

_SECRET_BYTES: Final = 48
_KEY_BYTES: Final = 24
_POLL_S: Final = 0.2


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The integration that is wanted.

    Attributes:
        client_secret: Base64; empty where requests are to go unsigned.
        advanced: the JSON object that is passed on as it is.
    """

    name: str
    uri: str
    api_key: str
    client_secret: str
    channel: Channel = "both"
    reconnections: bool = False
    advanced: str = "{}"

    def __repr__(self) -> str:
        return f"Plan(name={self.name!r}, uri={self.uri!r})"

    def checked(self) -> Plan:
        """Return the plan where it can be carried out.

        Raises:
            ConfigurationError: a part of it cannot be used; the text says which, and what would be
                right.
        """
        if not self.name.strip():
            raise ConfigurationError("the name is empty")
        require_uri(self.uri)
        validate_api_key(self.api_key)
        decode_secret(self.client_secret)
        parse_custom_config(self.advanced)
        return self

    def endpoint(self) -> EndpointConfig:
        """What a Monitor streams to."""
        return EndpointConfig(
            name=self.name,
            uri=self.uri,
            api_key=self.api_key,
            client_secret=decode_secret(self.client_secret),
            channel=self.channel,
            custom_config=parse_custom_config(self.advanced) or None,
            reconnections=self.reconnections,
        )


class Field(NamedTuple):
    """One field of the platform's form: the tab it is on, its label, and what to type."""

    tab: str
    label: str
    value: str


def new_credentials() -> tuple[str, str]:
    """Make an API key and a client secret (Base64), as the owner of a service does."""
    key = secrets.token_urlsafe(_KEY_BYTES)
    return key, base64.b64encode(secrets.token_bytes(_SECRET_BYTES)).decode()


def platform_fields(plan: Plan) -> list[Field]:
    """Say what to type where, in the order in which the platform's form asks for it."""
    return [
        Field("Details", "Name", plan.name),
        Field("Properties", "Channel", plan.channel),
        Field("Properties", "Connection URI", plan.uri),
        Field("Properties", "Reconnections", "On" if plan.reconnections else "Off"),
        Field("Advanced", "Advanced", plan.advanced),
        Field("Credentials", "API Key", plan.api_key),
        Field("Credentials", "Client Secret", plan.client_secret),
    ]


def service_toml(plan: Plan) -> str:
    """Write the configuration of the service's side, for `openaudiohook serve --config`."""
    parts = urlsplit(plan.uri)
    is_here = parts.scheme == "ws"
    port = (parts.port or 80) if is_here else 3000
    lines = [
        f"# The service that {plan.uri} leads to.",
        f"host = {_toml((parts.hostname or '127.0.0.1') if is_here else '127.0.0.1')}",
        f"port = {port}",
        f"path = {_toml(parts.path or '/')}",
        f"api_key = {_toml(plan.api_key)}",
        f"client_secret = {_toml(plan.client_secret)}",
        'consumers = ["recorder"]',
        'recordings = "recordings"',
    ]
    if not is_here:
        lines += [
            "# wss:// ends either at a proxy in front of this port, or here:",
            '# host = "0.0.0.0"',
            f"# port = {parts.port or 443}",
            '# tls_cert = "fullchain.pem"',
            '# tls_key = "privkey.pem"',
        ]
    return "\n".join(lines) + "\n"


def monitor_toml(plan: Plan, *, client_id: str, client_secret: str) -> str:
    """Write the configuration of the platform's side, for `openaudiohook monitor --config`."""
    return f"""\
[monitor]
port = 3080

[[clients]]
id = {_toml(client_id)}
secret = {_toml(client_secret)}

[[integrations]]
name = {_toml(plan.name)}
uri = {_toml(plan.uri)}
api_key = {_toml(plan.api_key)}
client_secret = {_toml(plan.client_secret)}
channel = {_toml(plan.channel)}
reconnections = {_toml(plan.reconnections)}
advanced = {_toml(plan.advanced)}

[[queues]]
name = "Monitored"
enable_audio_monitoring = true
"""


def write_private(path: Path, text: str, *, replace: bool = False) -> None:
    """Write a file that only its owner may read.

    Raises:
        ConfigurationError: it is there already and is not to be replaced, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if replace else os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            os.fchmod(descriptor, 0o600)
            file.write(text)
    except FileExistsError:
        raise ConfigurationError(
            f"{path} is there already: --check tries what it says, --force replaces it"
        ) from None
    except OSError as error:
        raise ConfigurationError(f"{path}: cannot be written: {error.strerror}") from None


# Through the interface -------------------------------------------------------------------


class Provisioned(NamedTuple):
    """An integration that was made through the interface.

    Attributes:
        id: its id.
        is_active: whether the platform's probe went well.
        text: what the probe found, where it did not.
    """

    id: str
    is_active: bool
    text: str


def provision(
    control: ControlClient,
    plan: Plan,
    *,
    timeout_s: float = 60.0,
    now_s: Callable[[], float] = time.monotonic,
    wait: Callable[[float], None] = time.sleep,
) -> Provisioned:
    """Make the integration on a platform, activate it, and wait for its probe.

    One of the same name is configured anew, so that it may be repeated.

    Raises:
        ControlError: the interface refused; the text says what it answered.
    """
    here = next(_named(control, plan.name), None)
    if here is None:
        body = {"name": plan.name, "integrationType": {"id": "audiohook"}}
        here = control.post("/api/v2/integrations", body)
    path = f"/api/v2/integrations/{here['id']}"
    credential = control.post(
        "/api/v2/integrations/credentials",
        {
            "name": plan.name,
            "type": {"id": "audioHook", "name": "audioHook"},
            "credentialFields": {"apiKey": plan.api_key, "clientSecret": plan.client_secret},
        },
    )
    config = control.get(f"{path}/config/current")
    before = (config.get("credentials") or {}).get("audioHook")
    properties = (config.get("properties") or {}) | {
        "channel": plan.channel,
        "connectionUri": plan.uri,
    }
    if plan.reconnections or "reconnections" in properties:
        properties["reconnections"] = plan.reconnections
    control.put(
        f"{path}/config/current",
        {
            "name": plan.name,
            "version": config["version"],
            "properties": properties,
            "advanced": json.loads(plan.advanced),
            "notes": config.get("notes") or "",
            "credentials": {"audioHook": {"id": credential["id"]}},
        },
    )
    if before:
        control.delete(f"/api/v2/integrations/credentials/{before['id']}")
    control.patch(path, {"intendedState": "DISABLED"})
    control.patch(path, {"intendedState": "ENABLED"})
    give_up_at = now_s() + timeout_s
    while True:
        state = control.get(path)
        code = str((state.get("reportedState") or {}).get("code", ""))
        if code == "ACTIVE":
            return Provisioned(here["id"], True, "")
        if code == "ERROR":
            return Provisioned(here["id"], False, _detail(state["reportedState"]))
        if now_s() > give_up_at:
            raise ControlError(
                f"the probe of '{plan.name}' did not end within {timeout_s:g} s: its state is "
                f"{code or 'not told'}"
            )
        wait(_POLL_S)


def _named(control: ControlClient, name: str) -> Iterator[dict[str, Any]]:
    for integration in control.all("/api/v2/integrations"):
        if integration.get("name") == name:
            kind = (integration.get("integrationType") or {}).get("id")
            if kind != "audiohook":
                raise ControlError(f"'{name}' is the name of an integration of another type")
            yield integration


def _detail(state: dict[str, Any]) -> str:
    detail = state.get("detail")
    if isinstance(detail, dict):
        detail = detail.get("localizableMessageCode") or detail.get("message")
    return str(detail or "the platform does not say why")


def is_local(uri: str) -> bool:
    """Whether a URI leads to this machine, and so to a service that can be started here."""
    return is_loopback(urlsplit(uri).hostname or "")


def _toml(value: str | bool) -> str:
    """A text, or true or false, as TOML writes it: JSON's way is good for both."""
    return json.dumps(value, ensure_ascii=False)
