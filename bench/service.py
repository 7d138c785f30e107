"""The service with its recorder, as shipped, against the bare endpoint under the same load."""

from __future__ import annotations

import base64
import contextlib
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench.figures import Figure
from bench.generator import API_KEY, MOST_CPU, SECRET, Run, drive
from bench.processes import MEASURED_CPU, OTHER_CPU, Program, python, running
from bench.settings import Settings

__all__ = [
    "measure_flood",
    "measure_ladder",
    "measure_ladder_tls",
    "measure_service",
    "measure_service_tls",
    "measure_setup",
    "measure_setup_tls",
    "measure_workers",
]

OURS: Final = "service + recorder"
YARDSTICK: Final = "bare picows"
WHO: Final = (OURS, YARDSTICK)
WORKERS: Final = ("two workers", "one process")

_RAMP_A_SECOND: Final = 250.0
_RAMP_A_SECOND_TLS: Final = 100.0
_OPENS_A_SECOND: Final = 100.0
_MOST_FAILED_RUNGS: Final = 2


def measure_service(settings: Settings) -> list[Figure]:
    """CPU for each frame and memory for each stream, in clear."""
    return _cpu_and_memory(settings, is_tls=False)


def measure_service_tls(settings: Settings) -> list[Figure]:
    """CPU for each frame and memory for each stream, under TLS."""
    return _cpu_and_memory(settings, is_tls=True)


def _cpu_and_memory(settings: Settings, *, is_tls: bool) -> list[Figure]:
    pairs = _pairs(settings, streams=settings.streams, is_tls=is_tls)
    ours = [run for run, _ in pairs]
    bare = [run for _, run in pairs]
    suffix, under = ("-tls", " (TLS)") if is_tls else ("", "")
    rows = _rows(pairs)
    return [
        Figure(
            name=f"service{suffix}",
            title=f"Service with recorder, CPU per frame, {settings.streams:,} streams{under}",
            unit="µs",
            bound=None if is_tls else 1.5,
            is_ratio=True,
            ours=[run.us_per_frame for run in ours],
            yardstick=[run.us_per_frame for run in bare],
            runs=rows,
        ),
        Figure(
            name=f"memory{suffix}",
            title=f"Service with recorder, memory per stream{under}",
            unit="KB",
            bound=90 if is_tls else 45,
            ours=[run.kb_per_stream for run in ours],
            yardstick=[run.kb_per_stream for run in bare],
            runs=rows,
        ),
    ]


def measure_setup(settings: Settings) -> list[Figure]:
    """How long `opened` takes while calls begin, in clear."""
    return [_setup(settings, is_tls=False)]


def measure_setup_tls(settings: Settings) -> list[Figure]:
    """How long `opened` takes while calls begin, under TLS."""
    return [_setup(settings, is_tls=True)]


def _setup(settings: Settings, *, is_tls: bool) -> Figure:
    streams = min(settings.streams, 500)
    pairs = _pairs(settings, streams=streams, is_tls=is_tls, rate=_OPENS_A_SECOND)
    suffix, under = ("-tls", " (TLS)") if is_tls else ("", "")
    return Figure(
        name=f"setup{suffix}",
        title=f"`opened` after `open`, p99, at {_OPENS_A_SECOND:.0f} signed opens a second{under}",
        unit="ms",
        bound=None if is_tls else 20,
        ours=[run.setup_ms[1] for run, _ in pairs],
        yardstick=[run.setup_ms[1] for _, run in pairs],
        runs=_rows(pairs),
        note="The sessions that are open already send their audio meanwhile.",
    )


def measure_flood(settings: Settings) -> list[Figure]:
    """What 20 connections cost that send as fast as they can, beside 100 paced calls."""
    paced, floods = 100, 20
    runs = []
    for number in range(settings.pairs):
        with _server(OURS, is_tls=False) as (server, uri):
            run = drive(
                server, uri, streams=paced, floods=floods, rate=_RAMP_A_SECOND,
                warmup_s=settings.warmup_s, seconds=settings.seconds / 2,
            )  # fmt: skip
        settings.say(
            f"flood {number + 1}: {run.mb_per_flood:.3f} MB for each flooder, "
            f"paced calls' p99 {run.round_trip_ms[1]} ms"
        )
        runs.append(_whole(run, OURS))
    rows = [run.row(OURS) for run in runs]
    return [
        Figure(
            name="flood",
            title=f"Memory per flooding connection, {floods} of them beside {paced} paced calls",
            unit="MB",
            bound=0.3,
            ours=[run.mb_per_flood for run in runs],
            runs=rows,
            note="The most the process grew by, divided by the number of floods.",
        ),
        Figure(
            name="flood-latency",
            title="Round trip of the paced calls' pings meanwhile, p99",
            unit="ms",
            bound=100,
            ours=[run.round_trip_ms[1] for run in runs],
            runs=rows,
        ),
    ]


def measure_ladder(settings: Settings) -> list[Figure]:
    """The highest rung that counts, in clear."""
    return [_ladder(settings, is_tls=False)]


def measure_ladder_tls(settings: Settings) -> list[Figure]:
    """The highest rung that counts, under TLS."""
    return [_ladder(settings, is_tls=True)]


def _ladder(settings: Settings, *, is_tls: bool) -> Figure:
    """Climb with both in turns, and begin later climbs just below where the first one ended."""
    suffix, under = ("-tls", " (TLS)") if is_tls else ("", "")
    highest: dict[str, list[int]] = {who: [] for who in WHO}
    rows: list[dict[str, Any]] = []
    for climb in range(settings.pairs):
        for who in _in_turns(climb):
            best = highest[who][-1] if highest[who] else 0
            at = settings.rungs.index(best) if best else 0
            top, climbed = _climb(settings, who, settings.rungs[max(at - 1, 0) :], is_tls=is_tls)
            highest[who].append(top)
            rows += [{"climb": climb + 1, **row} for row in climbed]
    return Figure(
        name=f"ladder{suffix}",
        title=f"Highest rung of recorded streams on one core{under}",
        unit="streams",
        bound=None if is_tls else 0.6,
        at_least=True,
        is_ratio=True,
        ours=highest[OURS],
        yardstick=highest[YARDSTICK],
        runs=rows,
        note=(
            "A rung counts while the generator's own lateness p99 is under 20 ms, the round trip "
            f"p99 under 100 ms, the server under {MOST_CPU:.0%} of its CPU, and no session lost."
        ),
    )


def measure_workers(settings: Settings) -> list[Figure]:
    """What a second worker adds where the clients share the two cores."""
    tops: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for who in WORKERS:
        tops[who], climbed = _climb(settings, who, settings.rungs, is_tls=False)
        rows += climbed
    ours, one = (tops[who] for who in WORKERS)
    return [
        Figure(
            name="workers",
            title="Highest rung of recorded streams, two workers beside one process",
            unit="streams",
            is_ratio=True,
            at_least=True,
            ours=[ours],
            yardstick=[one],
            runs=rows,
            note="Both may use both cores, and so may the generator: a second worker gets what "
            "the clients leave of the second core.",
        )
    ]


def _climb(
    settings: Settings, who: str, rungs: tuple[int, ...], *, is_tls: bool
) -> tuple[int, list[dict[str, Any]]]:
    top, failed, rows = 0, 0, []
    for streams in rungs:
        run = _run(settings, who, streams=streams, is_tls=is_tls)
        rows.append(run.row(who))
        if run.counts:
            top, failed = streams, 0
        else:
            failed += 1
            if failed == _MOST_FAILED_RUNGS:
                break
    return top, rows


# ---------------------------------------------------------------------------------------------


def _in_turns(number: int) -> tuple[str, str]:
    """Whoever goes first has the cooler machine: take turns."""
    return WHO if number % 2 == 0 else (YARDSTICK, OURS)


def _pairs(
    settings: Settings, *, streams: int, is_tls: bool, rate: float | None = None
) -> list[tuple[Run, Run]]:
    pairs = []
    for number in range(settings.pairs):
        runs = {
            who: _whole(_run(settings, who, streams=streams, is_tls=is_tls, rate=rate), who)
            for who in _in_turns(number)
        }
        pairs.append((runs[OURS], runs[YARDSTICK]))
    return pairs


def _whole(run: Run, who: str) -> Run:
    """Return the run, for nothing can be said about one in which sessions were lost.

    Raises:
        SystemExit: some were.
    """
    if run.problems:
        raise SystemExit(f"{who}, {run.streams} streams: {run.problems}; nothing was measured")
    return run


def _rows(pairs: list[tuple[Run, Run]]) -> list[dict[str, Any]]:
    return [run.row(who) for pair in pairs for who, run in zip(WHO, pair, strict=True)]


def _run(
    settings: Settings, who: str, *, streams: int, is_tls: bool, rate: float | None = None
) -> Run:
    with _server(who, is_tls=is_tls) as (server, uri):
        run = drive(
            server,
            uri,
            streams=streams,
            rate=rate or (_RAMP_A_SECOND_TLS if is_tls else _RAMP_A_SECOND),
            warmup_s=settings.warmup_s,
            seconds=settings.seconds,
        )
    run = replace(run, cpus=2 if who == WORKERS[0] else 1)
    settings.say(
        f"{who}{', TLS' if is_tls else ''}, {streams} streams: {run.us_per_frame:.1f} µs/frame, "
        f"CPU {run.cpu:.0%}, others {run.other:.0%}, round trip p99 {run.round_trip_ms[1]} ms, "
        f"late p99 {run.late_ms} ms{': ' + run.problems if run.problems else ''}"
    )
    return run


@contextlib.contextmanager
def _server(who: str, *, is_tls: bool) -> Iterator[tuple[Program, str]]:
    """Start a server that nobody has used yet, and yield it with its URI."""
    with tempfile.TemporaryDirectory(prefix="bench-tls-") as directory:
        pem = _certificate(Path(directory)) if is_tls else ()
        if who == YARDSTICK:
            command, environment = python("bench.endpoint", *map(str, pem)), {}
        else:
            command = python("openaudiohook", "serve", "--port", "0", "--recordings", "recordings")
            if who == WORKERS[0]:
                command += ["--workers", "2"]
            if pem:
                command += ["--tls-cert", str(pem[0]), "--tls-key", str(pem[1])]
            environment = {
                "OPENAUDIOHOOK_API_KEY": API_KEY,
                "OPENAUDIOHOOK_CLIENT_SECRET": base64.b64encode(SECRET).decode("ascii"),
            }
        cpus = (MEASURED_CPU, OTHER_CPU) if who in WORKERS else (MEASURED_CPU,)
        with running(command, cpu=cpus, environment=environment) as server:
            line = server.line()
            _, _, uri = line.partition("listening on ")
            if not uri:
                raise SystemExit(f"{who} said {line!r}")
            yield server, uri


def _certificate(directory: Path) -> tuple[Path, Path]:
    import trustme

    authority = trustme.CA()
    issued = authority.issue_cert("localhost", "127.0.0.1")
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    for blob in issued.cert_chain_pems:
        blob.write_to_path(certificate, append=True)
    issued.private_key_pem.write_to_path(key)
    return certificate, key
