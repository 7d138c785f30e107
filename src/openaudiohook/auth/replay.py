"""A request is good once: the memory of nonces already seen.

A signature stays acceptable for its maximum age, widened by the clock skew at both
ends; for that long its nonce is remembered (protocol section 3.5). Only requests whose
signature was found good are remembered, so a stranger can neither fill the cache nor
spend somebody's nonce.
"""

from __future__ import annotations

import hashlib
from typing import Protocol

from openaudiohook.exceptions import ReplayedRequest

__all__ = ["NonceMemory", "ReplayCache"]


class NonceMemory(Protocol):
    """What remembers nonces for a verifier: `ReplayCache`, or one that processes share."""

    def admit(self, keyid: str, nonce: str, *, utc_ns: int, window_ns: int) -> None:
        """Remember the pair until `utc_ns + window_ns`.

        Raises:
            ReplayedRequest: the pair is remembered already, or there is no room.
        """


class ReplayCache:
    """Nonces seen, bounded in number; where there is no room left, requests are refused.

    An entry is a 16-octet digest of key and nonce and the time it may be forgotten:
    about 150 bytes of memory whatever the length of the nonce, so about 15 MB at the
    default bound. At the default policy (16 s) that bound admits 6,250 new sessions a
    second.
    """

    __slots__ = ("_forget_at_ns", "_max_entries")

    def __init__(self, *, max_entries: int = 100_000) -> None:
        if max_entries < 1:
            raise ValueError("max_entries must be at least 1")
        self._max_entries = max_entries
        self._forget_at_ns: dict[bytes, int] = {}

    def __len__(self) -> int:
        return len(self._forget_at_ns)

    def admit(self, keyid: str, nonce: str, *, utc_ns: int, window_ns: int) -> None:
        """Remember the pair until `utc_ns + window_ns`.

        Raises:
            ReplayedRequest: the pair is remembered already, or the cache is full.
        """
        self._forget(utc_ns)
        digest = hashlib.blake2b(f"{len(keyid)}:{keyid}{nonce}".encode(), digest_size=16).digest()
        if digest in self._forget_at_ns:
            raise ReplayedRequest("the nonce was used before")
        if len(self._forget_at_ns) >= self._max_entries:
            raise ReplayedRequest("the replay cache is full")
        self._forget_at_ns[digest] = utc_ns + window_ns

    def _forget(self, utc_ns: int) -> None:
        # Entries lie in the order of arrival, and so of expiry: each is dropped once, from
        # the front. After a clock was set back a later entry may be due first; it then
        # waits for its turn, which errs on the safe side.
        due = []
        for digest, forget_at_ns in self._forget_at_ns.items():
            if forget_at_ns >= utc_ns:
                break
            due.append(digest)
        for digest in due:
            del self._forget_at_ns[digest]
