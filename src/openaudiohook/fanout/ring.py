"""The last 30 s of one call, written once and read by every endpoint at its own place.

Audio is stereo mu-law, external sample first. Beside it lies the history: where the call was
paused, resumed, cut or changed its language, in the order in which it happened. A span in which
nothing may leave takes place in the ring and has no audio there: it is overwritten with silence.
What was written may still be withdrawn; then it is erased, and a gap of the call from there on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

from openaudiohook.audio.channels import reorder
from openaudiohook.exceptions import LocalProtocolError, MediaError
from openaudiohook.protocol.media import SAMPLE_RATE, MediaParameter
from openaudiohook.protocol.types import Channel, MediaFormat

if TYPE_CHECKING:
    from hashlib import _Hash as HASH

__all__ = ["SILENCE", "Discarded", "Layout", "Paused", "Record", "Resumed", "Ring", "Updated"]

# Endpoints that keep up are at one place; those a little behind it find theirs here.
_REMEMBERED_DIGESTS: Final = 16

SILENCE: Final = 0xFF
"""The mu-law code of silence."""


@dataclass(frozen=True, slots=True)
class Paused:
    """The call is paused from `position` on."""

    position: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The call goes on at `position`; the pause began at `start`."""

    position: int
    start: int


@dataclass(frozen=True, slots=True)
class Discarded:
    """The call has no audio from `position` up to `end`, and not because of a pause."""

    position: int
    end: int


@dataclass(frozen=True, slots=True)
class Updated:
    """The media language from `position` on."""

    position: int
    language: str


Record: TypeAlias = Paused | Resumed | Discarded | Updated


class Layout:
    """How an endpoint wants the ring's samples; one for each selected media."""

    __slots__ = (
        "_digests",
        "_payload",
        "_samples",
        "_start",
        "channels",
        "offset",
        "sample_bytes",
        "step",
    )

    def __init__(self, channels: tuple[Channel, ...]) -> None:
        self.channels = channels
        self.sample_bytes = len(channels)
        self.step = 3 - len(channels)
        self.offset = 1 if channels == (Channel.INTERNAL,) else 0
        # What was read last: endpoints at one place share one payload.
        self._start = self._samples = -1
        self._payload = b""
        self._digests: dict[int, HASH] = {}

    def remember(self, start: int, samples: int, payload: bytes) -> None:
        """Keep what was read from there, for who reads the same next."""
        self._start, self._samples, self._payload = start, samples, payload

    def forget(self) -> None:
        """Keep no audio that was read."""
        self._start = self._samples = -1
        self._payload = b""

    def digest(self, before: HASH, payload: bytes, end: int) -> HASH:
        """Return the hash of the audio up to `end`; who was sent all of it shares one.

        Args:
            before: the hash of the audio before the payload, which is left as it is.
            payload: the audio that ends there.
            end: the position after it.
        """
        digest = self._digests.get(end)
        if digest is None:
            digest = before.copy()
            digest.update(payload)
            self._digests[end] = digest
            if len(self._digests) > _REMEMBERED_DIGESTS:
                del self._digests[next(iter(self._digests))]
        return digest


class Ring:
    """One call's timeline: audio of the last `capacity` samples and the whole history.

    Attributes:
        capacity: how many samples of audio are kept.
        head: the position of the next sample.
        records: the history, in order; positions never go back.
    """

    __slots__ = ("_layouts", "_octets", "_plain", "_view", "capacity", "head", "records")

    def __init__(self, capacity: int = 30 * SAMPLE_RATE) -> None:
        if capacity < 1:
            raise ValueError(f"a ring holds at least one sample, not {capacity}")
        self.capacity = capacity
        self.head = 0
        self.records: list[Record] = []
        self._octets = bytearray(bytes((SILENCE,)) * (2 * capacity))
        self._view = memoryview(self._octets)
        self._layouts: dict[tuple[Channel, ...], Layout] = {}
        self._plain: Layout | None = None  # the one that is read as it was written

    @property
    def tail(self) -> int:
        """The position of the oldest sample that is kept."""
        return max(0, self.head - self.capacity)

    def write(self, stereo: bytes | bytearray | memoryview) -> None:
        """Append interleaved audio, external sample first.

        Raises:
            MediaError: the audio ends within a sample.
        """
        if len(stereo) % 2:
            raise MediaError(f"{len(stereo)} bytes are no whole number of stereo samples")
        at = 2 * (self.head % self.capacity)
        if at + len(stereo) <= 2 * self.capacity:
            self._view[at : at + len(stereo)] = stereo
            samples = len(stereo) // 2
            if self._plain is not None and type(stereo) is bytes:
                self._plain.remember(self.head, samples, stereo)
            self.head += samples
        else:
            self._put(memoryview(stereo))

    def skip(self, samples: int) -> None:
        """Let time pass without audio; what lay in its place is overwritten with silence."""
        if samples < 0:
            raise ValueError(f"time does not go back: {samples} samples")
        kept = min(samples, self.capacity)
        self.head += samples - kept
        self._put(memoryview(bytes((SILENCE,)) * (2 * kept)))

    def layout_for(self, media: MediaParameter) -> Layout:
        """Return the layout to read with for an endpoint that selected `media`.

        Raises:
            MediaError: the ring cannot deliver it.
        """
        if media.format is not MediaFormat.PCMU:
            raise MediaError(f"call audio is PCMU, it cannot be delivered as {media.format}")
        layout = self._layouts.setdefault(media.channels, Layout(media.channels))
        if media.channels == (Channel.EXTERNAL, Channel.INTERNAL):
            self._plain = layout
        return layout

    def read(self, start: int, samples: int, layout: Layout) -> bytes:
        """Return `samples` samples from `start` on, in the endpoint's layout.

        The payload is shared with whoever read the same samples just before.

        Raises:
            LocalProtocolError: they are no longer, or not yet, in the ring.
        """
        if layout._start == start and layout._samples == samples:
            return layout._payload
        if not self.head - self.capacity <= start <= start + samples <= self.head:
            raise LocalProtocolError(
                f"samples {start} to {start + samples} are not in the ring, "
                f"which holds {self.tail} to {self.head}"
            )
        first = 2 * (start % self.capacity)
        last = first + 2 * samples
        over = last - 2 * self.capacity
        if layout.step == 1:
            payload = bytes(self._view[first:last])
            if over > 0:
                payload += bytes(self._view[:over])
            if layout.channels[0] is not Channel.EXTERNAL:
                payload = reorder(payload)
        else:
            payload = bytes(self._octets[first + layout.offset : last : 2])
            if over > 0:
                payload += bytes(self._octets[layout.offset : over : 2])
        layout.remember(start, samples, payload)
        return payload

    def withdraw(self, start: int) -> list[int]:
        """Take back the audio from sample `start` on: erase it, and note it as discarded.

        Pauses and what else is in the history stay as they are, each at its position. It may be
        repeated.

        Returns:
            For each gap that was put into the history, the record before which it stands, by the
            number which that had until now.
        """
        if start >= self.head:
            return []
        samples = self.head - max(start, self.tail)
        self.head -= samples
        self._put(memoryview(bytes((SILENCE,)) * (2 * samples)))
        for layout in self._layouts.values():
            if layout._start + layout._samples > start:
                layout.forget()
        gaps: list[tuple[int, Discarded]] = []
        at, is_paused = start, False
        for index, record in enumerate(self.records):
            if record.position > at:
                if not is_paused:
                    gaps.append((index, Discarded(at, record.position)))
                at = record.position
            match record:
                case Paused():
                    is_paused = True
                case Resumed():
                    is_paused = False
                case Discarded():
                    at = max(at, record.end)
        if self.head > at and not is_paused:
            gaps.append((len(self.records), Discarded(at, self.head)))
        for index, gap in reversed(gaps):
            self.records.insert(index, gap)
        return [index for index, _ in gaps]

    def language_at(self, position: int) -> str | None:
        """Return the media language there; None where none was announced up to it."""
        language = None
        for record in self.records:
            if record.position > position:
                break
            if isinstance(record, Updated):
                language = record.language
        return language

    def audio_after(
        self, position: int, *, index: int, is_paused: bool, until: int | None = None
    ) -> int:
        """Count the samples of audio from `position` on, pauses and gaps left out.

        Args:
            position: where to count from.
            index: the first record that is not applied there.
            is_paused: whether the call is paused there.
            until: where to stop; at the head where it is None.
        """
        end = self.head if until is None else until
        count, at = 0, position
        for record in self.records[index:]:
            if record.position >= end:
                break
            if record.position > at:  # an endpoint may be within a gap that was put in later
                if not is_paused:
                    count += record.position - at
                at = record.position
            match record:
                case Paused():
                    is_paused = True
                case Resumed():
                    is_paused = False
                case Discarded():
                    at = max(at, record.end)
        return count if is_paused else count + max(0, end - at)

    def _put(self, octets: memoryview) -> None:
        samples = len(octets) // 2
        if samples > self.capacity:
            octets = octets[2 * (samples - self.capacity) :]
        at = 2 * ((self.head + samples - len(octets) // 2) % self.capacity)
        room = 2 * self.capacity - at
        self._view[at : at + min(room, len(octets))] = octets[:room]
        if room < len(octets):
            self._view[: len(octets) - room] = octets[room:]
        self.head += samples
