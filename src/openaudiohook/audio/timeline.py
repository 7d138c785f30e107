"""The account of one stream in samples: what was audio, what was a gap, and where.

Audio and gaps tile the line from its start to its position exactly: no overlap, no hole. A
stream says where it is twice, by the audio it carries and by the spans it reports as missing
(`resumed` and `discarded`, protocol section 9.4); this is where the two are made to agree.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from openaudiohook.exceptions import MediaError

__all__ = ["UNACCOUNTED", "Span", "Timeline"]

UNACCOUNTED = "unaccounted"
"""The cause of a gap that nobody reported: a span was said to start ahead of the audio's end."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of the line, in samples.

    Attributes:
        start: its first sample.
        length: how many samples it has, at least one.
        cause: why there is no audio, or None where there is.
    """

    start: int
    length: int
    cause: str | None

    @property
    def end(self) -> int:
        """The first sample after it."""
        return self.start + self.length


class Timeline:
    """One stream's samples, in order, from where it started.

    A reconnected stream starts at the position of its `open`, not at zero.

    Attributes:
        start: the position of the first sample.
        position: the position of the next sample.
    """

    __slots__ = ("_gaps", "_missing", "position", "start")

    def __init__(self, *, start: int = 0) -> None:
        if start < 0:
            raise MediaError(f"a position cannot be negative: {start}")
        self.start = start
        self.position = start
        self._gaps: list[Span] = []
        self._missing = 0

    @property
    def gaps(self) -> tuple[Span, ...]:
        """Every gap, in order; neighbours of one cause are one gap."""
        return tuple(self._gaps)

    @property
    def audio_samples(self) -> int:
        """How many samples were audio."""
        return self.position - self.start - self._missing

    @property
    def gap_samples(self) -> int:
        """How many samples were not."""
        return self._missing

    def audio(self, samples: int) -> None:
        """Account for audio of that many samples at the position."""
        if samples < 0:
            raise MediaError(f"audio cannot have {samples} samples")
        self.position += samples

    def gap(self, start: int, length: int, *, cause: str) -> int:
        """Account for a reported gap, and return how many samples the position moved.

        That many samples of silence keep a recording on the line. A gap that starts ahead of the
        position is preceded by one of cause `UNACCOUNTED`; one of length zero at the position
        changes nothing.

        Raises:
            MediaError: the gap has a negative length, or starts before the position: that audio
                has been accounted for. Nothing is changed.
        """
        if length < 0:
            raise MediaError(f"a gap cannot have {length} samples")
        if start < self.position:
            raise MediaError(
                f"a gap starts at sample {start}, before the stream's position {self.position}"
            )
        return self.advance(start, cause=UNACCOUNTED) + self.advance(start + length, cause=cause)

    def advance(self, position: int, *, cause: str) -> int:
        """Account for everything up to `position` as a gap; return how many samples that is.

        Raises:
            MediaError: the position is behind the stream's. Nothing is changed.
        """
        length = position - self.position
        if length < 0:
            raise MediaError(
                f"a stream at sample {self.position} cannot go back to sample {position}"
            )
        if length == 0:
            return 0
        last = self._gaps[-1] if self._gaps else None
        if last is not None and last.cause == cause and last.end == self.position:
            self._gaps[-1] = Span(last.start, last.length + length, cause)
        else:
            self._gaps.append(Span(self.position, length, cause))
        self._missing += length
        self.position = position
        return length

    def spans(self) -> Iterator[Span]:
        """Yield audio and gaps in order; together they are the line from start to position."""
        at = self.start
        for gap in self._gaps:
            if gap.start > at:
                yield Span(at, gap.start - at, None)
            yield gap
            at = gap.end
        if self.position > at:
            yield Span(at, self.position - at, None)
