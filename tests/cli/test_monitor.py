"""`monitor`, `integrations`, `events` and `explain` as their users meet them: processes."""

from __future__ import annotations

import asyncio
import base64
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import pytest
from tests.cli.monitors import CLIENT, Running, run, running
from tests.monitor.services import SECRET as STUBBORN_SECRET
from tests.monitor.services import Session, close, serving

from openaudiohook.exceptions import ControlError
from openaudiohook.monitor.control_client import ControlClient
from openaudiohook.protocol import SessionEvent
from openaudiohook.protocol.events import CloseRequested, OpenRequested
from openaudiohook.protocol.types import NIL_UUID

pytestmark = pytest.mark.integration

KEY, SECRET = "a-key", "c2VjcmV0"
CALLS = "/api/v2/audiohook/calls"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Running]:
    with running(
        "serve", "--port", "0", "--api-key", KEY, directory=tmp_path,
        OPENAUDIOHOOK_CLIENT_SECRET=SECRET,
    ) as one:  # fmt: skip
        yield one


def config(tmp_path: Path, uri: str, secret: str = SECRET, **more: Any) -> str:
    path = tmp_path / "monitor.toml"
    path.touch(mode=0o600)
    keys = "".join(f"{key} = {json.dumps(value)}\n" for key, value in more.items())
    path.write_text(
        f'[monitor]\nport = 0\n\n[[integrations]]\nname = "transcripts"\nuri = "{uri}"\n'
        f'api_key = "{KEY}"\nclient_secret = "{secret}"\n{keys}\n'
        '[[queues]]\nname = "Sales"\nenable_audio_monitoring = true\n',
        encoding="utf-8",
    )
    return "monitor.toml"


def wait_for(condition: Callable[[], object], *, bound_s: float = 20) -> None:
    give_up_at = time.monotonic() + bound_s
    while not condition():
        assert time.monotonic() < give_up_at
        time.sleep(0.02)


def place(monitor: Running, seconds: int = 600) -> str:
    """Place a call in the queue that is switched on."""
    control = monitor.control()
    (queue,) = control.all("/api/v2/routing/queues")
    body = {"source": {"tone": seconds}, "queueId": queue["id"]}
    return str(control.post(CALLS, body)["conversationId"])


def state(monitor: Running) -> str:
    (one,) = monitor.control().all("/api/v2/integrations")
    return str(one["reportedState"]["code"])


def test_sigterm_ends_every_call_in_good_order(tmp_path: Path, service: Running) -> None:
    file = config(tmp_path, service.uri)
    with running("monitor", "--config", file, "--client", CLIENT, directory=tmp_path) as monitor:
        wait_for(lambda: state(monitor) == "ACTIVE")
        conversation = place(monitor)
        folder = tmp_path / "recordings" / conversation
        wait_for(lambda: list(folder.glob("*.wav")))
        status, errors = monitor.stopped()
    assert status == 0
    assert "Ending every call" in errors
    assert KEY not in errors
    wait_for(lambda: list(folder.glob("*.json")))
    (sidecar,) = folder.glob("*.json")
    wait_for(lambda: "close" in sidecar.read_text(encoding="utf-8"))
    explained = run("explain", "--config", file, conversation[:8], directory=tmp_path)
    assert explained.returncode == 0, explained.stderr
    assert "transcripts" in explained.stdout
    assert "the source of the call was lost" in explained.stdout


def stubborn(session: Session, event: SessionEvent) -> None:
    """Take every session, and answer `close` of probes only."""
    session.accept(event)
    (asked,) = session.seen(OpenRequested)
    assert isinstance(asked, OpenRequested)
    if asked.parameters.conversation_id == NIL_UUID:
        close(session, event)


@pytest.mark.anyio
async def test_a_second_signal_does_not_wait_for_who_does_not_answer(tmp_path: Path) -> None:
    async with serving(stubborn) as service:
        file = config(tmp_path, service.uri, secret=base64.b64encode(STUBBORN_SECRET).decode())

        def stopped_twice() -> tuple[int, float]:
            arguments = ("monitor", "--config", file, "--client", CLIENT)
            with running(*arguments, directory=tmp_path) as monitor:
                wait_for(lambda: state(monitor) == "ACTIVE")
                place(monitor)
                wait_for(lambda: len(service.sessions) == 2)
                monitor.process.send_signal(signal.SIGINT)
                wait_for(lambda: service.sessions[1].seen(CloseRequested))
                assert monitor.process.poll() is None
                began = time.monotonic()
                return monitor.stopped(signal.SIGINT)[0], time.monotonic() - began

        status, took_s = await asyncio.to_thread(stopped_twice)
    assert status == 130
    assert took_s < 5


def test_the_same_file_applied_again_changes_nothing(tmp_path: Path, service: Running) -> None:
    file = config(tmp_path, service.uri)
    told = []
    for _ in range(2):
        with running("monitor", "--config", file, "--client", CLIENT, directory=tmp_path) as one:
            wait_for(lambda: state(one) == "ACTIVE")
            told.append(one.stopped()[1])
    assert "integration 'transcripts' created" in told[0]
    assert "transcripts" not in told[1]


def test_sighup_applies_the_file_anew_or_leaves_all_as_it_is(
    tmp_path: Path, service: Running
) -> None:
    file = config(tmp_path, service.uri, active=False)
    with running("monitor", "--config", file, "--client", CLIENT, directory=tmp_path) as monitor:
        assert state(monitor) == "INACTIVE"
        config(tmp_path, service.uri, frame_ms=7)
        monitor.process.send_signal(signal.SIGHUP)
        assert monitor.process.stderr is not None
        told = ""
        while "not applied" not in told:
            told = monitor.process.stderr.readline()
            assert told
        assert "monitor.toml, line" in told
        assert "frame_ms: a whole number from 20 to 200 is needed" in told
        assert state(monitor) == "INACTIVE"
        config(tmp_path, service.uri)
        monitor.process.send_signal(signal.SIGHUP)
        wait_for(lambda: state(monitor) == "ACTIVE")
        assert monitor.stopped()[0] == 0


def test_integrations_are_listed_and_switched(tmp_path: Path, service: Running) -> None:
    file = config(tmp_path, service.uri, active=False)
    with running("monitor", "--config", file, "--client", CLIENT, directory=tmp_path) as monitor:
        asked = ("integrations", "--api", monitor.uri, "--client", CLIENT)
        off = run(*asked, directory=tmp_path)
        assert (off.returncode, "off" in off.stdout) == (0, True)
        on = run(*asked, "--enable", "transcripts", "--json", directory=tmp_path)
        assert on.returncode == 0, on.stderr
        (told,) = json.loads(on.stdout)
        assert (told["state"], told["properties"]["connectionUri"]) == ("ACTIVE", service.uri)
        service.stopped(signal.SIGINT)
        again = run(*asked, "--disable", "transcripts", directory=tmp_path)
        assert again.returncode == 0
        dead = run(*asked, "--enable", "transcripts", directory=tmp_path)
        assert dead.returncode == 1
        assert "connection refused" in dead.stdout
        wrong = run(*asked, "--enable", "nobody", directory=tmp_path)
        assert (wrong.returncode, "which has 'transcripts'" in wrong.stderr) == (1, True)


def test_events_are_printed_and_followed(tmp_path: Path, service: Running) -> None:
    file = config(tmp_path, service.uri)
    with running("monitor", "--config", file, "--client", CLIENT, directory=tmp_path) as monitor:
        wait_for(lambda: state(monitor) == "ACTIVE")
        asked = ("events", "--api", monitor.uri)
        told = run(*asked, "--json", directory=tmp_path, OPENAUDIOHOOK_CLIENT=CLIENT)
        assert told.returncode == 0, told.stderr
        assert json.loads(told.stdout.splitlines()[0])["eventEntity"]["id"] == "AUDIOHOOK-0141"
        with subprocess.Popen(
            [sys.executable, "-m", "openaudiohook", *asked, "--client", CLIENT, "--follow",
             "--explain", "--last", "0"],
            stdout=subprocess.PIPE,
            text=True,
        ) as following:  # fmt: skip
            assert following.stdout is not None
            lines: list[str] = []
            reader = threading.Thread(target=_collect, args=(following.stdout, lines))
            reader.start()
            try:
                control = monitor.control()
                # Who listens may only begin to: calls are refused until one of them is told.
                wait_for(lambda: _refused_call(control) and "AUDIOHOOK-0150" in "".join(lines))
            finally:
                following.kill()
                reader.join(20)
        assert "AUDIOHOOK-0150 call [" in lines[0]
        assert lines[1].startswith("    ")  # what helps


def _collect(stream: IO[str], lines: list[str]) -> None:
    while line := stream.readline():
        lines.append(line)


def _refused_call(control: ControlClient) -> bool:
    control.post(CALLS, {"source": {"tone": 1}, "edgeType": "ldm"})
    return True


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--store", "postgresql://127.0.0.1:1/none"), "127.0.0.1:1"),
        (("--store", "sqlite:///not/there/monitor.sqlite"), "check the path"),
        (("--host", "192.0.2.1"), "cannot listen on 192.0.2.1"),
    ],
)
def test_what_keeps_it_from_starting_is_named(
    tmp_path: Path, arguments: tuple[str, ...], complaint: str
) -> None:
    ended = run("monitor", "--port", "0", "--client", CLIENT, *arguments, directory=tmp_path)
    assert ended.returncode in (1, 2)
    assert complaint in ended.stderr
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_second_monitor_on_the_same_journal_is_refused(tmp_path: Path) -> None:
    arguments = ("monitor", "--port", "0", "--client", CLIENT)
    with running(*arguments, directory=tmp_path):
        second = run(*arguments, directory=tmp_path)
    assert second.returncode == 1
    assert "another" in second.stderr.lower()


def test_wrong_usage_is_two(tmp_path: Path) -> None:
    cases = {
        ("monitor", "--client", "admin"): "ID:SECRET",
        ("monitor", "--store", "mysql://x"): "postgresql://",
        ("monitor", "--config", "none.toml"): "cannot be read",
        ("integrations",): "which Monitor is asked",
        ("integrations", "--api", "http://monitor.example"): "--client",
        ("events", "--api", "http://monitor.example", "--client", "a:b"): "unencrypted",
        ("explain", "latest"): "which Monitor",
        ("explain", "latest", "--state", "none"): "no journal is there",
    }
    for arguments, complaint in cases.items():
        ended = run(*arguments, directory=tmp_path)
        assert (ended.returncode, complaint in ended.stderr) == (2, True), (arguments, ended.stderr)


def test_who_is_not_let_in_is_told_so(tmp_path: Path) -> None:
    with running("monitor", "--port", "0", "--client", CLIENT, directory=tmp_path) as monitor:
        ended = run(
            "integrations", "--api", monitor.uri, "--client", "tester:wrong", directory=tmp_path
        )
        asked = ("explain", "--api", monitor.uri, "--client", CLIENT)
        unknown = run(*asked, str(uuid.uuid4()), directory=tmp_path)
        latest = run(*asked, "latest", directory=tmp_path)
    assert (ended.returncode, "does not let this client in" in ended.stderr) == (1, True)
    assert "wrong" not in ended.stderr
    assert (unknown.returncode, "404" in unknown.stderr) == (1, True)
    assert (latest.returncode, "give the whole id" in latest.stderr) == (2, True)
    with pytest.raises(ControlError, match="is the Monitor running"):
        monitor.control().get("/api/v2/integrations")
