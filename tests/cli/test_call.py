"""`openaudiohook call` in this process, against a service on loopback."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import structlog
from anyio.from_thread import start_blocking_portal
from click.testing import CliRunner, Result
from rich.console import Console
from tests.monitor.services import KEY, SECRET, Act, Service, Session, polite, serving, until

from openaudiohook.audio import ulaw
from openaudiohook.audio.wav_writer import header
from openaudiohook.cli import main
from openaudiohook.cli._call_run import show
from openaudiohook.monitor import Monitor, single_play
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.protocol import SessionEvent
from openaudiohook.protocol.events import AudioFrame, CloseRequested, OpenRequested
from openaudiohook.protocol.types import CloseReason

pytestmark = pytest.mark.integration

SECRET_TEXT = base64.b64encode(SECRET).decode()
CREDENTIALS = ("--api-key", KEY, "--client-secret", SECRET_TEXT)


@contextmanager
def service_thread(act: Act = polite) -> Iterator[Service]:
    """A service in a thread of its own: the command blocks this one."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(serving(act)) as service,
    ):
        yield service


@pytest.fixture(scope="module")
def shared() -> Iterator[Service]:
    with service_thread() as service:
        yield service


@pytest.fixture
def service(shared: Service) -> Service:
    shared.sessions.clear()
    return shared


@pytest.fixture(autouse=True)
def _alone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep what the environment says out, and what the command sets up in."""
    monkeypatch.delenv("OPENAUDIOHOOK_API_KEY", raising=False)
    monkeypatch.delenv("OPENAUDIOHOOK_CLIENT_SECRET", raising=False)
    yield
    structlog.reset_defaults()


def call(*arguments: object, env: dict[str, str] | None = None) -> Result:
    return CliRunner().invoke(main, ["call", *map(str, arguments)], env=env)


def write_wav(path: Path, audio: bytes, *, channels: int = 1) -> Path:
    path.write_bytes(header(channels, len(audio)) + audio)
    return path


def test_a_tone_arrives_and_json_is_all_there_is_on_stdout(service: Service) -> None:
    result = call(
        *("--uri", service.uri, "--uri", service.uri, *CREDENTIALS),
        *("--tone", "1.5", "--speed", "10", "--json"),
    )
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert (found["call_s"], found["call_samples"]) == (1.5, 12_000)
    assert [one["name"] for one in found["endpoints"]] == ["endpoint-1", "endpoint-2"]
    for endpoint in found["endpoints"]:
        assert set(endpoint) >= {
            *("name", "uri", "state", "error", "http_status", "attempts", "open_s", "call_s"),
            *("sent_s", "discarded_s", "lost_s", "paused_s", "sent_sha256", "chargeable_s"),
        }
        assert (endpoint["uri"], endpoint["state"]) == (service.uri, "completed")
        assert (endpoint["sent_s"], endpoint["sent_samples"]) == (1.5, 12_000)
        assert set(endpoint["paused_s"]) == {"secure", "client", "server", "union"}
    assert [len(session.audio) for session in service.sessions] == [24_000, 24_000]


def moving_once(session: Session, event: SessionEvent) -> None:
    """Ask to be moved after half a second of audio, unless it was moved already."""
    polite(session, event)
    opened = session.seen(OpenRequested)
    if isinstance(event, AudioFrame) and len(session.frames) == 5 and opened:
        assert isinstance(opened[0], OpenRequested)
        if not opened[0].parameters.continued_sessions:
            session.session.reconnect(time.monotonic_ns())
            session.driver.flush()


@pytest.mark.parametrize("form", ["option", "file", "not at all"])
def test_a_service_that_asks_is_followed_where_that_is_switched_on(
    form: str, tmp_path: Path
) -> None:
    with service_thread(moving_once) as service:
        where: tuple[object, ...] = ("--uri", service.uri, *CREDENTIALS)
        if form == "option":
            where += ("--reconnect",)
        elif form == "file":
            file = tmp_path / "endpoints.toml"
            file.write_text(
                f'[[endpoint]]\nuri = "{service.uri}"\napi_key = "{KEY}"\n'
                f'client_secret = "{SECRET_TEXT}"\nreconnections = true\n'
            )
            where = ("--endpoints", file)
        result = call(*where, "--tone", "3", "--speed", "2", "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    (endpoint,) = json.loads(result.stdout)["endpoints"]
    sessions = endpoint["sessions"]
    assert endpoint["state"] == "completed"
    assert endpoint["sent_samples"] == endpoint["call_samples"] == 24_000
    assert [one["session_id"] for one in sessions] == [
        one.session.session_id for one in service.sessions
    ]
    for one, session in zip(sessions, service.sessions, strict=True):
        assert one["sent_sha256"] == hashlib.sha256(session.audio).hexdigest()
        assert 2 * one["sent_samples"] == len(session.audio)
        assert one["error"] is None
    if form == "not at all":
        assert len(sessions) == 1
        assert endpoint["sent_sha256"] == sessions[0]["sent_sha256"]
    else:
        assert len(sessions) == 2
        assert endpoint["sent_sha256"] is None
        assert endpoint["resent_samples"] == sum(one["sent_samples"] for one in sessions) - 24_000
        # Nobody pays twice for the moment in which both were open.
        assert endpoint["chargeable_samples"] == 24_000 - endpoint["open_samples"]


def test_people_are_told_of_several_sessions() -> None:
    with service_thread(moving_once) as service:
        result = call(
            *("--uri", service.uri, *CREDENTIALS),
            *("--tone", "3", "--speed", "2", "--reconnect"),
        )
    assert (result.exit_code, result.stderr) == (0, "")
    assert "endpoint-1: 2 sessions, " in result.stdout
    assert "s sent again" in result.stdout


def test_people_get_a_table(service: Service) -> None:
    result = call(
        "--uri", service.uri, *CREDENTIALS, "--tone", "1", "--speed", "10.5", "--frame-ms", 20
    )
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith("call of 1.000 s, monitored from 0.000 s, conversation ")
    assert "endpoint-1" in result.stdout
    assert "completed" in result.stdout
    assert {samples for _, samples in service.sessions[0].frames[1:-1]} <= {160}


@pytest.mark.parametrize(
    ("channels", "channel", "expected"),
    [
        (2, "both", bytes(range(256)) * 20),
        (2, "external", bytes(range(0, 256, 2)) * 20),
        (2, "internal", bytes(range(1, 256, 2)) * 20),
        (1, "both", bytes(x for n in bytes(range(256)) * 20 for x in (n, 0xFF))),
        (1, "external", bytes(range(256)) * 20),
        (1, "internal", bytes(range(256)) * 20),
    ],
)
def test_a_wav_file_arrives_byte_for_byte_on_the_asked_channels(
    service: Service, tmp_path: Path, channels: int, channel: str, expected: bytes
) -> None:
    wav = write_wav(tmp_path / "a.wav", bytes(range(256)) * 20, channels=channels)
    result = call(
        *("--uri", service.uri, *CREDENTIALS),
        *("--wav", wav, "--channel", channel, "--speed", "10", "--json"),
    )
    assert result.exit_code == 0
    assert bytes(service.sessions[0].audio) == expected


def test_what_is_asked_for_is_what_open_tells(service: Service, tmp_path: Path) -> None:
    (tmp_path / "custom.json").write_text('{"tenant": "blue"}', encoding="utf-8")
    ids = ("5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001", "c0ffee00-1111-4222-8333-444455556666")
    result = call(
        *("--uri", service.uri, "--tone", ".5", "--speed", "10", "--language", "de-DE"),
        *("--custom-config", f"@{tmp_path / 'custom.json'}"),
        *("--organization-id", ids[0], "--conversation-id", ids[1]),
        env={"OPENAUDIOHOOK_API_KEY": KEY, "OPENAUDIOHOOK_CLIENT_SECRET": SECRET_TEXT},
    )
    assert result.exit_code == 0
    (opened,) = service.sessions[0].seen(OpenRequested)
    assert isinstance(opened, OpenRequested)
    parameters = opened.parameters
    assert (parameters.organization_id, parameters.conversation_id) == ids
    assert (parameters.language, parameters.custom_config) == ("de-DE", {"tenant": "blue"})
    assert ids[1] in result.stdout


SCENARIO = """
[call]
ani = "tel:+15550100"
dnis = "tel:+18005550123"
language = "en-US"
[[step]]
at = 0.0
play = "caller.wav"
channel = "external"
[[step]]
at = 0.5
monitoring = true
[[step]]
at = 1.0
secure = "start"
[[step]]
at = 1.5
secure = "end"
"""


def test_a_scenario_runs_and_its_secure_span_stays_here(service: Service, tmp_path: Path) -> None:
    audio = b"i" * 4000 + b"a" * 4000 + b"\x2a" * 4000 + b"b" * 4000
    write_wav(tmp_path / "caller.wav", audio)
    (tmp_path / "call.toml").write_text(SCENARIO, encoding="utf-8")
    trace = tmp_path / "trace.jsonl"
    result = call(
        *("--uri", service.uri, *CREDENTIALS, "--channel", "external", "--language", "fr-CA"),
        *("--scenario", tmp_path / "call.toml", "--speed", "10", "--json", "--trace", trace),
    )
    assert result.exit_code == 0
    found = json.loads(result.stdout)
    assert (found["call_s"], found["monitored_from_s"]) == (1.5, 0.5)
    assert [(span["start_s"], span["end_s"]) for span in found["secure_spans"]] == [(0.5, 1.0)]
    assert found["endpoints"][0]["paused_s"]["secure"] == 0.5
    session = service.sessions[0]
    assert bytes(session.audio) == b"a" * 4000 + b"b" * 4000
    (opened,) = session.seen(OpenRequested)
    assert isinstance(opened, OpenRequested)
    assert opened.parameters.language == "fr-CA"
    assert opened.parameters.participant.ani == "tel:+15550100"
    lines = [json.loads(line) for line in trace.read_text(encoding="utf-8").splitlines()]
    assert lines[0]["payload"] is False
    assert {"open", "opened", "audio", "paused", "resumed", "close", "closed"} <= {
        line.get("type") for line in lines
    }
    assert "5550100" not in trace.read_text(encoding="utf-8")


@pytest.mark.parametrize(("options", "cut"), [((), 2000), (("--hold-back-ms", "0"), 4000)])
def test_a_secure_pause_takes_back_what_is_held_back(
    service: Service, tmp_path: Path, options: tuple[str, ...], cut: int
) -> None:
    write_wav(tmp_path / "caller.wav", b"a" * 2000 + b"*" * 2000 + b"b" * 4000)
    (tmp_path / "call.toml").write_text(
        "[call]\nhold_back_ms = 250\n"
        '[[step]]\nat = 0\nplay = "caller.wav"\n[[step]]\nat = 0\nmonitoring = true\n'
        '[[step]]\nat = 0.5\nsecure = "start"\n[[step]]\nat = 0.6\nsecure = "end"\n',
        encoding="utf-8",
    )
    result = call(
        *("--uri", service.uri, *CREDENTIALS, "--scenario", tmp_path / "call.toml"),
        *("--channel", "external", "--speed", "10", "--json", *options),
    )
    assert result.exit_code == 0
    (told,) = json.loads(result.stdout)["cuts"]
    assert (told["position_samples"], told["began_samples"]) == (cut, 4000)
    audio = bytes(service.sessions[0].audio)
    assert audio == (b"a" * 2000 + b"*" * 2000)[:cut] + b"b" * 3200


def test_a_call_that_is_never_monitored_says_so(service: Service, tmp_path: Path) -> None:
    write_wav(tmp_path / "caller.wav", bytes(800))
    quiet = '[[step]]\nat = 0\nplay = "caller.wav"\n'
    (tmp_path / "call.toml").write_text(quiet, encoding="utf-8")
    result = call("--uri", service.uri, *CREDENTIALS, "--scenario", tmp_path / "call.toml")
    assert result.exit_code == 0
    assert result.stdout == "monitoring was never switched on: nobody was connected\n"
    assert service.sessions == []


def test_each_endpoint_of_a_file_has_its_own_credentials(service: Service, tmp_path: Path) -> None:
    good = f'[[endpoint]]\nname = "good"\nuri = "{service.uri}"\napi_key = "{KEY}"\n'
    good += f'client_secret = "{SECRET_TEXT}"\nchannel = "internal"\n'
    bad = good.replace("good", "bad").replace(SECRET_TEXT, "AAAA")
    (tmp_path / "two.toml").write_text(good + bad, encoding="utf-8")
    result = call("--endpoints", tmp_path / "two.toml", "--tone", "1", "--speed", "10", "--json")
    assert result.exit_code == 1
    found = {one["name"]: one for one in json.loads(result.stdout)["endpoints"]}
    assert (found["good"]["state"], found["good"]["sent_samples"]) == ("completed", 8000)
    assert (found["bad"]["state"], found["bad"]["http_status"]) == ("failed", 401)
    assert found["bad"]["lost_samples"] == 8000
    assert len(service.sessions[0].audio) == 8000


def test_a_wrong_secret_ends_the_call_with_a_sentence_that_helps(service: Service) -> None:
    result = call(
        "--uri", service.uri, "--api-key", KEY, "--client-secret", "AAAA", "--tone", "3600"
    )
    assert result.exit_code == 1
    assert result.stdout.startswith("no endpoint opened, so nothing was sent, conversation ")
    assert result.stdout.count("\n") == 1
    assert result.stderr.startswith(f"endpoint-1 ({service.uri}): ")
    assert "401" in result.stderr
    assert "check the API key and the client secret" in result.stderr
    assert "AAAA" not in result.output


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--tone", 1], "give --uri"),
        (["--uri", "URI"], "exactly one of --wav, --tone and --scenario"),
        (["--uri", "URI", "--tone", 1, "--wav", "a"], "exactly one of --wav, --tone and"),
        (["--uri", "URI"] * 6 + ["--tone", 1], "at most 5 integrations"),
        (["--uri", "http://a/", "--tone", 1], "--uri http://a/: not a usable URI"),
        (["--uri", "wss://u:p4ss@a/", "--tone", 1], "--uri wss://...@a/: not a usable URI"),
        (["--uri", "ws://example.com/", "--tone", 1], "unencrypted beyond this machine"),
        (["--uri", "URI", "--tone", "x"], "'x' is not a number"),
        (["--uri", "URI", "--tone", "0"], "0 is too little"),
        (["--uri", "URI", "--tone", "0.0001"], "whole number of samples"),
        (["--uri", "URI", "--tone", 1, "--speed", "-1"], "'-1' is not a number"),
        (["--uri", "URI", "--tone", 1, "--speed", "nan"], "'nan' is not a number"),
        (["--uri", "URI", "--tone", 1, "--speed", "1001"], "at most 1000, not 1001"),
        (["--uri", "URI", "--tone", 1, "--frame-ms", 10], "20<=x<=200"),
        (["--uri", "URI", "--tone", 1, "--channel", "left"], "'left' is not one of"),
        (["--uri", "URI", "--tone", 1, "--language", "english!"], "a BCP 47 tag like en-US"),
        (["--uri", "URI", "--tone", 1, "--client-secret", "AAAA"], "give --api-key, too"),
        (["--uri", "URI", "--tone", 1, "--api-key", "a b"], "API key may hold"),
        (["--uri", "URI", "--tone", 1, "--api-key", "a", "--client-secret", "%"], "not base64"),
        (["--uri", "URI", "--tone", 1, "--custom-config", "["], "not JSON"),
        (["--uri", "URI", "--tone", 1, "--custom-config", "@none"], "@none: cannot be read"),
        (["--uri", "URI", "--tone", 1, "--custom-config", "@latin"], "@latin: not UTF-8"),
        (["--uri", "URI", "--tone", 1, "--conversation-id", "x"], "'x' is not a valid UUID"),
        (
            ["--uri", "URI", "--tone", 1, "--conversation-id", "0" * 32],
            "connection probe",
        ),
        (["--uri", "URI", "--wav", "none.wav"], "none.wav: cannot be read: No such file"),
        (["--uri", "URI", "--wav", "latin"], "latin: not a WAV file"),
        (["--uri", "URI", "--scenario", "none.toml"], "none.toml: cannot be read"),
        (["--uri", "URI", "--scenario", "ldm.toml"], "ldm.toml: [call]: edge: calls on edge"),
        (["--uri", "URI", "--tone", 1, "--trace", "none/t"], "none/t: cannot be written"),
        (["--uri", "URI", "--tone", 1, "--ca-file", "none"], "none cannot be read"),
        (["--endpoints", "none.toml", "--tone", 1], "none.toml: cannot be read"),
        (["--endpoints", "x", "--uri", "URI", "--tone", 1], "--uri is written in the file"),
        (["--endpoints", "x", "--channel", "both", "--tone", 1], "--channel is written in"),
        (["--endpoints", "x", "--reconnect", "--tone", 1], "--reconnect is written in the file"),
        (["--endpoints", "x", "--api-key", "k", "--tone", 1], "--api-key is written in the file"),
    ],
)
def test_what_cannot_be_used_is_refused_before_any_connection(
    service: Service,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[object],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("latin").write_bytes(b"\xe9\xe9")
    Path("ldm.toml").write_text('[call]\nedge = "ldm"\n[[step]]\nat = 1\nhangup = true\n')
    result = call(*(service.uri if argument == "URI" else argument for argument in arguments))
    assert result.exit_code == 2, result.output
    assert said in " ".join(result.stderr.split())
    assert result.stdout == ""
    assert "p4ss" not in result.output
    assert service.sessions == []


def test_a_path_that_is_not_there_is_named_as_such(service: Service) -> None:
    result = call("--uri", f"{service.uri}/x", *CREDENTIALS, "--tone", "3600")
    assert result.exit_code == 1
    assert f"endpoint-1 ({service.uri}/x): " in result.stderr
    assert "404: check the path of the URI" in result.stderr


def test_a_trace_on_a_full_disk_ends_and_the_call_goes_on(service: Service) -> None:
    result = call(
        *("--uri", service.uri, *CREDENTIALS, "--tone", "8", "--speed", "20"),
        *("--frame-ms", "20", "--trace", "/dev/full", "--json"),
    )
    assert result.exit_code == 0
    assert result.stderr == "--trace /dev/full: No space left on device; the trace ends here\n"
    assert json.loads(result.stdout)["endpoints"][0]["sent_s"] == 8.0


def test_a_file_that_is_gone_when_it_should_play_is_told(tmp_path: Path) -> None:
    late = write_wav(tmp_path / "late.wav", bytes(800))
    (tmp_path / "call.toml").write_text(
        '[[step]]\nat = 0\nmonitoring = true\n[[step]]\nat = 0.5\nplay = "late.wav"\n'
        "[[step]]\nat = 1\nhangup = true\n",
        encoding="utf-8",
    )

    def removing(session: Session, event: SessionEvent) -> None:
        if isinstance(event, OpenRequested):
            late.unlink()
        polite(session, event)

    with service_thread(removing) as service:
        result = call("--uri", service.uri, *CREDENTIALS, "--scenario", tmp_path / "call.toml")
    assert result.exit_code == 1
    assert result.stderr == (
        "the call: an audio file could not be opened: No such file or directory\n"
    )
    assert bytes(service.sessions[0].audio) == ulaw.silence(16_000)


def test_ctrl_c_closes_every_session_and_still_reports() -> None:
    interrupted: list[int] = []

    def interrupting(session: Session, event: SessionEvent) -> None:
        polite(session, event)
        if isinstance(event, AudioFrame) and len(session.audio) > 5000 and not interrupted:
            interrupted.append(1)
            os.kill(os.getpid(), signal.SIGINT)

    with service_thread(interrupting) as service:
        result = call("--uri", service.uri, *CREDENTIALS, "--tone", "3600", "--json")
    assert result.exit_code == 130
    assert result.stderr == "Hanging up; once more to drop the connections.\n"
    found = json.loads(result.stdout)
    assert found["endpoints"][0]["state"] == "completed"
    (closed,) = service.sessions[0].seen(CloseRequested)
    assert closed == CloseRequested(CloseReason.END, found["call_samples"])
    assert len(service.sessions[0].audio) == 2 * found["call_samples"]


def test_a_second_ctrl_c_waits_for_nobody() -> None:
    def stubborn(session: Session, event: SessionEvent) -> None:
        session.accept(event)
        if (isinstance(event, AudioFrame) and event.position == 0) or isinstance(
            event, CloseRequested
        ):
            os.kill(os.getpid(), signal.SIGINT)

    with service_thread(stubborn) as service:
        result = call("--uri", service.uri, *CREDENTIALS, "--tone", "3600", "--json")
    assert result.exit_code == 130
    assert result.stdout == ""


@pytest.mark.anyio
async def test_a_terminal_shows_a_bar_for_each_endpoint() -> None:
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=100)
    async with serving() as service:
        running = Monitor().start(
            single_play(Tone(samples=8000 * 600)), [service.config("one"), service.config("two")]
        )
        showing = asyncio.create_task(show(running, 8000 * 600, console))
        await until(lambda: "streaming" in screen.getvalue())
        running.hang_up()
        await running.finished()
        showing.cancel()
        await asyncio.wait([showing])
    assert "one" in screen.getvalue()
    assert "two" in screen.getvalue()


def test_help_names_every_option() -> None:
    result = call("--help")
    assert result.exit_code == 0
    for option in ("--uri", "--wav", "--tone", "--scenario", "--endpoints", "--trace", "--json"):
        assert option in result.stdout
