"""Several processes as one service: one port, one health, one set of metrics, one way out.

The supervisor holds the port (bound, not listening) and no session. Each worker is a process of
its own that shares the port (SO_REUSEPORT): the kernel gives each new connection to one of them.
A worker that dies takes its own sessions with it and is replaced, by a spare process that has
loaded everything and waits. Workers are spawned, never forked: nothing of the supervisor's memory
is in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Final, Self

import msgspec

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.host.registry import Registry
from openaudiohook.service.admin import AdminListener, AdminReply
from openaudiohook.service.config import Address, ServiceConfig
from openaudiohook.service.health import HEALTH_PATH, Health
from openaudiohook.service.log import get_logger
from openaudiohook.service.metrics import (
    CONTENT_TYPE_LATEST,
    MULTIPROCESS_DIRECTORY,
    SupervisorMetrics,
)
from openaudiohook.service.nonces import SharedNonces
from openaudiohook.service.orders import (
    LINE_LIMIT,
    Drain,
    Drained,
    Elsewhere,
    Failed,
    Order,
    Ready,
    Reload,
    Reloaded,
    Report,
    Start,
    Stop,
    Troubles,
    line,
    read_report,
)
from openaudiohook.service.service import Service
from openaudiohook.service.siblings import SessionBoard
from openaudiohook.transport.accept import reserved_sockets

__all__ = ["Supervisor"]

_log = get_logger(__name__)

# A worker that lived this long died of something else than its start.
_SETTLED_S: Final = 10.0
# Early deaths in a row before its place is left empty for a while, longer each time.
_FORGIVEN_DEATHS: Final = 2
_MAX_DELAY_S: Final = 5.0
_LAST_WORDS_S: Final = 1.0
_WORKERS: Final = "workers"


class _Shared:
    """What the workers share, made for one run of the service."""

    def __init__(self, workers: int) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="openaudiohook-"))
        self.metrics = SupervisorMetrics(self.directory)
        self.nonces = SharedNonces.create()
        self.board = SessionBoard.create(workers)

    def close(self) -> None:
        self.nonces.close()
        self.board.close()
        shutil.rmtree(self.directory, ignore_errors=True)


class _Worker:
    """A worker's process, as the supervisor sees it.

    Attributes:
        is_ready: it listens.
        problem: why it could not start.
        settled: set when it listens, or is gone.
        drained: set when it has no session left, or is gone.
        troubles: the reasons by consumer.
    """

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.process = process
        self.is_ready = False
        self.problem: str | None = None
        self.settled = asyncio.Event()
        self.drained = asyncio.Event()
        self.troubles: dict[str, list[str]] = {}
        self._reader = reader
        self._writer = writer

    @property
    def is_alive(self) -> bool:
        return self.process.returncode is None

    def order(self, order: Order) -> None:
        """Say something to it; one that is gone does not hear."""
        if not self._writer.is_closing():
            self._writer.write(line(order))

    def kill(self) -> None:
        """End it without asking."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()

    async def dismiss(self) -> None:
        """End one that never was told to start: it has nothing to lose."""
        self.kill()
        await self.process.wait()
        self._writer.close()

    async def live(self, take: Callable[[Report], None]) -> None:
        """Hand on what it reports, until its end."""

        async def listen() -> None:
            with contextlib.suppress(ConnectionError):
                while text := await self._reader.readline():
                    take(read_report(text))

        listening = asyncio.create_task(listen())
        try:
            await self.process.wait()
            # What it said last may still be on its way.
            await asyncio.wait({listening}, timeout=_LAST_WORDS_S)
        finally:
            listening.cancel()
            self.is_ready = False
            self.settled.set()
            self.drained.set()
            self._writer.close()


class Supervisor:
    """A service of `config.workers` processes; used as a `Service` is.

    Args:
        config: how to serve.
        registry: where consumers are found by name, to check the configuration with.

    Raises:
        ConfigurationError: what a `Service` would raise.
    """

    def __init__(self, config: ServiceConfig, *, registry: Registry | None = None) -> None:
        # What cannot work is found here, before a process is started for it.
        Service(msgspec.structs.replace(config, workers=1), registry=registry)
        self.config = config
        self._is_started = False
        self._is_draining = False
        self._is_stopping = False
        self._is_leaving = asyncio.Event()
        self._port = 0
        self._reserved: list[socket.socket] = []
        self._shared: _Shared | None = None
        self._workers: dict[int, _Worker] = {}
        self._spare: _Worker | None = None
        self._is_making_spare = False
        self._places: list[asyncio.Task[None]] = []
        self._admin: AdminListener | None = None

    @property
    def uri(self) -> str:
        """What a client dials."""
        config = self.config
        scheme = "ws" if config.tls_cert is None else "wss"
        host = f"[{config.host}]" if ":" in config.host else config.host or "0.0.0.0"  # noqa: S104
        return f"{scheme}://{host}:{self._port}{config.path}"

    @property
    def port(self) -> int:
        """The port the workers listen on."""
        return self._port

    @property
    def admin_port(self) -> int | None:
        """The port of the admin listener, where there is one."""
        return self._admin.port if self._admin is not None else None

    @property
    def sessions(self) -> int:
        """How many sessions the workers have."""
        return self._shared.board.total() if self._shared is not None else 0

    @property
    def pids(self) -> tuple[int, ...]:
        """The processes of the workers that serve now."""
        return tuple(
            worker.process.pid for _, worker in sorted(self._workers.items()) if worker.is_ready
        )

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
        """Start the workers; return when all of them listen.

        Raises:
            ConfigurationError: an address or a port cannot be used, or a worker cannot start.
                Nothing is left running.
        """
        config = self.config
        try:
            self._reserved = reserved_sockets(config.host, config.port)
            self._port = self._reserved[0].getsockname()[1]
            self._shared = _Shared(config.workers)
            if config.admin is not None:
                self._admin = AdminListener(
                    {HEALTH_PATH: self._health_page, "/metrics": self._text}
                )
                await self._admin.start(Address.parse(config.admin))
                _log.info("admin listening", port=self._admin.port)
            for index in range(config.workers):
                worker = await self._spawn(index, self._shared)
                keeping = self._keep(index, worker, self._shared)
                self._places.append(asyncio.create_task(keeping))
            for worker in tuple(self._workers.values()):
                await worker.settled.wait()
                if not worker.is_ready:
                    problem = f"a worker ended while it started ({_how(worker.process)})"
                    raise ConfigurationError(worker.problem or problem)
            await self._make_spare(self._shared)
            self._is_started = True
        except BaseException:
            await self.stop()
            raise

    async def drained(
        self, *, grace_s: float | None = None, timeout_s: float | None = None
    ) -> None:
        """Drain all workers, and wait until no session is left or the limit is over.

        Args:
            grace_s: how long new sessions are still served; the configuration's by default.
            timeout_s: how long sessions may take to end; the configuration's by default.
        """
        self._is_draining = True
        self._is_leaving.set()
        self._order(Drain(grace_s, timeout_s))
        await asyncio.gather(*(worker.drained.wait() for worker in self._workers.values()))

    async def stop(self) -> None:
        """Stop all workers at once, and wait until they are gone."""
        self._is_stopping = True
        self._is_leaving.set()
        self._order(Stop())
        if self._places:
            # Longer than a worker takes at most; one that hangs is not waited for.
            await asyncio.wait(self._places, timeout=self.config.close_budget_s + 5)
            for index, worker in self._workers.items():
                if worker.is_alive:
                    _log.error("worker killed: it does not stop", worker=index)
                    worker.kill()
            await asyncio.gather(*self._places)
        if self._spare is not None:
            await self._spare.dismiss()
        if self._admin is not None:
            await self._admin.close()
        for reserved in self._reserved:
            reserved.close()
        if self._shared is not None:
            self._shared.close()
        self._places, self._reserved = [], []
        self._admin = self._shared = self._spare = None

    def reload(self) -> None:
        """Tell every worker to read certificate and credentials again; each logs what came of it.

        Raises:
            ConfigurationError: they cannot be used; no worker was told.
        """
        Service(msgspec.structs.replace(self.config, workers=1, consumers=(), consumer={}))
        self._order(Reload())

    def _order(self, order: Order) -> None:
        for worker in self._workers.values():
            worker.order(order)

    async def _keep(self, index: int, worker: _Worker, shared: _Shared) -> None:
        """Keep a place filled: listen to its worker, and replace it when it dies."""
        early_deaths = 0
        while True:
            began = monotonic()
            living = asyncio.create_task(worker.live(partial(self._take, index, worker)))
            await worker.settled.wait()
            if self._is_started:
                await self._make_spare(shared)
            await living
            shared.metrics.lost(worker.process.pid)
            self._count()
            if self._is_stopping:
                return
            _log.error(
                "worker died", worker=index, pid=worker.process.pid, how=_how(worker.process)
            )
            if self._is_leaving.is_set() or not self._is_started:
                return  # its sessions stay on the board: nobody ended them
            shared.board.set(index, 0)
            shared.metrics.workers_lost.inc()
            early_deaths = 0 if monotonic() - began > _SETTLED_S else early_deaths + 1
            if early_deaths > _FORGIVEN_DEATHS:
                delay_s = min(0.1 * 2**early_deaths, _MAX_DELAY_S)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._is_leaving.wait(), delay_s)
                    return
            worker = await self._respawn(index, shared)
            if self._is_leaving.is_set():
                worker.order(Stop())

    async def _spawn(self, index: int, shared: _Shared) -> _Worker:
        """Fill a place: with the process that waits for that, or else a new one."""
        worker, self._spare = self._spare, None
        if worker is None or not worker.is_alive:
            worker = await self._spawn_process(shared)
        self._workers[index] = worker
        config = msgspec.structs.replace(self.config, port=self._port, admin=None, workers=1)
        worker.order(Start(config, index))
        return worker

    async def _spawn_process(self, shared: _Shared) -> _Worker:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        descriptors = (theirs.fileno(), shared.nonces.fileno, shared.board.fileno)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "openaudiohook.service.worker", *map(str, descriptors),
                stdin=asyncio.subprocess.DEVNULL,
                env=os.environ | {MULTIPROCESS_DIRECTORY: str(shared.directory)},
                pass_fds=descriptors,
                # A terminal's Ctrl-C is for the supervisor alone.
                start_new_session=True,
            )  # fmt: skip
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=LINE_LIMIT)
        return _Worker(process, reader, writer)

    async def _respawn(self, index: int, shared: _Shared) -> _Worker:
        while True:
            try:
                return await self._spawn(index, shared)
            except OSError as error:
                _log.error("worker cannot be started", worker=index, problem=error.strerror)
                await asyncio.sleep(_MAX_DELAY_S / 5)

    async def _make_spare(self, shared: _Shared) -> None:
        """Have a process ready that has loaded everything: a dead worker is replaced sooner."""
        if self._spare is not None or self._is_making_spare or self._is_leaving.is_set():
            return
        self._is_making_spare = True
        try:
            self._spare = await self._spawn_process(shared)
        except OSError as error:
            _log.error("no spare worker", problem=error.strerror)
        finally:
            self._is_making_spare = False

    def _take(self, index: int, worker: _Worker, report: Report) -> None:
        match report:
            case Ready():
                worker.is_ready = True
                worker.settled.set()
                _log.info("worker ready", worker=index, pid=worker.process.pid)
                self._count()
            case Failed(problem):
                worker.problem = problem
                _log.error("worker cannot start", worker=index, problem=problem)
            case Troubles(consumers):
                worker.troubles = consumers
                self._tell_elsewhere()
            case Reloaded(problem):
                if problem is not None:
                    _log.error("worker could not reload", worker=index, problem=problem)
            case Drained():
                worker.drained.set()

    def _count(self) -> None:
        """Take note that a worker has come or gone."""
        if self._shared is not None:
            self._shared.metrics.workers.set(len(self.pids))
        self._tell_elsewhere()

    def _tell_elsewhere(self) -> None:
        """Let every worker's health say what is wrong in the others."""
        ready = [worker for worker in self._workers.values() if worker.is_ready]
        for worker in ready:
            others = {name for other in ready if other is not worker for name in other.troubles}
            worker.order(Elsewhere(tuple(sorted(others))))

    def _health(self) -> Health:
        health = Health()
        health.is_draining = self._is_draining
        for index, worker in self._workers.items():
            if not worker.is_ready:
                health.degraded(_WORKERS, str(index), "a worker does not serve now")
                continue
            for consumer, reasons in worker.troubles.items():
                for reason in reasons:
                    health.degraded(consumer, f"{index} {reason}", reason)
        return health

    def _health_page(self) -> AdminReply:
        status, body = self._health().answer(sessions=self.sessions, with_reasons=True)
        return status, "application/json", body

    def _text(self) -> AdminReply:
        assert self._shared is not None
        return 200, CONTENT_TYPE_LATEST, self._shared.metrics.text()


def _how(process: asyncio.subprocess.Process) -> str:
    code = process.returncode or 0
    return signal.Signals(-code).name if code < 0 else f"exit code {code}"
