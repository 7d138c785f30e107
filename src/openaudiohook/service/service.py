"""The service: everything from the socket to the consumers, started and stopped as one."""

from __future__ import annotations

import asyncio
import contextlib
import os
import ssl
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Self

from openaudiohook.auth import InMemoryKeys, ReplayCache
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.host.consumer import ConsumerFactory
from openaudiohook.host.registry import Registry
from openaudiohook.service.admin import AdminListener, AdminReply
from openaudiohook.service.config import Address, ServiceConfig, read_credentials
from openaudiohook.service.drain import Drain
from openaudiohook.service.health import HEALTH_PATH, Health
from openaudiohook.service.log import get_logger
from openaudiohook.service.metrics import CONTENT_TYPE_LATEST, Metrics
from openaudiohook.service.process import descriptors
from openaudiohook.service.session import ServiceSession, SessionContext
from openaudiohook.service.siblings import Siblings
from openaudiohook.service.tick import Tick
from openaudiohook.service.watch import Watch
from openaudiohook.transport import (
    Admission,
    Admitted,
    ConnectionLimits,
    Driver,
    EventHandler,
    HttpReply,
    Listener,
    Refusal,
    listen,
    server_tls,
)

__all__ = ["Service"]

_log = get_logger(__name__)
_JSON = "application/json"


class Service:
    """An AudioHook service. Use it as an async context manager, or `start` and `stop` it.

    Args:
        config: how to serve.
        consumers: the consumers to run, instead of those `config.consumers` names.
        registry: where consumers are found by name.
        siblings: the other processes of the same service, where this is one of several workers.
        on_trouble: called when the health of a consumer changes.

    Attributes:
        health: how the service is.
        metrics: what is counted.

    Raises:
        ConfigurationError: the configuration contradicts itself, a consumer is not known, or
            credentials or certificate cannot be used.
    """

    def __init__(
        self,
        config: ServiceConfig,
        *,
        consumers: Sequence[ConsumerFactory] | None = None,
        registry: Registry | None = None,
        siblings: Siblings | None = None,
        on_trouble: Callable[[], None] | None = None,
    ) -> None:
        self.config = config.checked()
        if config.workers > 1:
            raise ConfigurationError(
                f"workers: a Service is one process, not {config.workers}; run "
                "`openaudiohook serve` or a service.supervisor.Supervisor"
            )
        self._siblings = siblings
        self.health = Health(on_trouble)
        self.metrics = Metrics()
        self._watch = Watch(self.health, self.metrics)
        self._factories = (
            self._create(registry or Registry()) if consumers is None else tuple(consumers)
        )
        self._started: list[ConsumerFactory] = []
        self._tls: ssl.SSLContext | None = None
        if config.tls_cert is not None and config.tls_key is not None:
            self._tls = server_tls(config.tls_cert, config.tls_key)
        self._admission = Admission(
            None if config.no_auth else self._keys(),
            replay=ReplayCache() if siblings is None else siblings.nonces,
            require_auth=not config.no_auth,
        )
        self._listener: Listener | None = None
        self._admin: AdminListener | None = None
        self._context: SessionContext | None = None
        self._drain: Drain | None = None
        self._tick: Tick | None = None
        self._room = descriptors() * 9 // 20

    @property
    def uri(self) -> str:
        """What a client dials."""
        assert self._listener is not None, "start() comes first"
        return self._listener.uri

    @property
    def port(self) -> int:
        """The port it listens on."""
        assert self._listener is not None, "start() comes first"
        return self._listener.port

    @property
    def admin_port(self) -> int | None:
        """The port of the admin listener, where there is one."""
        return self._admin.port if self._admin is not None else None

    @property
    def sessions(self) -> int:
        """How many sessions are not over yet."""
        return len(self._context.sessions) if self._context is not None else 0

    @property
    def _all_sessions(self) -> int:
        """How many sessions the service has, those of other workers included."""
        return self.sessions if self._siblings is None else self._siblings.sessions()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Start the consumers, then listen.

        Raises:
            ConfigurationError: an address or a port cannot be used. Nothing is left running.
        """
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def drained(
        self, *, grace_s: float | None = None, timeout_s: float | None = None
    ) -> None:
        """Begin to drain, and wait until no session is left or the limit is over; then `stop`.

        Args:
            grace_s: how long new sessions are still served; the configuration's by default.
            timeout_s: how long sessions may take to end; the configuration's by default.
        """
        assert self._drain is not None, "start() comes first"
        config = self.config
        await self._drain.drained(
            grace_s=config.drain_grace_s if grace_s is None else grace_s,
            timeout_s=config.drain_timeout_s if timeout_s is None else timeout_s,
            reconnect=config.drain_reconnect,
        )

    def stop_listening(self) -> None:
        """Give the port away: nobody new gets in, sessions go on."""
        if self._listener is not None:
            self._listener.stop_listening()

    async def stop(self) -> None:
        """Stop at once: drop the sessions that are left, close their consumers, finish files."""
        if self._context is not None:
            for session in tuple(self._context.sessions):
                session.abort()
            # Closing consumers is bounded by their budget; the bound here is for what is not.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self.config.close_budget_s + 2):
                    await self._context.emptied()
        if self._listener is not None:
            await self._listener.close()
        while self._started:
            factory = self._started.pop()
            try:
                await factory.stop()
            except Exception as error:
                _log.error(
                    "consumer did not stop", consumer=factory.name, error=type(error).__name__
                )
        if self._admin is not None:
            await self._admin.close()
        if self._tick is not None:
            self._tick.adapt(0)
        self._context = self._listener = self._admin = self._tick = None

    def reload(self) -> None:
        """Read certificate and credentials again; sessions go on, new ones meet the new.

        Raises:
            ConfigurationError: one of them cannot be used; all stay as they were.
        """
        config = self.config
        keys = None if config.no_auth else self._keys()
        if self._tls is not None and config.tls_cert and config.tls_key:
            server_tls(config.tls_cert, config.tls_key)  # tried on its own first
            self._tls.load_cert_chain(config.tls_cert, config.tls_key)
        if keys is not None:
            self._admission.keys = keys
        _log.info("certificates and credentials reloaded")

    async def _start(self) -> None:
        config = self.config
        self._tick = Tick(config.tick_ms / 1000)
        context = self._context = SessionContext(
            config=config,
            factories=self._factories,
            observer=self._watch,
            metrics=self.metrics,
            refusal=self._refusal,
            on_count=self._on_count,
        )
        self._drain = Drain(context, self.health)
        for factory in self._factories:
            self._started.append(factory)
            await factory.start(self._watch.status_of(factory.name))
        if config.admin is not None:
            self._admin = AdminListener({HEALTH_PATH: self._admin_health, "/metrics": self._text})
            await self._admin.start(Address.parse(config.admin))
            _log.info("admin listening", port=self._admin.port)
        self._listener = await listen(
            host=config.host,
            port=config.port,
            path=config.path,
            admission=self._admission,
            on_session=self._on_session,
            on_get=self._on_get,
            on_refused=self._on_refused,
            ssl=self._tls,
            limits=ConnectionLimits(max_connections=descriptors() // 2),
            reuse_port=self._siblings is not None,
        )

    def _create(self, registry: Registry) -> tuple[ConsumerFactory, ...]:
        config = self.config
        factories = []
        for name in dict.fromkeys(config.consumers):
            options = dict(config.consumer.get(name, {}))
            if name == "recorder":
                options.setdefault("directory", config.recordings)
            factories.append(registry.create(name, options))
        for name in config.consumer:
            if name not in config.consumers:
                raise ConfigurationError(
                    f"[consumer.{name}] has options, but consumers does not name '{name}'"
                )
        return tuple(factories)

    def _keys(self) -> InMemoryKeys:
        return InMemoryKeys(read_credentials(self.config), decoy=os.urandom(32))

    def _refusal(self) -> str | None:
        if self._drain is not None and self._drain.is_refusing:
            return "draining"
        # The one that asks is counted already.
        most = self.config.max_sessions
        if self.sessions > self._room or (most is not None and self._all_sessions > most):
            return "overload"
        return None

    def _on_session(self, admitted: Admitted, driver: Driver) -> EventHandler:
        assert self._context is not None
        return ServiceSession(self._context, admitted, driver).on_event

    def _on_count(self, sessions: int) -> None:
        if self._tick is not None:
            self._tick.adapt(sessions)
        if self._siblings is not None:
            self._siblings.tell_sessions(sessions)

    def _on_get(self, path: str) -> HttpReply | None:
        if path != HEALTH_PATH:
            return None
        status, body = self.health.answer(sessions=self._all_sessions)
        return HttpReply(status, body)

    def _on_refused(self, refusal: Refusal) -> None:
        self.metrics.upgrades_refused.labels(str(refusal.status)).inc()
        _log.warning("upgrade refused", status=refusal.status, cause=refusal.cause)

    def _admin_health(self) -> AdminReply:
        status, body = self.health.answer(sessions=self.sessions, with_reasons=True)
        return status, _JSON, body

    def _text(self) -> AdminReply:
        return 200, CONTENT_TYPE_LATEST, self.metrics.text()
