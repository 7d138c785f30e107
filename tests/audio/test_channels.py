from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.audio import channels
from openaudiohook.exceptions import MediaError

pytestmark = pytest.mark.unit

SIZES = st.sampled_from([1, 2])


@st.composite
def two_channels(draw: st.DrawFn) -> tuple[bytes, bytes, int]:
    size = draw(SIZES)
    length = size * draw(st.integers(0, 200))
    exactly = st.binary(min_size=length, max_size=length)
    return draw(exactly), draw(exactly), size


def test_samples_alternate_external_first() -> None:
    assert channels.interleave(b"ACE", b"bdf") == b"AbCdEf"
    assert channels.interleave(b"AaCc", b"1234", sample_size=2) == b"Aa12Cc34"


@given(two_channels())
def test_splitting_undoes_interleaving(case: tuple[bytes, bytes, int]) -> None:
    external, internal, size = case
    frame = channels.interleave(external, internal, sample_size=size)
    assert len(frame) == 2 * len(external)
    assert channels.split(frame, sample_size=size) == (external, internal)
    assert channels.select(frame, 0, sample_size=size) == external
    assert channels.select(frame, 1, sample_size=size) == internal


@given(two_channels())
def test_reordering_swaps_the_channels_and_twice_is_nothing(
    case: tuple[bytes, bytes, int],
) -> None:
    external, internal, size = case
    frame = channels.interleave(external, internal, sample_size=size)
    swapped = channels.reorder(frame, sample_size=size)
    assert swapped == channels.interleave(internal, external, sample_size=size)
    assert channels.reorder(swapped, sample_size=size) == frame


@given(two_channels())
def test_views_hold_the_samples(case: tuple[bytes, bytes, int]) -> None:
    external, internal, size = case
    frame = channels.interleave(external, internal, sample_size=size)
    first, second = channels.views(frame, sample_size=size)
    assert first.tobytes() == external
    assert second.tobytes() == internal
    (only,) = channels.views(external, channels=1, sample_size=size)
    assert only.tobytes() == external


def test_views_look_into_the_frame_itself() -> None:
    frame = bytearray(b"AbCd")
    external, _ = channels.views(frame)
    frame[2] = ord("X")
    assert external.tobytes() == b"AX"
    assert not channels.views(bytes(frame))[0].flags.writeable


def test_l16_views_are_little_endian_samples() -> None:
    external, internal = channels.views(b"\x01\x00\xff\xff", sample_size=2)
    assert (external.tolist(), internal.tolist()) == ([1], [-1])


@pytest.mark.parametrize("size", [1, 2])
@pytest.mark.parametrize("kind", [bytearray, memoryview])
def test_any_kind_of_bytes_will_do(kind: type, size: int) -> None:
    frame = kind(b"AbCd")
    whole = bytes(frame)
    assert channels.split(frame, sample_size=size) == channels.split(whole, sample_size=size)
    assert channels.reorder(frame, sample_size=size) == channels.reorder(whole, sample_size=size)
    joined = channels.interleave(frame, frame, sample_size=size)
    assert joined == channels.interleave(whole, whole, sample_size=size)


def test_channels_of_unequal_length_are_refused() -> None:
    with pytest.raises(MediaError, match="4 and 2 bytes"):
        channels.interleave(b"abcd", b"ab")


@pytest.mark.parametrize(("length", "size"), [(1, 1), (3, 1), (2, 2), (6, 2), (5, 2)])
def test_frames_that_end_within_a_sample_are_refused(length: int, size: int) -> None:
    for operation in (channels.split, channels.reorder, channels.views):
        with pytest.raises(MediaError, match=f"{length} bytes are not a whole number of samples"):
            operation(bytes(length), sample_size=size)


def test_half_an_l16_sample_in_a_channel_is_refused() -> None:
    with pytest.raises(MediaError, match="whole number"):
        channels.interleave(b"abc", b"abc", sample_size=2)


def test_sample_sizes_and_channels_that_do_not_exist_are_refused() -> None:
    with pytest.raises(ValueError, match="1 byte"):
        channels.split(b"", sample_size=4)
    with pytest.raises(ValueError, match="channels 0 and 1"):
        channels.select(b"ab", 2)
