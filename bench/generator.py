"""The load generator: builds `loadgen.c`, runs it against a server, and watches the server."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from bench.processes import OTHER_CPU, ROOT, Program, Usage, running
from openaudiohook.auth import encode_nonce, upgrade_headers

__all__ = ["API_KEY", "SECRET", "Run", "build", "drive"]

API_KEY: Final = "bench"
SECRET: Final = bytes(range(32))

MOST_LATE_MS: Final = 20.0
MOST_ROUND_TRIP_MS: Final = 100.0
MOST_CPU: Final = 0.95

_SOURCE: Final = Path(__file__).with_name("loadgen.c")
_ORGANIZATION: Final = "d7934305-0972-4844-938e-9060eef73d05"  # as in loadgen.c
_OPENSSL_HEADER: Final = "openssl/ssl.h"


@cache
def build() -> tuple[Path, bool]:
    """Compile the generator where it is not fresh; return it, and whether it speaks TLS.

    Raises:
        SystemExit: there is no C compiler, or it does not take the source.
    """
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SystemExit(
            "no C compiler: the load generator bench/loadgen.c needs `cc` "
            "(on Debian: apt-get install gcc libc6-dev)"
        )
    probe = subprocess.run(
        [compiler, "-E", "-"], input=f"#include <{_OPENSSL_HEADER}>\n",
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    has_tls = probe.returncode == 0
    binary = ROOT / "build" / ("loadgen-tls" if has_tls else "loadgen")
    if not binary.exists() or binary.stat().st_mtime < _SOURCE.stat().st_mtime:
        binary.parent.mkdir(exist_ok=True)
        of_tls = (["-DWITH_TLS"], ["-lssl", "-lcrypto"]) if has_tls else ([], [])
        made = subprocess.run(
            [compiler, "-O2", "-Wall", "-Wextra", *of_tls[0], str(_SOURCE), "-o", str(binary),
             *of_tls[1]],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if made.returncode:
            raise SystemExit(f"the load generator does not compile:\n{made.stderr}")
    return binary, has_tls


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one run against a server showed; times are of the measured window.

    Attributes:
        streams: how many paced streams.
        us_per_frame: CPU time of the server for each frame.
        cpu: how much of one CPU the server used.
        other: how many CPUs neighbours used, who are neither server nor generator.
        late_ms: by how much the generator's own frames were late, at the 99th percentile.
        round_trip_ms: from `ping` to `pong`: median, 99th percentile, longest.
        setup_ms: from `open` to `opened`, likewise.
        kb_per_stream: memory the server took for each stream.
        floods: how many flooding connections.
        mb_per_flood: memory the server took for each of them at its most.
        flood_mb_per_s: what the floods got through.
        problems: what went wrong; such a run does not count.
        cpus: how many CPUs the server can keep busy.
    """

    streams: int
    us_per_frame: float
    cpu: float
    other: float
    late_ms: float
    round_trip_ms: tuple[float, float, float]
    setup_ms: tuple[float, float, float]
    kb_per_stream: float
    floods: int
    mb_per_flood: float
    flood_mb_per_s: float
    problems: str
    cpus: int = 1

    @property
    def counts(self) -> bool:
        """Whether the server held these streams, and the generator can tell."""
        return (
            not self.problems
            and self.late_ms < MOST_LATE_MS
            and self.round_trip_ms[1] < MOST_ROUND_TRIP_MS
            and self.cpu < MOST_CPU * self.cpus
        )

    def row(self, who: str) -> dict[str, Any]:
        """Return it as a row of the report."""
        row: dict[str, Any] = {
            "who": who,
            "streams": self.streams,
            "µs/frame": round(self.us_per_frame, 1),
            "CPU %": round(100 * self.cpu, 1),
            "others' CPU %": round(100 * self.other, 1),
            "late p99 ms": self.late_ms,
            "round trip p50 ms": self.round_trip_ms[0],
            "round trip p99 ms": self.round_trip_ms[1],
            "round trip max ms": self.round_trip_ms[2],
            "opened p99 ms": self.setup_ms[1],
            "KB/stream": round(self.kb_per_stream, 1),
        }
        if self.floods:
            row |= {
                "floods": self.floods,
                "MB/flood": round(self.mb_per_flood, 3),
                "flood MB/s": round(self.flood_mb_per_s, 1),
            }
        row["counts"] = "yes" if self.counts else self.problems or "no"
        return row


def drive(
    server: Program,
    uri: str,
    *,
    streams: int,
    rate: float,
    warmup_s: float,
    seconds: float,
    floods: int = 0,
) -> Run:
    """Drive a server with paced streams, and measure it while they all run."""
    binary, has_tls = build()
    parts = urlsplit(uri)
    if parts.scheme == "wss" and not has_tls:
        raise SystemExit("the generator has no TLS: OpenSSL's headers are needed (libssl-dev)")
    run_id = time.time_ns() & 0xFFFF_FFFF
    with tempfile.NamedTemporaryFile(prefix="bench-heads-") as heads:
        heads.write(_signed_heads(uri, run_id=run_id, count=streams + floods, rate=rate))
        heads.flush()
        command = [
            str(binary), "--host", str(parts.hostname), "--port", str(parts.port),
            "--path", parts.path, "--tls", str(int(parts.scheme == "wss")),
            "--streams", str(streams), "--floods", str(floods), "--rate", str(rate),
            "--warmup", str(warmup_s), "--seconds", str(seconds),
            "--run", f"{run_id:x}", "--heads", heads.name,
        ]  # fmt: skip
        before = server.usage()
        with running(command, cpu=OTHER_CPU) as generator:
            _expect(generator, "window")
            start, generator_start = server.usage(), generator.usage()
            server.reset_peak()
            _expect(generator, "end")
            stop, generator_stop = server.usage(), generator.usage()
            peak_bytes = server.peak_bytes()
            result = _expect(generator, "result")
    return _run(result, before, start, stop, generator_start, generator_stop, peak_bytes)


def _run(
    result: dict[str, Any],
    before: Usage,
    start: Usage,
    stop: Usage,
    generator_start: Usage,
    generator_stop: Usage,
    peak_bytes: int,
) -> Run:
    seconds = stop.at_s - start.at_s
    cpu_s = stop.cpu_s - start.cpu_s
    generator_s = generator_stop.cpu_s - generator_start.cpu_s
    streams, floods = result["streams"], result["floods"]
    expected = streams + floods
    problems = [
        f"{result[name]} {name}" for name in ("failed", "lost", "unfinished") if result[name]
    ]
    if result["opened"] != expected:
        problems.append(f"{result['opened']} of {expected} opened")
    return Run(
        streams=streams,
        us_per_frame=cpu_s / max(result["frames"], 1) * 1e6,
        cpu=cpu_s / seconds,
        other=max(stop.machine_s - start.machine_s - cpu_s - generator_s, 0) / seconds,
        late_ms=result["lateness"]["p99_ms"],
        round_trip_ms=_three(result["rtt"]),
        setup_ms=_three(result["setup"]),
        kb_per_stream=(stop.rss_bytes - before.rss_bytes) / streams / 1000,
        floods=floods,
        mb_per_flood=(peak_bytes - start.rss_bytes) / floods / 1e6 if floods else 0.0,
        flood_mb_per_s=result["flood_bytes"] / seconds / 1e6,
        problems=", ".join(problems),
    )


def _three(times: dict[str, float]) -> tuple[float, float, float]:
    return times["p50_ms"], times["p99_ms"], times["max_ms"]


def _expect(generator: Program, event: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(generator.line())
    if report["event"] != event:
        raise SystemExit(f"the generator said {report['event']} and not {event}")
    return report


def _signed_heads(uri: str, *, run_id: int, count: int, rate: float) -> bytes:
    """Make the upgrade requests, each signed for the second in which it will be sent."""
    parts = urlsplit(uri)
    now_s = int(time.time()) + 1
    heads = bytearray()
    for index in range(count):
        headers = upgrade_headers(
            uri,
            api_key=API_KEY,
            secret=SECRET,
            organization_id=_ORGANIZATION,
            session_id=f"{run_id:08x}-0000-4000-8000-{index:012x}",
            correlation_id=f"{run_id:08x}-0003-4000-8000-{index:012x}",
            nonce=encode_nonce(run_id.to_bytes(6, "big") + index.to_bytes(12, "big")),
            created=now_s + int(index / rate),
        )
        lines = [
            f"GET {parts.path} HTTP/1.1",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            *(f"{name}: {value}" for name, value in headers),
        ]
        heads += ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
    return bytes(heads)
