"""Servers that were cut off because they would not stop talking (protocol section 13.1).

A session that breaks the rate limits again and again is ended without a word, and for some time no
new one is opened to that server: by any call.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CutOffs"]

_S: Final = 1_000_000_000
_REMEMBERED_FOR: Final = 10  # times as long as the latest one lasted


class CutOffs:
    """Who is cut off, and until when; one for all calls of a Monitor. Time is given to it.

    The first time lasts `base_s`. Whoever is cut off again before ten times as long has passed
    since is cut off for twice as long as the time before, up to `cap_s`.

    Args:
        base_s: how long the first time lasts; how long is not known of the platform.
        cap_s: the longest.
    """

    def __init__(self, *, base_s: float = 60.0, cap_s: float = 3600.0) -> None:
        self._base_ns = round(base_s * _S)
        self._cap_ns = round(cap_s * _S)
        self._latest: dict[str, tuple[int, int]] = {}  # until when, and how long

    def cut_off(self, server: str, now_ns: int) -> None:
        """Cut a server off; whoever is cut off already stays so for no longer."""
        until_ns, length_ns = self._latest.get(server, (0, 0))
        if until_ns > now_ns:
            return  # another session of the same flood
        is_repeated = length_ns and now_ns - until_ns < _REMEMBERED_FOR * length_ns
        length_ns = min(self._cap_ns, 2 * length_ns) if is_repeated else self._base_ns
        self._latest[server] = now_ns + length_ns, length_ns

    def left_ns(self, server: str, now_ns: int) -> int:
        """Return for how long a server is cut off yet; 0 for whoever is not."""
        until_ns, _ = self._latest.get(server, (0, 0))
        return max(0, until_ns - now_ns)

    def forgive(self, server: str) -> None:
        """Forget what a server did: somebody has seen to it, and activated it again."""
        self._latest.pop(server, None)
