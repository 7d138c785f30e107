"""Connection probes: sessions that only test whether we would answer (protocol section 15).

A probe passes every check a session passes and is answered at once. No consumer is opened for it
and nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from openaudiohook.protocol import MediaParameter, ServerSession

__all__ = ["answer_probe"]


def answer_probe(
    session: ServerSession,
    *,
    media: MediaParameter | None,
    probe_media: Literal["select", "empty"],
    languages: Sequence[str],
    now_ns: int,
) -> None:
    """Answer a probe's `open`.

    Args:
        session: the probe's session.
        media: what a real session would be answered with.
        probe_media: `select` answers with that, `empty` with no media; platforms take both.
        languages: told where the probe asks: this is how a platform learns them.
        now_ns: the time.
    """
    session.accept(
        now_ns,
        media=media if probe_media == "select" else None,
        supported_languages=languages,
    )
