"""What supervisor and worker say to each other: JSON, a line each, over a socket pair."""

from __future__ import annotations

from typing import Final

import msgspec

from openaudiohook.service.config import ServiceConfig

__all__ = [
    "LINE_LIMIT",
    "Drain",
    "Drained",
    "Elsewhere",
    "Failed",
    "Order",
    "Ready",
    "Reload",
    "Reloaded",
    "Report",
    "Start",
    "Stop",
    "Troubles",
    "line",
    "read_order",
    "read_report",
]

LINE_LIMIT: Final = 16 * 1024 * 1024
"""Longer than any configuration; the reader's buffer grows only as far as it is used."""


class Start(msgspec.Struct, tag=True, frozen=True):
    """To a new worker, first: what to serve, and which worker it is."""

    config: ServiceConfig
    index: int


class Drain(msgspec.Struct, tag=True, frozen=True):
    """To a worker: begin to drain. Without times, those of the configuration hold."""

    grace_s: float | None
    timeout_s: float | None


class Reload(msgspec.Struct, tag=True, frozen=True):
    """To a worker: read certificate and credentials again."""


class Elsewhere(msgspec.Struct, tag=True, frozen=True):
    """To a worker: the consumers that are in trouble in other workers."""

    consumers: tuple[str, ...]


class Stop(msgspec.Struct, tag=True, frozen=True):
    """To a worker: stop at once."""


class Ready(msgspec.Struct, tag=True, frozen=True):
    """From a worker: it listens."""


class Failed(msgspec.Struct, tag=True, frozen=True):
    """From a worker: it could not start, and ends."""

    problem: str


class Troubles(msgspec.Struct, tag=True, frozen=True):
    """From a worker: the consumers in trouble there, with reasons."""

    consumers: dict[str, list[str]]


class Reloaded(msgspec.Struct, tag=True, frozen=True):
    """From a worker: the answer to `Reload`."""

    problem: str | None


class Drained(msgspec.Struct, tag=True, frozen=True):
    """From a worker: the answer to `Drain`; it waits for `Stop`."""


Order = Start | Drain | Reload | Elsewhere | Stop
Report = Ready | Failed | Troubles | Reloaded | Drained

_ORDERS: Final[msgspec.json.Decoder[Order]] = msgspec.json.Decoder(Order)
_REPORTS: Final[msgspec.json.Decoder[Report]] = msgspec.json.Decoder(Report)


def line(message: Order | Report) -> bytes:
    """Write a message as a line."""
    return msgspec.json.encode(message) + b"\n"


def read_order(text: bytes) -> Order:
    """Read a line of the supervisor."""
    return _ORDERS.decode(text)


def read_report(text: bytes) -> Report:
    """Read a line of a worker."""
    return _REPORTS.decode(text)
