"""What is counted, for Prometheus. No label holds an id, an address or a name of a person."""

from __future__ import annotations

from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

__all__ = ["CONTENT_TYPE_LATEST", "MULTIPROCESS_DIRECTORY", "Metrics", "SupervisorMetrics"]

MULTIPROCESS_DIRECTORY = "PROMETHEUS_MULTIPROC_DIR"
"""The environment variable that makes a worker keep its metrics in files of that directory."""

_OPEN_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0)
_RTT_S = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class Metrics:
    """The metrics of one process of a service, in a registry of their own.

    Audio is counted at pings and at the end of a session, never per frame. The modes say how
    gauges of several workers become one.
    """

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        name = "openaudiohook_service"
        self.sessions = Gauge(
            f"{name}_sessions",
            "Sessions open now.",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.sessions_ended = Counter(
            f"{name}_sessions_ended",
            "Sessions that ended, by how: the client's reason, or lost.",
            ["reason"],
            registry=self.registry,
        )
        self.sessions_refused = Counter(
            f"{name}_sessions_refused",
            "Sessions answered with disconnect: draining, overload, media.",
            ["cause"],
            registry=self.registry,
        )
        self.upgrades_refused = Counter(
            f"{name}_upgrades_refused",
            "Upgrades refused, by HTTP status.",
            ["status"],
            registry=self.registry,
        )
        self.probes = Counter(
            f"{name}_probes", "Connection probes answered.", registry=self.registry
        )
        self.stream_seconds = Counter(
            f"{name}_stream_seconds",
            "Stream time of all sessions, pauses included.",
            registry=self.registry,
        )
        self.violations = Counter(
            f"{name}_violations",
            "Protocol violations by clients, by error code.",
            ["code"],
            registry=self.registry,
        )
        self.errors_reported = Counter(
            f"{name}_errors_reported",
            "Errors clients told of, by code.",
            ["code"],
            registry=self.registry,
        )
        self.open_seconds = Histogram(
            f"{name}_open_seconds",
            "Time from the upgrade until opened was sent.",
            buckets=_OPEN_S,
            registry=self.registry,
        )
        self.round_trip_seconds = Histogram(
            f"{name}_round_trip_seconds",
            "Round trips of pings, as clients measured them.",
            buckets=_RTT_S,
            registry=self.registry,
        )
        self.consumers_detached = Counter(
            f"{name}_consumers_detached",
            "Consumers whose part in a session ended early: failed, over-budget, close-timeout.",
            ["consumer", "cause"],
            registry=self.registry,
        )
        self.shed_seconds = Counter(
            f"{name}_shed_seconds",
            "Audio dropped for consumers not ready.",
            ["consumer"],
            registry=self.registry,
        )
        self.consumers_degraded = Gauge(
            f"{name}_consumers_degraded",
            "Sessions in which a consumer is degraded; the consumer as a whole counts as one.",
            ["consumer"],
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.replies_dropped = Counter(
            f"{name}_replies_dropped",
            "Replies of consumers that came too late to be sent.",
            ["kind"],
            registry=self.registry,
        )
        self.draining = Gauge(
            f"{name}_draining",
            "1 while draining.",
            registry=self.registry,
            multiprocess_mode="livemax",
        )

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self.registry)


class SupervisorMetrics:
    """The metrics of a service of several workers: the sum of theirs, and the supervisor's own.

    What a dead worker counted stays counted; what it measured of itself is gone with it.

    Args:
        directory: where the workers keep theirs; they find it in the environment.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = str(directory)
        self._of_workers = CollectorRegistry()
        MultiProcessCollector(self._of_workers, path=self._directory)  # type: ignore[no-untyped-call]
        self.registry = CollectorRegistry()
        name = "openaudiohook_service"
        self.workers = Gauge(
            f"{name}_workers",
            "Workers that serve now; only where there are several.",
            registry=self.registry,
        )
        self.workers_lost = Counter(
            f"{name}_workers_lost",
            "Workers that died and were replaced; only where there are several.",
            registry=self.registry,
        )

    def lost(self, pid: int) -> None:
        """Forget what a process that is gone measured of itself."""
        mark_process_dead(pid, self._directory)  # type: ignore[no-untyped-call]

    def text(self) -> bytes:
        """Return everything in Prometheus's text format."""
        return generate_latest(self._of_workers) + generate_latest(self.registry)
