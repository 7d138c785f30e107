"""What becomes of consumers, told where an operator looks: health, metrics and the log."""

from __future__ import annotations

from openaudiohook.host.consumer import SAMPLE_RATE, Status
from openaudiohook.service.health import Health
from openaudiohook.service.log import get_logger
from openaudiohook.service.metrics import Metrics

__all__ = ["Watch"]

_log = get_logger(__name__)
_WHOLE = ""


class Watch:
    """The `host.dispatch.Observer` of a service, and the `Status` of its consumer factories.

    Trouble is logged when a consumer gets into it and when it is out again, not once a session.
    """

    def __init__(self, health: Health, metrics: Metrics) -> None:
        self._health = health
        self._metrics = metrics

    def status_of(self, consumer: str) -> Status:
        """Return where a consumer's factory tells trouble that is not one session's."""
        return _FactoryStatus(self, consumer)

    def consumer_detached(self, consumer: str, cause: str, error: str | None) -> None:
        """Count and log it; of an exception the type only."""
        self._metrics.consumers_detached.labels(consumer, cause).inc()
        _log.error("consumer detached from a session", consumer=consumer, cause=cause, error=error)

    def consumer_shed(self, consumer: str, samples: int) -> None:
        """Count and log it."""
        self._metrics.shed_seconds.labels(consumer).inc(samples / SAMPLE_RATE)
        _log.warning(
            "audio shed for a consumer slow to open",
            consumer=consumer,
            seconds=samples / SAMPLE_RATE,
        )

    def consumer_degraded(self, consumer: str, session_id: str, reason: str) -> None:
        """Note it."""
        if self._health.degraded(consumer, session_id, reason):
            _log.error("consumer degraded", consumer=consumer, reason=reason)
        self._count(consumer)

    def consumer_healthy(self, consumer: str, session_id: str) -> None:
        """Note it."""
        if self._health.healthy(consumer, session_id):
            _log.info("consumer healthy again", consumer=consumer)
        self._count(consumer)

    def _count(self, consumer: str) -> None:
        self._metrics.consumers_degraded.labels(consumer).set(self._health.troubles(consumer))


class _FactoryStatus:
    def __init__(self, watch: Watch, consumer: str) -> None:
        self._watch = watch
        self._consumer = consumer

    def degraded(self, reason: str) -> None:
        self._watch.consumer_degraded(self._consumer, _WHOLE, reason)

    def healthy(self) -> None:
        self._watch.consumer_healthy(self._consumer, _WHOLE)
