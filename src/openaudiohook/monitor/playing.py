"""What a call sounds like to the followed customer: two channels, made from what plays.

External is what the customer says. Internal is what the customer hears: prompts, the agent, hold
music, or in a conference everybody. What nobody lets the customer hear, such as a private
consultation, plays on and goes nowhere.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from openaudiohook.audio import channels, ulaw
from openaudiohook.exceptions import MediaError
from openaudiohook.monitor.sources import Source, SourceSpec
from openaudiohook.monitor.steps import Played

__all__ = ["Playing"]

_EXTERNAL: Final = "external"
_INTERNAL: Final = "internal"
_CONSULTED: Final = "consulted"


class _Track(NamedTuple):
    """What plays on one channel: a source, and which of its channels."""

    source: Source
    side: int


class Playing:
    """The sources of one call, and what the customer hears of them.

    Args:
        problems: where to note what could not be played, in words for the operator.
    """

    __slots__ = (
        "_both",
        "_is_conference",
        "_is_held",
        "_music",
        "_music_spec",
        "_problems",
        "_tracks",
    )

    def __init__(self, problems: list[str]) -> None:
        self._problems = problems
        self._tracks: dict[str, _Track] = {}
        self._both: Source | None = None  # what plays on both channels, if nothing else plays
        self._is_held = False
        self._is_conference = False
        self._music_spec: SourceSpec | None = None
        self._music: Source | None = None

    @property
    def is_idle(self) -> bool:
        """Whether nothing plays."""
        return not self._tracks

    def start(self, spec: SourceSpec, channel: Played) -> None:
        """Play a source on a channel, in place of what played there."""
        source = self._open(spec)
        replaced = (_EXTERNAL, _INTERNAL) if channel == "both" else (channel,)
        for each in replaced:
            self._stop(each)
        if source is None:
            return
        for side, each in enumerate(replaced[: source.channels]):
            self._tracks[each] = _Track(source, side)
        if len(replaced) == source.channels == 2 and len(self._tracks) == 2:
            self._both = source

    def hold(self, music: SourceSpec | None) -> None:
        """Let the customer hear music, or silence, and not what plays."""
        self._stop_music()
        self._is_held, self._music_spec = True, music

    def talk(self, *, is_conference: bool = False) -> None:
        """Let the customer hear who talks; in a conference the consulted agent, too."""
        self._stop_music()
        self._is_held, self._is_conference = False, is_conference

    def read_both(self, samples: int) -> bytes | None:
        """Read where one source is all that plays, as is the rule, and does not end here.

        Both channels by turns; None, with nothing read, where it is not so.
        """
        if self._both is None or self._is_held or samples <= 0:
            return None
        try:
            return self._both.read_stereo(samples)
        except OSError:
            return None  # that is dealt with where one channel after the other is read

    def read(self, samples: int, *, is_last: bool) -> bytes:
        """Read so much of both channels, by turns; what has ended plays no more.

        Args:
            samples: how much.
            is_last: nothing follows what plays now: where that ends, less is returned.
        """
        stereo = self.read_both(samples)
        if stereo is not None:
            return stereo
        blocks = self._read_tracks(samples)
        if is_last:
            samples = max(map(len, blocks.values()), default=0)
        heard = self._held(samples) if self._is_held else blocks.get(_INTERNAL, b"")
        if self._is_conference and not self._is_held and blocks.get(_CONSULTED):
            heard = _mixed(heard, blocks[_CONSULTED])
        said = blocks.get(_EXTERNAL, b"")
        return channels.interleave(_padded(said, samples), _padded(heard, samples))

    def close(self) -> None:
        """Let go of every source. It may be repeated."""
        for channel in tuple(self._tracks):
            self._stop(channel)
        self._stop_music()

    def _read_tracks(self, samples: int) -> dict[str, bytes]:
        read: dict[int, tuple[bytes, ...]] = {}
        blocks: dict[str, bytes] = {}
        for channel, track in tuple(self._tracks.items()):
            key = id(track.source)
            if key not in read:
                read[key] = self._read_source(track.source, samples)
            blocks[channel] = read[key][track.side]
            if len(blocks[channel]) < samples:
                self._stop(channel)
        return blocks

    def _read_source(self, source: Source, samples: int) -> tuple[bytes, ...]:
        try:
            return source.read(samples)
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._problems.append(f"an audio file could not be read to its end: {reason}")
            return (b"",) * source.channels

    def _held(self, samples: int) -> bytes:
        """What the customer hears on hold: the music, from its start again and again."""
        heard = b""
        while self._music_spec is not None and len(heard) < samples:
            from_start = self._music is None
            if self._music is None:
                self._music = self._open(self._music_spec)
            more = b""
            if self._music is not None:
                (more,) = self._read_source(self._music, samples - len(heard))
            heard += more
            if len(heard) < samples:
                self._stop_music()
                if from_start and not more:  # it cannot be played at all
                    self._music_spec = None
        return heard

    def _open(self, spec: SourceSpec) -> Source | None:
        """Open what is to be played now; the call goes on without it where that fails."""
        try:
            return spec.open()
        except MediaError as error:
            self._problems.append(str(error))
        except OSError as error:
            reason = error.strerror or type(error).__name__
            self._problems.append(f"an audio file could not be opened: {reason}")
        return None

    def _stop(self, channel: str) -> None:
        self._both = None
        track = self._tracks.pop(channel, None)
        if track is not None and all(
            other.source is not track.source for other in self._tracks.values()
        ):
            track.source.close()

    def _stop_music(self) -> None:
        if self._music is not None:
            self._music.close()
            self._music = None


def _padded(block: bytes, samples: int) -> bytes:
    return block + ulaw.silence(samples - len(block)) if len(block) < samples else block


def _mixed(one: bytes, other: bytes) -> bytes:
    """What is heard where two talk at once: their sum, as loud as it can get."""
    samples = max(len(one), len(other))
    linear = ulaw.decode(_padded(one, samples)).astype(np.int32)
    linear += ulaw.decode(_padded(other, samples))
    return ulaw.encode(np.clip(linear, -32768, 32767).astype(np.int16))
