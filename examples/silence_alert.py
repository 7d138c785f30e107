"""A consumer as a package would ship it: tells the platform when the customer has gone silent.

Named in that package's pyproject.toml, and switched on with `serve --consumer silence-alert`:

    [project.entry-points."openaudiohook.consumers"]
    silence-alert = "your_package:factory"
"""

from collections.abc import Mapping
from typing import Any

from openaudiohook.audio.level import measure_ulaw
from openaudiohook.exceptions import ConfigurationError
from openaudiohook.host.consumer import (
    SAMPLE_RATE,
    AudioFrame,
    Capabilities,
    Channel,
    Consumer,
    Entity,
    Reply,
    SessionInfo,
    channel_bytes,
    per_session,
)

THRESHOLD_DBFS = -50.0


class SilenceAlert(Consumer):
    name = "silence-alert"
    capabilities = Capabilities(channels=(Channel.EXTERNAL,))

    def __init__(self, options: Mapping[str, Any]) -> None:
        after_s = options.get("after_s", 3)
        if not isinstance(after_s, int | float) or after_s <= 0:
            raise ConfigurationError("after_s: a number of seconds above 0 is needed")
        self.after = round(after_s * SAMPLE_RATE)

    async def open(self, session: SessionInfo, reply: Reply) -> None:
        self.reply = reply
        self.silent_from: int | None = None
        self.is_told = False

    def audio(self, frame: AudioFrame) -> None:
        if measure_ulaw(channel_bytes(frame, Channel.EXTERNAL)).rms_dbfs > THRESHOLD_DBFS:
            self.silent_from, self.is_told = None, False
            return
        if self.silent_from is None:
            self.silent_from = frame.position
        length = frame.position + frame.samples - self.silent_from
        if length >= self.after and not self.is_told:
            self.is_told = True
            data = {"channel": "external", "seconds": length / SAMPLE_RATE}
            self.reply.entities([Entity(type="silence", data=data)])

    def paused(self, position: int) -> None:
        self.silent_from = None  # nothing is heard in a pause: that is no silence


factory = per_session(SilenceAlert)
