"""Trying one integration, as a platform would: the connection probe, then a call of a tone.

It needs no Monitor that runs, and leaves nothing behind: its journal lives as long as the trial.
"""

from __future__ import annotations

import dataclasses
import secrets
import ssl as tls
import tempfile
import time
import uuid
from fractions import Fraction
from pathlib import Path
from typing import Final, NamedTuple

from openaudiohook.audio import RATE
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor.bookkeeping import Bookkeeper
from openaudiohook.monitor.bulletins import Bulletins
from openaudiohook.monitor.conversations import Conversations
from openaudiohook.monitor.explain import Explanation, explain
from openaudiohook.monitor.live_call import LiveCall
from openaudiohook.monitor.monitor import Monitor
from openaudiohook.monitor.probe import ProbeResult, probe
from openaudiohook.monitor.record import Record
from openaudiohook.monitor.scenario import single_play
from openaudiohook.monitor.sources.tone import Tone
from openaudiohook.store.journal import Journal

__all__ = ["TONE_S", "Trial", "try_integration"]

TONE_S: Final = 10
"""How long a tone a trial plays."""


class Trial(NamedTuple):
    """What a trial found.

    Attributes:
        probe: what the probe found.
        explanation: of the call; None where the probe failed, and so none was placed.
    """

    probe: ProbeResult
    explanation: Explanation | None


async def try_integration(
    config: EndpointConfig,
    *,
    organization_id: str | None = None,
    seconds: int = TONE_S,
    speed: Fraction | int = 1,
    ssl: tls.SSLContext | None = None,
) -> Trial:
    """Probe an endpoint; if that goes well, stream a tone to it, and explain what became of it.

    Args:
        config: the endpoint.
        organization_id: of the platform's organization; a random one where it is None.
        seconds: how long the tone is.
        speed: how many times faster than real time it is played.
        ssl: TLS settings for `wss://`; None for the system's.
    """
    organization_id = organization_id or str(uuid.uuid4())
    config = dataclasses.replace(config, integration_id=config.integration_id or config.name)
    found = await probe(config, organization_id, ssl=ssl)
    if not found.ok:
        return Trial(found, None)
    conversation_id = str(uuid.uuid4())
    with tempfile.TemporaryDirectory(prefix="openaudiohook-") as directory:
        journal = Journal.open(Path(directory), key=secrets.token_bytes(32))
        try:
            record = Record(journal, Conversations())
            bookkeeper = Bookkeeper(
                organization_id=organization_id,
                conversation_id=conversation_id,
                part=0,
                record=record,
                bulletins=Bulletins(record, utc_ns=time.time_ns),
                utc_ns=time.time_ns,
                edge="cloud",
            )
            bookkeeper.begin()
            call = LiveCall(
                Monitor(organization_id=organization_id, ssl=ssl),
                single_play(Tone(samples=seconds * RATE)),
                organization_id=organization_id,
                conversation_id=conversation_id,
                integrations=lambda: (config,),
                observer=bookkeeper,
                speed=speed,
            )
            await call.finished()
            entries = [entry for _, entry in journal.read(limit=1_000_000)]
        finally:
            journal.close()
    explanation = explain(
        entries,
        organization_id=organization_id,
        conversation_id=conversation_id,
        names={config.integration_id: config.name},
    )
    return Trial(found, explanation)
