"""Media parameters, offer and selection, and the samples they count (protocol section 9)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal

import msgspec

from openaudiohook.protocol.types import Channel, MediaFormat

__all__ = [
    "NS_PER_SAMPLE",
    "SAMPLE_RATE",
    "MediaParameter",
    "ns_to_samples",
    "offer_for",
    "samples_to_ns",
    "select_media",
    "selection_problem",
]

SAMPLE_RATE: Final = 8_000
NS_PER_SAMPLE: Final = 125_000

_SAMPLE_BYTES: Final = {MediaFormat.PCMU: 1, MediaFormat.L16: 2}


class MediaParameter(msgspec.Struct, frozen=True, kw_only=True):
    """One format of the offer, or the selected one (protocol sections 4.3 and 9.1).

    `channels` is also the order of the samples in a frame.
    """

    type: Literal["audio"] = "audio"
    format: MediaFormat = MediaFormat.PCMU
    channels: tuple[Channel, ...] = (Channel.EXTERNAL, Channel.INTERNAL)
    rate: Literal[8000] = 8000

    def __post_init__(self) -> None:
        if not 1 <= len(self.channels) <= 2 or len(set(self.channels)) != len(self.channels):
            raise ValueError("channels must hold external, internal, or each once")

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample in every channel."""
        return _SAMPLE_BYTES[self.format] * len(self.channels)


def samples_to_ns(samples: int) -> int:
    """Convert a sample count at 8 kHz to nanoseconds, exactly."""
    return samples * NS_PER_SAMPLE


def ns_to_samples(ns: int) -> int:
    """Convert nanoseconds to whole samples at 8 kHz, rounding down to the sample begun."""
    return ns // NS_PER_SAMPLE


def offer_for(channels: Literal["both", "external", "internal"]) -> tuple[MediaParameter, ...]:
    """Make the platform's offer, in its order: stereo, external only, internal only.

    A single-channel integration is offered that channel alone.
    """
    if channels != "both":
        return (MediaParameter(channels=(Channel(channels),)),)
    return (
        MediaParameter(),
        MediaParameter(channels=(Channel.EXTERNAL,)),
        MediaParameter(channels=(Channel.INTERNAL,)),
    )


def select_media(
    offered: Sequence[MediaParameter],
    usable: Callable[[MediaParameter], bool] | Iterable[MediaParameter] | None = None,
) -> MediaParameter | None:
    """Take the first offer that is usable, unmodified (protocol section 9.5).

    Args:
        offered: the offers in the client's order of preference.
        usable: a test, or the acceptable parameters; without it PCMU alone is usable.

    Returns:
        The chosen offer, or None where nothing fits.
    """
    if usable is None:
        test: Callable[[MediaParameter], bool] = lambda m: m.format is MediaFormat.PCMU  # noqa: E731
    elif callable(usable):
        test = usable
    else:
        test = frozenset(usable).__contains__
    return next((media for media in offered if test(media)), None)


def selection_problem(
    selected: Sequence[MediaParameter], *, offered: Sequence[MediaParameter]
) -> str | None:
    """Return what is wrong with the media that `opened` selects (protocol section 6.1), or None."""
    if len(selected) > 1:
        return "opened selects more than one media"
    if selected and selected[0] not in offered:
        return "opened selects media that was not offered"
    return None
