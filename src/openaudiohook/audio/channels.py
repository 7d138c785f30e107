"""The two channels of a stereo frame, apart and together (protocol section 9.2).

A stereo frame holds one sample of the first channel, one of the second, and so on; a sample is
1 byte (mu-law) or 2 (L16). The frame's first channel is `external` unless the selected media
says otherwise. Nothing here looks at the samples, so the byte order of L16 does not matter.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from openaudiohook.exceptions import MediaError

__all__ = ["interleave", "reorder", "select", "split", "views"]

_SAMPLE: dict[int, np.dtype[Any]] = {1: np.dtype(np.uint8), 2: np.dtype("<i2")}


def interleave(
    external: bytes | bytearray | memoryview,
    internal: bytes | bytearray | memoryview,
    *,
    sample_size: int = 1,
) -> bytes:
    """Return one stereo frame of two channels, the first argument's samples first.

    Raises:
        MediaError: the channels differ in length, or end within a sample.
    """
    if len(external) != len(internal):
        raise MediaError(
            "both channels of a stereo frame have the same length; "
            f"got {len(external)} and {len(internal)} bytes"
        )
    _check(len(external), sample_size, channels=1)
    if sample_size == 1:
        # Slices of a bytearray beat numpy at frame size: no array is set up.
        joined = bytearray(2 * len(external))
        joined[::2] = external
        joined[1::2] = internal
        return bytes(joined)
    frame = np.empty((len(external) // sample_size, 2), _SAMPLE[sample_size])
    frame[:, 0] = np.frombuffer(external, frame.dtype)
    frame[:, 1] = np.frombuffer(internal, frame.dtype)
    return frame.tobytes()


def split(frame: bytes | bytearray | memoryview, *, sample_size: int = 1) -> tuple[bytes, bytes]:
    """Return the first and the second channel of a stereo frame.

    Raises:
        MediaError: the frame ends within a sample.
    """
    return select(frame, 0, sample_size=sample_size), select(frame, 1, sample_size=sample_size)


def select(frame: bytes | bytearray | memoryview, channel: int, *, sample_size: int = 1) -> bytes:
    """Return one channel of a stereo frame: 0 is the frame's first, 1 its second.

    Raises:
        MediaError: the frame ends within a sample.
    """
    if channel not in (0, 1):
        raise ValueError(f"a stereo frame has channels 0 and 1, not {channel}")
    if sample_size == 1:
        _check(len(frame), sample_size, channels=2)
        return bytes(frame)[channel::2]
    return views(frame, sample_size=sample_size)[channel].tobytes()


def reorder(frame: bytes | bytearray | memoryview, *, sample_size: int = 1) -> bytes:
    """Return a stereo frame with its two channels swapped.

    Raises:
        MediaError: the frame ends within a sample.
    """
    _check(len(frame), sample_size, channels=2)
    return np.frombuffer(frame, _SAMPLE[sample_size]).reshape(-1, 2)[:, ::-1].tobytes()


def views(
    frame: bytes | bytearray | memoryview, *, channels: int = 2, sample_size: int = 1
) -> tuple[npt.NDArray[np.uint8] | npt.NDArray[np.int16], ...]:
    """Return one array a channel that looks into the frame's own memory, nothing copied.

    The arrays are uint8 for mu-law and little-endian int16 for L16, read-only where the frame
    is. They are valid for as long as the frame's buffer is.

    Raises:
        MediaError: the frame ends within a sample.
    """
    _check(len(frame), sample_size, channels=channels)
    samples = np.frombuffer(frame, _SAMPLE[sample_size]).reshape(-1, channels)
    return tuple(samples[:, channel] for channel in range(channels))


def _check(size_bytes: int, sample_size: int, *, channels: int) -> None:
    if sample_size not in _SAMPLE:
        raise ValueError(f"a sample has 1 byte (mu-law) or 2 (L16), not {sample_size}")
    if size_bytes % (sample_size * channels):
        raise MediaError(
            f"{size_bytes} bytes are not a whole number of samples: "
            f"{channels} x {sample_size} bytes each"
        )
