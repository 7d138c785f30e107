"""What the workers of a service know of each other: sessions and nonces, in shared memory."""

from __future__ import annotations

import mmap
import os
from typing import Final, Self

from openaudiohook.service.nonces import SharedNonces

__all__ = ["SessionBoard", "Siblings"]

_COUNT_BYTES: Final = 8


class SessionBoard:
    """How many sessions each worker has, in memory the workers share.

    Each number has one writer and fits a machine word, so nothing is locked.

    Attributes:
        fileno: the descriptor to hand to a worker, which calls `attach` with it.
    """

    def __init__(self, fileno: int) -> None:
        self.fileno = fileno
        self._memory = mmap.mmap(fileno, 0)
        self._counts = memoryview(self._memory).cast("q")

    @classmethod
    def create(cls, workers: int) -> Self:
        """Make a board with zero for each worker."""
        fileno = os.memfd_create("openaudiohook-sessions")
        os.ftruncate(fileno, workers * _COUNT_BYTES)
        return cls(fileno)

    @classmethod
    def attach(cls, fileno: int) -> Self:
        """Use the board of another process."""
        return cls(fileno)

    def close(self) -> None:
        """Let go of it."""
        self._counts.release()
        self._memory.close()
        os.close(self.fileno)

    def set(self, worker: int, sessions: int) -> None:
        """Note how many sessions a worker has."""
        self._counts[worker] = sessions

    def total(self) -> int:
        """Return the sessions of all workers."""
        return sum(self._counts)


class Siblings:
    """One worker's view of the others.

    Attributes:
        nonces: the nonces any of them has seen.
    """

    def __init__(self, *, index: int, nonces: SharedNonces, board: SessionBoard) -> None:
        self.nonces = nonces
        self._index = index
        self._board = board

    def tell_sessions(self, sessions: int) -> None:
        """Tell the others how many sessions this worker has."""
        self._board.set(self._index, sessions)

    def sessions(self) -> int:
        """Return how many sessions the service has, this worker's included."""
        return self._board.total()
