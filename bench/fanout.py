"""The Monitor with five endpoints a call, against bare loops that send the same frames.

One of them sends nothing else, and is what the budget is held to; the other carries the
protocol's pings and their answers as well, so that both ends see the same traffic as with ours.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Final

from bench.figures import Figure
from bench.generator import MOST_CPU
from bench.processes import MEASURED_CPU, OTHER_CPU, Program, python, running
from bench.settings import Settings

__all__ = ["measure_fanout", "measure_fanout_ladder"]

OURS: Final = "monitor"
YARDSTICK: Final = "bare send loop"
PINGING: Final = "bare send loop that pings"
WHO: Final = (OURS, YARDSTICK)

ENDPOINTS: Final = 5
_MOST_LATE_MS: Final = 20.0
_MODULES: Final = {
    OURS: ("bench.monitor_calls",),
    YARDSTICK: ("bench.send_loop",),
    PINGING: ("bench.send_loop", "--pings"),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SendRun:
    """What one run showed.

    Attributes:
        calls: how many calls, five endpoints each.
        us_per_frame: CPU time of the sender for each frame it sent.
        cpu: how much of one CPU it used.
        endpoint_cpu: how much of the other CPU the endpoints used.
        other: how many CPUs neighbours used.
        latency_ms: from frame complete to written: median, 99th percentile, longest.
        stall_ms: the longest time the event loop did not get to what was due.
        problems: what went wrong; such a run does not count.
    """

    calls: int
    us_per_frame: float
    cpu: float
    endpoint_cpu: float
    other: float
    latency_ms: tuple[float, float, float]
    stall_ms: float
    problems: str

    @property
    def counts(self) -> bool:
        """Whether the sender kept up, and the endpoints can tell."""
        return (
            not self.problems
            and self.latency_ms[1] <= _MOST_LATE_MS
            and self.cpu < MOST_CPU
            and self.endpoint_cpu < MOST_CPU
        )

    def row(self, who: str) -> dict[str, Any]:
        """Return it as a row of the report."""
        return {
            "who": who,
            "calls": self.calls,
            "µs/frame": round(self.us_per_frame, 1),
            "CPU %": round(100 * self.cpu, 1),
            "endpoints' CPU %": round(100 * self.endpoint_cpu, 1),
            "others' CPU %": round(100 * self.other, 1),
            "latency p50 ms": round(self.latency_ms[0], 2),
            "latency p99 ms": round(self.latency_ms[1], 2),
            "latency max ms": round(self.latency_ms[2], 2),
            "stall ms": round(self.stall_ms, 2),
            "counts": "yes" if self.counts else self.problems or "no",
        }


def measure_fanout(settings: Settings) -> list[Figure]:
    """CPU, latency and stalls at one load."""
    pairs: list[dict[str, SendRun]] = []
    for number in range(settings.pairs):
        # Ours between the two yardsticks, which change sides: it is next to both.
        turns = (YARDSTICK, OURS, PINGING) if number % 2 == 0 else (PINGING, OURS, YARDSTICK)
        pairs.append({who: _run(settings, who, settings.calls) for who in turns})
    rows = [pair[who].row(who) for pair in pairs for who in (*WHO, PINGING)]
    load = f"{settings.calls} calls x {ENDPOINTS} endpoints"
    return [
        Figure(
            name="fanout",
            title=f"Monitor, CPU per frame sent, {load}",
            unit="µs",
            bound=1.4,
            is_ratio=True,
            ours=[pair[OURS].us_per_frame for pair in pairs],
            yardstick=[pair[YARDSTICK].us_per_frame for pair in pairs],
            runs=rows,
            note="Ours makes the audio it sends; the yardstick sends one frame again and again.",
        ),
        Figure(
            name="fanout-pings",
            title=f"The same, against a loop that also pings and reads the answers, {load}",
            unit="µs",
            is_ratio=True,
            ours=[pair[OURS].us_per_frame for pair in pairs],
            yardstick=[pair[PINGING].us_per_frame for pair in pairs],
            note="Here the traffic on both sides is the same, message for message.",
        ),
        Figure(
            name="fanout-latency",
            title=f"Frame complete to written to its socket, p99, {load} on one core",
            unit="ms",
            bound=20,
            ours=[pair[OURS].latency_ms[1] for pair in pairs],
            yardstick=[pair[YARDSTICK].latency_ms[1] for pair in pairs],
            runs=rows,
            note=(
                "Ours counts the wait for the media clock, up to 10 ms; the yardstick's frames "
                "are complete on its own ticks."
            ),
        ),
        Figure(
            name="fanout-stall",
            title=f"Longest stall of the event loop, {load}",
            unit="ms",
            bound=20,
            ours=[pair[OURS].stall_ms for pair in pairs],
            yardstick=[pair[YARDSTICK].stall_ms for pair in pairs],
            runs=rows,
        ),
    ]


def measure_fanout_ladder(settings: Settings) -> list[Figure]:
    """The highest rung of calls that counts."""
    highest: dict[str, list[int]] = {who: [] for who in WHO}
    rows: list[dict[str, Any]] = []
    for climb in range(settings.pairs):
        for who in WHO if climb % 2 == 0 else (YARDSTICK, OURS):
            best = highest[who][-1] if highest[who] else 0
            at = settings.call_rungs.index(best) if best else 0
            top = 0
            for calls in settings.call_rungs[max(at - 1, 0) :]:
                run = _run(settings, who, calls)
                rows.append({"climb": climb + 1, **run.row(who)})
                if not run.counts:
                    break
                top = calls
            highest[who].append(top)
    return [
        Figure(
            name="fanout-ladder",
            title=f"Highest rung of calls x {ENDPOINTS} endpoints on one core",
            unit="calls",
            at_least=True,
            is_ratio=True,
            ours=highest[OURS],
            yardstick=highest[YARDSTICK],
            runs=rows,
            note=(
                f"A rung counts while its latency p99 is at most {_MOST_LATE_MS:.0f} ms and "
                f"sender and endpoints are under {MOST_CPU:.0%} of a CPU each."
            ),
        )
    ]


def _run(settings: Settings, who: str, calls: int) -> SendRun:
    """Run a sender on one CPU; its endpoints, which only swallow, share the other."""
    with running(python("bench.endpoint"), cpu=OTHER_CPU) as endpoint:
        uri = endpoint.line().removeprefix("listening on ") + "api/v1/audiohook/ws"
        arguments = [str(calls), str(settings.seconds), str(settings.warmup_s), *[uri] * ENDPOINTS]
        with running(python(*_MODULES[who], *arguments), cpu=MEASURED_CPU) as sender:
            _expect(sender, "window")
            start, endpoint_start = sender.usage(), endpoint.usage()
            _expect(sender, "end")
            stop, endpoint_stop = sender.usage(), endpoint.usage()
            result = _expect(sender, "result")
            discarded = _expect(sender, "account")["discarded"] if who == OURS else 0
            sender.process.wait(30)
    seconds = stop.at_s - start.at_s
    cpu_s, endpoint_s = stop.cpu_s - start.cpu_s, endpoint_stop.cpu_s - endpoint_start.cpu_s
    expected = calls * ENDPOINTS * 10 * result["seconds"]
    problems = []
    if abs(result["frames"] - expected) > 0.02 * expected:
        problems.append(f"{result['frames']} frames instead of {expected:.0f}")
    if discarded:
        problems.append(f"{discarded} samples discarded")
    p50, p99, longest = result["latency_ms"]
    run = SendRun(
        calls=calls,
        us_per_frame=result["cpu_s"] / max(result["frames"], 1) * 1e6,
        cpu=result["cpu_s"] / result["seconds"],
        endpoint_cpu=endpoint_s / seconds,
        other=max(stop.machine_s - start.machine_s - cpu_s - endpoint_s, 0) / seconds,
        latency_ms=(p50, p99, longest),
        stall_ms=result["stall_ms"],
        problems=", ".join(problems),
    )
    settings.say(
        f"{who}, {calls} calls x {ENDPOINTS}: {run.us_per_frame:.1f} µs/frame, CPU {run.cpu:.0%}, "
        f"endpoints {run.endpoint_cpu:.0%}, others {run.other:.0%}, "
        f"latency p99 {run.latency_ms[1]:.1f} ms, stall {run.stall_ms:.1f} ms"
        f"{': ' + run.problems if run.problems else ''}"
    )
    return run


def _expect(program: Program, event: str) -> dict[str, Any]:
    report: dict[str, Any] = json.loads(program.line())
    if report["event"] != event:
        raise SystemExit(f"the sender said {report['event']} and not {event}")
    return report
