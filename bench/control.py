"""A whole Monitor with calls, left alone and beside requests to its control interface."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from bench import fanout
from bench.control_monitor import PAUSE_S
from bench.control_traffic import REQUESTS_PER_S
from bench.figures import Figure
from bench.generator import MOST_CPU
from bench.processes import MEASURED_CPU, OTHER_CPU, Program, python, running
from bench.settings import Settings

__all__ = ["CALLS", "measure_control"]

CALLS: Final = 50
_LEFT_ALONE: Final = "left alone"
_BESIDE: Final = "beside requests"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlRun:
    """What one run showed; of each pair the first is left alone, the second beside requests.

    Attributes:
        us_per_frame: CPU time for each frame sent, everything the program does included.
        cpu: how much of one CPU it used.
        latency_ms: from frame complete to written: median, 99th percentile, longest.
        stall_ms: the longest time the event loop did not get to what was due.
        requests: how many were answered in a second.
        answer_ms: how long an answer took: median, 99th percentile, longest.
        longest: which request took longest.
        other_cpu: how much of the other CPU endpoints and clients used.
        problems: what went wrong; such a run does not count.
    """

    us_per_frame: tuple[float, float]
    cpu: tuple[float, float]
    latency_ms: tuple[list[float], list[float]]
    stall_ms: tuple[float, float]
    requests: float
    answer_ms: list[float]
    longest: str
    other_cpu: float
    problems: str

    @property
    def ms_per_request(self) -> float:
        """CPU time that a request cost."""
        return (self.cpu[1] - self.cpu[0]) / self.requests * 1e3 if self.requests else 0.0

    def rows(self) -> list[dict[str, Any]]:
        """Return it as two rows of the report."""
        return [
            {
                "who": who,
                "calls": CALLS,
                "µs/frame": round(self.us_per_frame[which], 1),
                "CPU %": round(100 * self.cpu[which], 1),
                "latency p50 ms": round(self.latency_ms[which][0], 2),
                "latency p99 ms": round(self.latency_ms[which][1], 2),
                "latency max ms": round(self.latency_ms[which][2], 2),
                "stall ms": round(self.stall_ms[which], 2),
                "requests/s": round(self.requests, 1) if which else "",
                "answer p50 ms": round(self.answer_ms[0], 2) if which else "",
                "answer p99 ms": round(self.answer_ms[1], 2) if which else "",
                "answer max ms": round(self.answer_ms[2], 2) if which else "",
                "CPU ms/request": round(self.ms_per_request, 2) if which else "",
                "counts": self.problems or "yes",
            }
            for which, who in enumerate((_LEFT_ALONE, _BESIDE))
        ]


def measure_control(settings: Settings) -> list[Figure]:
    """Latency and CPU of the calls, and how soon requests are answered."""
    runs, bare = [], []
    for _ in range(settings.pairs):
        runs.append(_run(settings))
        bare.append(fanout._run(settings, fanout.YARDSTICK, CALLS))
    rows = [row for run in runs for row in run.rows()]
    load = f"{CALLS} calls x {fanout.ENDPOINTS} integrations"
    return [
        Figure(
            name="control-answers",
            title=f"Control interface, request to answer, p99, {load}",
            unit="ms",
            bound=100,
            ours=[run.answer_ms[1] for run in runs],
            runs=rows,
            note=(
                f"About {REQUESTS_PER_S} requests a second: lists, states, usage, events, audit, "
                "and secure pauses, which are on disk before they are answered."
            ),
        ),
        Figure(
            name="control-latency",
            title=f"Frame complete to written, p99, {load}, beside requests",
            unit="ms",
            bound=20,
            ours=[run.latency_ms[1][1] for run in runs],
            yardstick=[run.latency_ms[0][1] for run in runs],
            runs=rows,
            note="The yardstick is the same Monitor left alone.",
        ),
        Figure(
            name="control-stall",
            title=f"Longest stall of the event loop, {load}, beside requests",
            unit="ms",
            bound=20,
            ours=[run.stall_ms[1] for run in runs],
            yardstick=[run.stall_ms[0] for run in runs],
            runs=rows,
        ),
        Figure(
            name="control-cpu",
            title=f"A whole Monitor, CPU per frame sent, {load}, left alone",
            unit="µs",
            bound=1.4,
            is_ratio=True,
            ours=[run.us_per_frame[0] for run in runs],
            yardstick=[run.us_per_frame for run in bare],
            runs=rows,
            note=(
                "Journal, checkpoints of positions and an idle control interface included. The "
                "yardstick is the bare send loop, as for the fan-out alone."
            ),
        ),
        Figure(
            name="control-request",
            title="CPU of the Monitor for one request",
            unit="ms",
            ours=[run.ms_per_request for run in runs],
            runs=rows,
        ),
    ]


def _run(settings: Settings) -> ControlRun:
    """Run a Monitor on one CPU; its endpoints and clients share the other."""
    timing = [str(settings.seconds), str(settings.warmup_s)]
    # The Monitor measures CPU, then lateness, left alone; then both again beside requests.
    quiet_s = settings.warmup_s + 2 * settings.seconds + PAUSE_S / 2
    asking_s = 2 * settings.seconds + PAUSE_S
    with running(python("bench.endpoint"), cpu=OTHER_CPU) as endpoint:
        uri = endpoint.line().removeprefix("listening on ") + "api/v1/audiohook/ws"
        ours = python("bench.control_monitor", str(CALLS), *timing, str(fanout.ENDPOINTS))
        with running(ours, cpu=MEASURED_CPU) as monitor:
            base = _expect(monitor, "listening")["uri"]
            asking = [base, str(CALLS), str(quiet_s), str(asking_s), *[uri] * fanout.ENDPOINTS]
            with running(python("bench.control_traffic", *asking), cpu=OTHER_CPU) as traffic:
                _expect(traffic, "streaming")
                windows = []
                for _ in (_LEFT_ALONE, _BESIDE):
                    _expect(monitor, "window")
                    start = endpoint.usage(), traffic.usage()
                    _expect(monitor, "end")
                    stop = endpoint.usage(), traffic.usage()
                    windows.append(_expect(monitor, "result"))
                answers = _expect(traffic, "answers")
            discarded = _expect(monitor, "account")["discarded"]
    used_s = sum(after.cpu_s - before.cpu_s for before, after in zip(start, stop, strict=True))
    return _judged(settings, windows, answers, discarded, used_s / settings.seconds)


def _judged(
    settings: Settings,
    windows: list[dict[str, Any]],
    answers: dict[str, Any],
    discarded: int,
    other_cpu: float,
) -> ControlRun:
    alone, beside = windows
    expected = CALLS * fanout.ENDPOINTS * 10 * alone["seconds"]
    problems = []
    if abs(alone["frames"] - expected) > 0.02 * expected:
        problems.append(f"{alone['frames']} frames instead of {expected:.0f}")
    if beside["frames"] < 0.5 * expected:
        problems.append(f"{beside['frames']} frames beside requests")
    if discarded:
        problems.append(f"{discarded} samples discarded")
    if other_cpu >= MOST_CPU:
        problems.append("endpoints and clients had no CPU left")
    run = ControlRun(
        us_per_frame=tuple(one["cpu_s"] / max(one["frames"], 1) * 1e6 for one in windows),  # type: ignore[arg-type]
        cpu=(alone["cpu_s"] / alone["seconds"], beside["cpu_s"] / beside["seconds"]),
        latency_ms=(alone["latency_ms"], beside["latency_ms"]),
        stall_ms=(alone["stall_ms"], beside["stall_ms"]),
        requests=answers["requests"] / answers["seconds"],
        answer_ms=answers["answer_ms"],
        longest=answers["longest"],
        other_cpu=other_cpu,
        problems=", ".join(problems),
    )
    settings.say(
        f"{CALLS} calls x {fanout.ENDPOINTS}: {run.us_per_frame[0]:.1f} µs/frame, "
        f"CPU {run.cpu[0]:.0%}, latency p99 {run.latency_ms[0][1]:.1f} ms; "
        f"beside {run.requests:.0f} requests/s: CPU {run.cpu[1]:.0%}, "
        f"latency p99 {run.latency_ms[1][1]:.1f} ms, stall {run.stall_ms[1]:.1f} ms, "
        f"answers p99 {run.answer_ms[1]:.1f} ms, longest {run.answer_ms[2]:.1f} ms "
        f"({run.longest}), other CPU {run.other_cpu:.0%}"
        f"{': ' + run.problems if run.problems else ''}"
    )
    return run


def _expect(program: Program, event: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(program.line())
    if report["event"] != event:
        raise SystemExit(f"a program said {report['event']} and not {event}")
    return report
