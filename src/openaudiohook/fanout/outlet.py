"""What a cursor writes to: a session's connection, as the fan-out sees it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

__all__ = ["Outlet", "Stream", "Writer"]


class Stream(Protocol):
    """A connection."""

    def is_closing(self) -> bool:
        """Say whether it is about to end; then nothing may be written."""
        ...


class Writer(Protocol):
    """What writes frames on a connection."""

    def send(self, kind: int, payload: bytes, /) -> object:
        """Write a frame of that kind."""
        ...


class Outlet(Protocol):
    """A session's connection; the transport's driver is one."""

    @property
    def is_writable(self) -> bool:
        """Whether nothing waits to be taken by the kernel."""
        ...

    def unsent_bytes(self) -> int:
        """Return how many bytes were handed over and have not left the machine."""
        ...

    def flush(self) -> None:
        """Write what the session has to say."""
        ...

    def send_audio(self, payload: bytes, now_ns: int) -> bool:
        """Do as the session's `send_audio` and `flush`; False where it takes the two of them."""
        ...

    def clear(self, size_bytes: int) -> bool:
        """Say whether `send_audio` could take so many bytes now."""
        ...

    def passage(self, on_shut: Callable[[], None]) -> tuple[Stream, Writer]:
        """Let frames be written past it, by one who moves the session's position on.

        Good until `on_shut` is called: at once, when anything but such frames has happened.
        """
        ...
