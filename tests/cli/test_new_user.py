"""`init` and `explain` as a new user tries them: each answer names the cause."""

from __future__ import annotations

import asyncio
import json
import re
import stat
import threading
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from tests.cli.monitors import CLIENT, Running, run, running

from openaudiohook.demo.relay import open_relay

pytestmark = pytest.mark.slow

CALLS = "/api/v2/audiohook/calls"


def new_files(tmp_path: Path, uri: str, *more: str) -> str:
    """Have `init` write both files for a URI; return what it printed."""
    ended = run("init", "--no-check", "--uri", uri, *more, directory=tmp_path)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@contextmanager
def served(tmp_path: Path, *more: str) -> Iterator[Running]:
    """The service of service.toml, on a port of its own."""
    arguments = ("serve", "--config", "service.toml", "--port", "0", *more)
    with running(*arguments, directory=tmp_path) as service:
        yield service


@contextmanager
def thin_line(uri: str, *, bytes_per_s: int) -> Iterator[str]:
    """A line to a service that carries too little; yields the URI that leads through it."""
    started, port = threading.Event(), 0
    is_done: asyncio.Event
    loop: asyncio.AbstractEventLoop

    async def carry() -> None:
        nonlocal port, is_done, loop
        is_done, loop = asyncio.Event(), asyncio.get_running_loop()
        target = urlsplit(uri).port or 0
        async with open_relay(lambda _: target, bytes_per_s=bytes_per_s) as relay:
            port = relay.port
            started.set()
            await is_done.wait()

    thread = threading.Thread(target=lambda: asyncio.run(carry()))
    thread.start()
    assert started.wait(20)
    try:
        yield f"ws://127.0.0.1:{port}{urlsplit(uri).path}"
    finally:
        loop.call_soon_threadsafe(is_done.set)
        thread.join(20)


def point_to(tmp_path: Path, uri: str) -> None:
    """Edit monitor.toml, as somebody would who has found out where the service really listens."""
    path = tmp_path / "monitor.toml"
    text = path.read_text(encoding="utf-8")
    text = text.replace("[monitor]\n", '[monitor]\ntrace_dir = "traces"\n')
    path.write_text(re.sub(r'^uri = ".*"$', f'uri = "{uri}"', text, flags=re.M), encoding="utf-8")


def test_init_writes_both_sides_and_says_what_to_type(tmp_path: Path) -> None:
    uri = "wss://voice.example.com/hook?tenant=7"
    told = new_files(
        tmp_path, uri, "--name", "Transcripts", "--reconnections", "--advanced", '{"a": 1}'
    )
    service, monitor = (
        tomllib.loads((tmp_path / name).read_text(encoding="utf-8"))
        for name in ("service.toml", "monitor.toml")
    )
    (integration,) = monitor["integrations"]
    for key in ("api_key", "client_secret"):
        assert service[key] == integration[key]
    assert service["path"] == "/hook"
    for name in ("service.toml", "monitor.toml"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    typed = [line.split(maxsplit=1) for line in told.splitlines() if line.startswith("    ")]
    for field in (
        "Details      Name            Transcripts",
        "Properties   Channel         both",
        f"Properties   Connection URI  {uri}",
        "Properties   Reconnections   On",
        'Advanced     Advanced        {"a": 1}',
        f"Credentials  API Key         {service['api_key']}",
        f"Credentials  Client Secret   {service['client_secret']}",
    ):
        assert field.split(maxsplit=1) in typed
    again = run("init", "--no-check", directory=tmp_path)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    replaced = run("init", "--no-check", "--force", directory=tmp_path)
    assert replaced.returncode == 0
    assert service["api_key"] not in (tmp_path / "service.toml").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--uri", "http://example.com/x"), "no wss://"),
        (("--uri", "ws://example.com/x"), "unencrypted"),
        (("--api-key", "not a key!"), "API key"),
        (("--api-key", "k", "--client-secret", "no base64!"), "secret"),
        (("--advanced", "[1]"), "JSON object"),
        (("--advanced", "@nowhere.json"), "cannot be read"),
        (("--name", " "), "name is empty"),
        (("--check", "--uri", "wss://example.com/x"), "--check"),
        (("--check",), "monitor.toml"),
        (("--api", "http://127.0.0.1:1"), "--client"),
        (("--api", "ftp://127.0.0.1", "--client", "a:b"), "address like https"),
    ],
)
def test_wrong_wishes_are_named_and_nothing_is_written(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    ended = run("init", *arguments, directory=tmp_path)
    assert (ended.returncode, complaint in ended.stderr) == (2, True), ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_all_well(tmp_path: Path) -> None:
    new_files(tmp_path, "ws://127.0.0.1:3000/x")
    with served(tmp_path) as service:
        point_to(tmp_path, service.uri)
        ended = run("init", "--check", directory=tmp_path)
    assert ended.returncode == 0, ended.stdout
    assert "the probe went well" in ended.stdout
    assert "streamed from the first monitored sample to the last" in ended.stdout
    assert "All well" in ended.stdout


def test_a_dead_endpoint_is_named_with_what_to_start(tmp_path: Path) -> None:
    new_files(tmp_path, "ws://127.0.0.1:1/x")
    ended = run("init", "--check", directory=tmp_path)
    assert ended.returncode == 1
    assert "connection refused" in ended.stdout
    assert "AUDIOHOOK-0102" in ended.stdout
    assert "openaudiohook serve --config service.toml" in ended.stdout


def test_a_host_that_is_not_there_is_named(tmp_path: Path) -> None:
    new_files(tmp_path, "wss://nowhere.invalid/x")
    ended = run("init", "--check", directory=tmp_path)
    assert ended.returncode == 1
    assert "AUDIOHOOK-010" in ended.stdout
    assert "nowhere.invalid" in ended.stdout


def test_a_wrong_secret_is_named_and_told_apart_from_a_wrong_key(tmp_path: Path) -> None:
    new_files(tmp_path, "ws://127.0.0.1:3000/x")
    with served(tmp_path) as service:
        point_to(tmp_path, service.uri)
        path = tmp_path / "monitor.toml"
        text = path.read_text(encoding="utf-8")
        path.write_text(
            re.sub(r'^client_secret = ".*"$', 'client_secret = "d3Jvbmc="', text, flags=re.M),
            encoding="utf-8",
        )
        ended = run("init", "--check", directory=tmp_path)
        assert ended.returncode == 1
        assert "Authentication failed" in ended.stdout
        assert "AUDIOHOOK-0003" in ended.stdout
        assert "the client secret is another one" in ended.stdout
        path.write_text(
            re.sub(r'^api_key = ".*"$', 'api_key = "another"', text, flags=re.M), encoding="utf-8"
        )
        ended = run("init", "--check", directory=tmp_path)
        assert "The API key is another one" in ended.stdout
        new_files(tmp_path, service.uri, "--force")  # both files are new, the service is not
        ended = run("init", "--check", directory=tmp_path)
        assert "was started with others" in ended.stdout


def test_a_throttled_endpoint_is_named_with_what_it_missed(tmp_path: Path) -> None:
    new_files(tmp_path, "ws://127.0.0.1:3000/x")
    with served(tmp_path) as service, thin_line(service.uri, bytes_per_s=8_000) as uri:
        point_to(tmp_path, uri)
        ended = run("init", "--check", directory=tmp_path)
    assert ended.returncode == 1, ended.stdout
    assert "the probe went well" in ended.stdout
    assert re.search(r"in part: \d+\.\d+ s were left out", ended.stdout)
    assert "AUDIOHOOK-0130" in ended.stdout
    assert "The first thing that went wrong: openaudiohook: in part" in ended.stdout


def test_through_the_interface(tmp_path: Path) -> None:
    with running("monitor", "--port", "0", "--client", CLIENT, directory=tmp_path) as monitor:
        asked = ("init", "--api", monitor.uri, "--client", CLIENT)
        dead = run(*asked, "--uri", "ws://127.0.0.1:1/x", directory=tmp_path)
        assert dead.returncode == 1, dead.stderr
        assert not (tmp_path / "monitor.toml").exists()
        assert "it stays inactive: WebSocket connection failed" in dead.stdout
        assert f"openaudiohook integrations --api {monitor.uri} --enable " in dead.stdout
        with served(tmp_path) as service:
            key = tomllib.loads((tmp_path / "service.toml").read_text(encoding="utf-8"))
            mine = ("--uri", service.uri, "--api-key", key["api_key"])
            wrong = run(*asked, *mine, "--client-secret", "d3Jvbmc=", directory=tmp_path)
            assert (wrong.returncode, "Authentication failed" in wrong.stdout) == (1, True)
            right = run(*asked, *mine, "--client-secret", key["client_secret"], directory=tmp_path)
        assert right.returncode == 0, right.stdout + right.stderr
        assert "All well" in right.stdout
        control = monitor.control()
        assert len(list(control.all("/api/v2/integrations"))) == 1
        assert len(list(control.all("/api/v2/integrations/credentials"))) == 1
        (row,) = control.get("/api/v2/audiohook/usage")["entities"]
        assert 8 < row["chargeableSeconds"] <= 10


# explain ------------------------------------------------------------------------------------


def placed(monitor: Running, seconds: int, **more: object) -> str:
    """Place a call and wait until it is over; return its conversation."""
    control = monitor.control()
    body = {"source": {"tone": seconds}, **more}
    conversation = str(control.post(CALLS, body)["conversationId"])
    while conversation in {one["conversationId"] for one in control.get(CALLS)["entities"]}:
        time.sleep(0.05)
    return conversation


def explained(tmp_path: Path, conversation: str) -> str:
    """Explain a call once its sessions are closed, too."""
    while True:
        ended = run("explain", "--config", "monitor.toml", conversation, directory=tmp_path)
        assert ended.returncode == 0, ended.stderr
        if "is not closed yet" not in ended.stdout:
            return ended.stdout


@contextmanager
def monitoring(tmp_path: Path, uri: str) -> Iterator[tuple[Running, str]]:
    """The Monitor of monitor.toml with an active integration, and its queue's id."""
    point_to(tmp_path, uri)
    arguments = ("monitor", "--config", "monitor.toml", "--port", "0", "--client", CLIENT)
    with running(*arguments, directory=tmp_path) as monitor:
        control = monitor.control()
        while _code(monitor) != "ACTIVE":
            time.sleep(0.05)
        (queue,) = control.all("/api/v2/routing/queues")
        yield monitor, queue["id"]


def _code(monitor: Running) -> str:
    (one,) = monitor.control().all("/api/v2/integrations")
    assert one["reportedState"]["code"] != "ERROR"
    return str(one["reportedState"]["code"])


def test_explain_names_why_a_call_was_not_streamed(tmp_path: Path) -> None:
    new_files(tmp_path, "ws://127.0.0.1:3000/x")
    with served(tmp_path) as service:
        uri = service.uri
        with monitoring(tmp_path, uri) as (monitor, queue):
            never = explained(tmp_path, placed(monitor, 1))
            assert "monitoring was never switched on: it entered no queue" in never
            assert "enableAudioMonitoring" in never

            refused = explained(tmp_path, placed(monitor, 1, edgeType="byoc-premises"))
            assert "cannot be monitored" in refused
            assert "byoc-premises" in refused

            good = explained(tmp_path, placed(monitor, 2, queueId=queue))
            assert "streamed from the first monitored sample to the last" in good
            assert "█" in good
            assert "charged s" in good

            service.stopped()
            dead = explained(tmp_path, placed(monitor, 2, queueId=queue))
            assert "not streamed" in dead
            assert "connection refused" in dead
            assert "x" * 20 in dead

            with running(  # somebody else's service, at the same place
                "serve", "--port", str(urlsplit(uri).port), "--path", "/x", "--api-key", "other",
                directory=tmp_path, OPENAUDIOHOOK_CLIENT_SECRET="b3RoZXI=",
            ):  # fmt: skip
                wrong = explained(tmp_path, placed(monitor, 2, queueId=queue))
            assert "AUDIOHOOK-0003" in wrong
            assert "client secret" in wrong


def test_explain_names_why_a_call_was_streamed_in_part(tmp_path: Path) -> None:
    new_files(tmp_path, "ws://127.0.0.1:3000/x")
    with (
        served(tmp_path) as service,
        thin_line(service.uri, bytes_per_s=8_000) as uri,
        monitoring(tmp_path, uri) as (monitor, queue),
    ):
        told = explained(tmp_path, placed(monitor, 10, queueId=queue))
    assert re.search(r"in part: \d+\.\d+ s were left out", told)
    assert "AUDIOHOOK-0130" in told
    assert "discarded s" in told
    assert "·· left out" in told  # drawn where it was, from the trace
    ended = run("explain", "--config", "monitor.toml", "latest", "--json", directory=tmp_path)
    (lane,) = json.loads(ended.stdout)["parts"][0]["lanes"]
    left_out = [one for one in lane["stretches"] if one["fate"] == "discarded"]
    assert sum(one["end"] - one["start"] for one in left_out) == lane["discarded"]
