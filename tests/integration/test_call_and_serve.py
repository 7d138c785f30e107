"""Both programs, as their users run them: `call` streams to `serve`, which records."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import pty
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openaudiohook.audio import ulaw
from openaudiohook.audio.wav_reader import WavReader

pytestmark = pytest.mark.integration

KEY = "integration-key"
SECRET = base64.b64encode(b"the secret of both programs").decode()
CREDENTIALS = ("--api-key", KEY, "--client-secret", SECRET)
PROGRAM = (sys.executable, "-m", "openaudiohook")
ENVIRONMENT = {name: value for name, value in os.environ.items() if "OPENAUDIOHOOK" not in name}
PCM, MULAW = 1, 7
EXAMPLES = Path(__file__).resolve().parent.parent.parent / "examples"


class Serving:
    """A running `openaudiohook serve`.

    Attributes:
        uri: where it listens, as it printed it.
        recordings: its directory.
    """

    def __init__(self, uri: str, recordings: Path) -> None:
        self.uri = uri
        self.recordings = recordings

    def recorded(self, conversation_id: str) -> list[tuple[dict[str, Any], WavReader, list[bytes]]]:
        """Sidecar, file and the audio of each channel of a conversation's recordings."""
        found = []
        for path in sorted((self.recordings / conversation_id).glob("*.json")):
            sidecar = json.loads(path.read_text(encoding="utf-8"))
            with path.with_suffix(".wav").open("rb") as file:
                reader = WavReader(file, name=path.name)
                found.append((sidecar, reader, list(reader.read(reader.info.samples))))
        return found


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    recordings = tmp_path_factory.mktemp("recordings")
    command = [*PROGRAM, "serve", "--port", "0", *CREDENTIALS, "--recordings", str(recordings)]
    with subprocess.Popen(
        command,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on ws://127.0.0.1:"), line
            yield Serving(line.removeprefix("listening on ").strip(), recordings)
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(timeout=30) == 0


def call(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*PROGRAM, "call", *map(str, arguments)],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def report_of(*arguments: object) -> dict[str, Any]:
    done = call(*arguments, *CREDENTIALS, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def write_wav(path: Path, data: bytes, *, channels: int, tag: int) -> Path:
    width = channels * (2 if tag == PCM else 1)
    form = struct.pack("<HHIIHH", tag, channels, 8000, 8000 * width, width, 8 * width // channels)
    chunks = b"WAVEfmt " + struct.pack("<I", len(form)) + form + b"data"
    chunks += struct.pack("<I", len(data)) + data
    path.write_bytes(b"RIFF" + struct.pack("<I", len(chunks)) + chunks)
    return path


def noise(samples: int, channels: int) -> np.ndarray:
    return np.random.default_rng(11).integers(-32768, 32767, (samples, channels), dtype=np.int16)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("tag", [MULAW, PCM])
def test_the_recording_holds_the_files_audio_byte_for_byte(
    serving: Serving, tmp_path: Path, channels: int, tag: int
) -> None:
    linear = noise(36_123, channels)
    mulaw = ulaw.encode(linear)
    data = mulaw if tag == MULAW else linear.tobytes()
    wav = write_wav(tmp_path / "a.wav", data, channels=channels, tag=tag)
    report = report_of("--uri", serving.uri, "--wav", wav, "--speed", 5)
    ((sidecar, reader, recorded),) = serving.recorded(report["conversation_id"])
    expected = [mulaw[::2], mulaw[1::2]] if channels == 2 else [mulaw, ulaw.silence(36_123)]
    assert recorded == expected
    assert (reader.info.format_tag, reader.info.channels) == (MULAW, 2)
    (endpoint,) = report["endpoints"]
    assert endpoint["sent_samples"] == sidecar["samples"] == report["call_samples"] == 36_123
    assert endpoint["sent_sha256"] == sidecar["sha256"]
    assert sidecar["gaps"] == []


def test_a_mono_session_gives_a_mono_file(serving: Serving, tmp_path: Path) -> None:
    data = ulaw.encode(noise(8000, 1))
    wav = write_wav(tmp_path / "a.wav", data, channels=1, tag=MULAW)
    report = report_of("--uri", serving.uri, "--wav", wav, "--channel", "external", "--speed", 5)
    ((_, _, recorded),) = serving.recorded(report["conversation_id"])
    assert recorded == [data]


def test_five_endpoints_record_the_same_and_a_sixth_is_refused(serving: Serving) -> None:
    report = report_of(*["--uri", serving.uri] * 5, "--tone", 3, "--speed", 4)
    recordings = serving.recorded(report["conversation_id"])
    assert len(recordings) == 5
    hashes = {sidecar["sha256"] for sidecar, _, _ in recordings}
    assert hashes == {endpoint["sent_sha256"] for endpoint in report["endpoints"]}
    assert len(hashes) == 1
    assert {hashlib.sha256(_interleaved(audio)).hexdigest() for _, _, audio in recordings} == hashes
    refused = call(*["--uri", serving.uri] * 6, *CREDENTIALS, "--tone", 3)
    assert refused.returncode == 2
    assert "at most 5 integrations" in refused.stderr
    assert refused.stdout == ""


def _interleaved(channels: list[bytes]) -> bytes:
    stereo = bytearray(2 * len(channels[0]))
    stereo[::2], stereo[1::2] = channels
    return bytes(stereo)


def test_a_wrong_secret_is_refused_with_a_sentence_that_helps(serving: Serving) -> None:
    wrong = base64.b64encode(b"another secret").decode()
    done = call(
        "--uri", serving.uri, "--api-key", KEY, "--client-secret", wrong, "--tone", 60, "--json"
    )
    assert done.returncode == 1
    (endpoint,) = json.loads(done.stdout)["endpoints"]
    assert (endpoint["state"], endpoint["http_status"]) == ("failed", 401)
    assert "check the API key and the client secret" in done.stderr
    assert wrong not in done.stdout + done.stderr


SCENARIO = """
[[step]]
at = 0.0
play = "customer.wav"
channel = "external"
[[step]]
at = 0.0
play = "agent.wav"
channel = "internal"
[[step]]
at = 1.0
monitoring = true
by = "queue"
[[step]]
at = 2.0
secure = "start"
[[step]]
at = 3.25
secure = "end"
[[step]]
at = 4.0
client_pause = "start"
[[step]]
at = 4.5
client_pause = "end"
[[step]]
at = 5.0
language = "fr-CA"
"""


def test_a_marker_of_the_secure_span_is_in_no_recording_and_no_trace(
    serving: Serving, tmp_path: Path
) -> None:
    marker = b"4111111111111111"
    for name in ("customer", "agent"):
        letter = name[:1].encode()
        audio = bytearray(letter * 48_000)
        audio[16_000:26_000] = marker * 625
        write_wav(tmp_path / f"{name}.wav", bytes(audio), channels=1, tag=MULAW)
    (tmp_path / "call.toml").write_text(SCENARIO, encoding="utf-8")
    trace = tmp_path / "trace.jsonl"
    report = report_of(
        *["--uri", serving.uri] * 2, "--scenario", tmp_path / "call.toml",
        "--speed", 4, "--trace", trace,
    )  # fmt: skip
    assert (report["monitored_from_s"], report["call_s"]) == (1.0, 5.0)
    assert [(span["start_s"], span["end_s"]) for span in report["secure_spans"]] == [(1.0, 2.25)]
    pauses = [(8000, 18_000), (24_000, 28_000)]
    expected = []
    for letter in (b"c", b"a"):
        audio = bytearray(letter * 40_000)
        for start, end in pauses:
            audio[start:end] = ulaw.silence(end - start)
        expected.append(bytes(audio))
    for sidecar, _, recorded in serving.recorded(report["conversation_id"]):
        assert recorded == expected
        spans = [(gap["start_s"], gap["duration_s"]) for gap in sidecar["gaps"]]
        assert spans == [(1.0, 1.25), (3.0, 0.5)]
    for endpoint in report["endpoints"]:
        assert endpoint["paused_s"] == {"secure": 1.25, "client": 0.5, "server": 0, "union": 1.75}
        assert endpoint["sent_samples"] == 40_000 - 14_000
        free = endpoint["call_samples"] - endpoint["open_samples"] - 14_000
        assert endpoint["chargeable_samples"] == free
    files = [path for path in serving.recordings.rglob("*") if path.is_file()]
    assert all(marker not in path.read_bytes() for path in [*files, trace])


def test_a_terminal_gets_bars_and_stdout_stays_one_object(serving: Serving) -> None:
    terminal, screen = pty.openpty()
    drawn = bytearray()

    def read() -> None:
        with contextlib.suppress(OSError):  # the other side is closed
            while data := os.read(terminal, 4096):
                drawn.extend(data)

    reader = threading.Thread(target=read)
    reader.start()
    try:
        done = subprocess.run(
            [*PROGRAM, "call", "--uri", serving.uri, *CREDENTIALS, "--tone", "4", "--speed", "4",
             "--json"],
            env={**ENVIRONMENT, "TERM": "xterm"}, stdout=subprocess.PIPE, stderr=screen,
            timeout=60, check=True,
        )  # fmt: skip
    finally:
        os.close(screen)
        reader.join(timeout=10)
        os.close(terminal)
    assert json.loads(done.stdout)["call_s"] == 4.0
    assert b"endpoint-1" in drawn
    assert b"streaming" in drawn


def test_ctrl_c_closes_in_good_order_and_ends_with_130(serving: Serving, tmp_path: Path) -> None:
    trace = tmp_path / "trace.jsonl"
    before = set(serving.recordings.iterdir())
    give_up_at = time.monotonic() + 30
    with subprocess.Popen(
        [*PROGRAM, "call", "--uri", serving.uri, *CREDENTIALS, "--tone", "600", "--json",
         "--speed", "50", "--trace", str(trace)],
        env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        while not any(
            wav.stat().st_size > 10_000
            for new in set(serving.recordings.iterdir()) - before
            for wav in new.glob("*.wav")
        ):
            assert process.poll() is None
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130
    assert stderr.startswith("Hanging up")
    report = json.loads(stdout)
    ((sidecar, _, _),) = serving.recorded(report["conversation_id"])
    assert sidecar["samples"] == report["call_samples"]
    assert report["endpoints"][0]["state"] == "completed"
    assert '"type":"closed"' in trace.read_text(encoding="utf-8")


def example(
    name: str, *arguments: object, secret: str = SECRET
) -> subprocess.CompletedProcess[str]:
    credentials = {"OPENAUDIOHOOK_API_KEY": KEY, "OPENAUDIOHOOK_CLIENT_SECRET": secret}
    return subprocess.run(
        [sys.executable, EXAMPLES / name, *map(str, arguments)],
        env=ENVIRONMENT | credentials,
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_the_example_that_forks_a_wav_says_what_became_of_it(
    serving: Serving, tmp_path: Path
) -> None:
    wav = write_wav(tmp_path / "a.wav", bytes(8000), channels=1, tag=MULAW)
    done = example("fork_a_wav.py", wav, serving.uri)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("recorder: completed, 8000 of 8000 samples sent\ncharged: ")
    failed = example("fork_a_wav.py", wav, serving.uri, secret="AAAA")
    assert failed.returncode == 1
    assert "failed: 127.0.0.1 refused the connection with HTTP 401" in failed.stderr


def test_the_example_with_five_endpoints_gives_all_the_same(serving: Serving) -> None:
    done = example("five_endpoints.py", serving.uri)
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if "completed" in line]
    assert len(lines) == 5
    assert all("sent 16000, paused 8000" in line for line in lines)
    assert len({line.rpartition(" ")[2] for line in lines}) == 1
    assert done.stdout.count("round trip") >= 5
