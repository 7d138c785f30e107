"""Nonces seen by any worker: a table of fixed size in memory that the workers share.

An upgrade is judged at once, in the call that reads it, so asking another process is out of the
question. Each nonce belongs to one bucket of the table; a bucket is locked while it is looked at.
The kernel lets go of a lock when its holder dies, and an entry counts only once its time is
written: a worker may be killed at any instruction without harm to the others.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import struct
from typing import Final, Self

from openaudiohook.exceptions import ReplayedRequest

__all__ = ["SharedNonces"]

_KEY_BYTES: Final = 16
_DIGEST_BYTES: Final = 16
_WAYS: Final = 64
_TABLE_OFFSET: Final = 64  # the key first; then buckets
_TIMES_OFFSET: Final = _WAYS * _DIGEST_BYTES
_BUCKET_BYTES: Final = _TIMES_OFFSET + _WAYS * 8
_TIMES: Final = struct.Struct(f"={_WAYS}q")
_TIME: Final = struct.Struct("=q")


class SharedNonces:
    """The `auth.ReplayCache` of several processes; where there is no room, requests are refused.

    A bucket has 64 entries of 24 octets: digest, and the time it may be forgotten. With the 4,096
    buckets of the default (6 MB) and the default policy (16 s), 6,250 new sessions a second fill a
    bucket to 24 on average, and the odds of one that overflows are below one in a billion.
    Digests are keyed by a random key of the table, so that nobody can aim at a bucket.

    Attributes:
        fileno: the descriptor to hand to a worker, which calls `attach` with it.
    """

    def __init__(self, fileno: int) -> None:
        self.fileno = fileno
        self._memory = mmap.mmap(fileno, 0)
        self._key = self._memory[:_KEY_BYTES]
        self._buckets = (len(self._memory) - _TABLE_OFFSET) // _BUCKET_BYTES

    @classmethod
    def create(cls, *, buckets: int = 4096) -> Self:
        """Make an empty table."""
        fileno = os.memfd_create("openaudiohook-nonces")
        os.ftruncate(fileno, _TABLE_OFFSET + buckets * _BUCKET_BYTES)
        os.pwrite(fileno, os.urandom(_KEY_BYTES), 0)
        return cls(fileno)

    @classmethod
    def attach(cls, fileno: int) -> Self:
        """Use the table of another process."""
        return cls(fileno)

    def close(self) -> None:
        """Let go of it; it is gone with its last user."""
        self._memory.close()
        os.close(self.fileno)

    def admit(self, keyid: str, nonce: str, *, utc_ns: int, window_ns: int) -> None:
        """Remember the pair until `utc_ns + window_ns`, for every process.

        Raises:
            ReplayedRequest: the pair is remembered already, or there is no room for it.
        """
        digest = hashlib.blake2b(
            f"{len(keyid)}:{keyid}{nonce}".encode(), digest_size=_DIGEST_BYTES, key=self._key
        ).digest()
        bucket = int.from_bytes(digest[:8], "little") % self._buckets
        start = _TABLE_OFFSET + bucket * _BUCKET_BYTES
        # Held for microseconds, and against one bucket in thousands: waiting is no stall.
        fcntl.lockf(self.fileno, fcntl.LOCK_EX, _BUCKET_BYTES, start)
        try:
            self._admit(digest, start, utc_ns=utc_ns, forget_at_ns=utc_ns + window_ns)
        finally:
            fcntl.lockf(self.fileno, fcntl.LOCK_UN, _BUCKET_BYTES, start)

    def _admit(self, digest: bytes, start: int, *, utc_ns: int, forget_at_ns: int) -> None:
        memory = self._memory
        times = _TIMES.unpack_from(memory, start + _TIMES_OFFSET)
        digests = memory[start : start + _TIMES_OFFSET]
        free = None
        for way, time_ns in enumerate(times):
            if time_ns < utc_ns:
                free = way
            elif digests[way * _DIGEST_BYTES : (way + 1) * _DIGEST_BYTES] == digest:
                raise ReplayedRequest("the nonce was used before")
        if free is None:
            raise ReplayedRequest("the replay table is full")
        at = start + free * _DIGEST_BYTES
        memory[at : at + _DIGEST_BYTES] = digest
        # The time last: it makes the entry count.
        _TIME.pack_into(memory, start + _TIMES_OFFSET + free * 8, forget_at_ns)
