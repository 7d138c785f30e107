"""One of several processes that serve on one port: a `Service` that obeys a supervisor.

The supervisor starts it with `python -m openaudiohook.service.worker` and the numbers of three
descriptors: its end of a socket pair, the nonces and the session board. Signals are the
supervisor's business; whoever sends one to all processes of the service means it, too. Where the
supervisor is gone, a worker gives the port away and serves its sessions to their end.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.service.log import get_logger, log_to_stderr
from openaudiohook.service.nonces import SharedNonces
from openaudiohook.service.orders import (
    LINE_LIMIT,
    Drain,
    Drained,
    Elsewhere,
    Failed,
    Ready,
    Reload,
    Reloaded,
    Report,
    Start,
    Stop,
    Troubles,
    line,
    read_order,
)
from openaudiohook.service.process import loop_factory, raise_descriptor_limit, settle_memory
from openaudiohook.service.service import Service
from openaudiohook.service.siblings import SessionBoard, Siblings

__all__ = ["main"]

_log = get_logger(__name__)


class _Worker:
    """Carries out what the supervisor orders, one line after another."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._told: dict[str, list[str]] = {}
        self._draining: asyncio.Task[None] | None = None

    async def work(self, nonces: SharedNonces, board: SessionBoard) -> None:
        text = await self._reader.readline()
        if not text:
            return  # a spare that was never needed
        start = read_order(text)
        assert isinstance(start, Start)
        log_to_stderr(start.config.log_level, worker=start.index)
        siblings = Siblings(index=start.index, nonces=nonces, board=board)
        try:
            service = Service(
                start.config, siblings=siblings, on_trouble=lambda: self._tell_troubles(service)
            )
            await service.start()
        except ConfigurationError as error:
            self._report(Failed(str(error)))
            await self._writer.drain()
            return
        settle_memory()
        self._report(Ready())
        try:
            await self._obey(service)
        finally:
            if self._draining is not None:
                self._draining.cancel()
            await service.stop()

    async def _obey(self, service: Service) -> None:
        while text := await self._reader.readline():
            match read_order(text):
                case Drain(grace_s, timeout_s):
                    if self._draining is None:
                        self._draining = asyncio.create_task(
                            self._drain(service, grace_s, timeout_s)
                        )
                case Reload():
                    self._report(Reloaded(_reload(service)))
                case Elsewhere(consumers):
                    service.health.elsewhere = consumers
                case Stop():
                    return
        _log.error("the supervisor is gone; serving the sessions left", sessions=service.sessions)
        service.stop_listening()
        await service.drained(grace_s=0)

    async def _drain(
        self, service: Service, grace_s: float | None, timeout_s: float | None
    ) -> None:
        await service.drained(grace_s=grace_s, timeout_s=timeout_s)
        self._report(Drained())

    def _tell_troubles(self, service: Service) -> None:
        troubles = service.health.reasons()
        if troubles != self._told:
            self._told = troubles
            self._report(Troubles(troubles))

    def _report(self, report: Report) -> None:
        self._writer.write(line(report))


def _reload(service: Service) -> str | None:
    try:
        service.reload()
    except ConfigurationError as error:
        return str(error)
    return None


async def _connected(control: socket.socket, nonces: int, board: int) -> None:
    reader, writer = await asyncio.open_unix_connection(sock=control, limit=LINE_LIMIT)
    try:
        worker = _Worker(reader, writer)
        await worker.work(SharedNonces.attach(nonces), SessionBoard.attach(board))
    finally:
        writer.close()


def main(arguments: Sequence[str]) -> None:
    """Run a worker; the arguments are its three descriptors."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    descriptors = [int(argument) for argument in arguments]
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)  # no child of a consumer may keep them
    raise_descriptor_limit()
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(_connected(socket.socket(fileno=descriptors[0]), *descriptors[1:]))


if __name__ == "__main__":
    main(sys.argv[1:])
