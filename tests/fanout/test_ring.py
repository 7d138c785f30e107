from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.exceptions import LocalProtocolError, MediaError
from openaudiohook.fanout.ring import SILENCE, Discarded, Paused, Resumed, Ring, Updated
from openaudiohook.protocol.media import MediaParameter
from openaudiohook.protocol.types import Channel, MediaFormat

pytestmark = pytest.mark.unit

STEREO = MediaParameter()
EXTERNAL = MediaParameter(channels=(Channel.EXTERNAL,))
INTERNAL = MediaParameter(channels=(Channel.INTERNAL,))
SWAPPED = MediaParameter(channels=(Channel.INTERNAL, Channel.EXTERNAL))


def ring_of(audio: bytes, *, capacity: int = 100) -> Ring:
    ring = Ring(capacity)
    ring.write(audio)
    return ring


@pytest.mark.parametrize(
    ("media", "expected"),
    [(STEREO, b"aAbB"), (EXTERNAL, b"ab"), (INTERNAL, b"AB"), (SWAPPED, b"AaBb")],
)
def test_each_media_reads_its_channels(media: MediaParameter, expected: bytes) -> None:
    ring = ring_of(b"aAbBcC")
    assert ring.read(0, 2, ring.layout_for(media)) == expected


@pytest.mark.parametrize("media", [STEREO, EXTERNAL, INTERNAL, SWAPPED])
def test_reading_across_the_seam_is_in_order(media: MediaParameter) -> None:
    ring = ring_of(b"aAbBcC", capacity=4)
    ring.write(b"dDeEfF")
    expected = {
        STEREO: b"cCdDeEfF", EXTERNAL: b"cdef", INTERNAL: b"CDEF", SWAPPED: b"CcDdEeFf"
    }[media]  # fmt: skip
    assert ring.read(2, 4, ring.layout_for(media)) == expected


def test_endpoints_at_one_place_share_one_payload() -> None:
    ring = ring_of(b"aAbBcC")
    assert ring.read(0, 2, ring.layout_for(STEREO)) is ring.read(0, 2, ring.layout_for(STEREO))
    assert ring.read(1, 2, ring.layout_for(STEREO)) == b"bBcC"


@pytest.mark.parametrize(("start", "samples"), [(0, 1), (1, 2), (5, 2), (6, 1), (2, 1), (3, -1)])
def test_what_is_not_in_the_ring_cannot_be_read(start: int, samples: int) -> None:
    ring = ring_of(b"aAbBcCdDeEfF", capacity=3)
    assert ring.tail == 3
    with pytest.raises(LocalProtocolError, match="are not in the ring, which holds 3 to 6"):
        ring.read(start, samples, ring.layout_for(STEREO))


def test_half_a_sample_is_refused_and_nothing_changes() -> None:
    ring = ring_of(b"aA")
    with pytest.raises(MediaError, match="3 bytes are no whole number of stereo samples"):
        ring.write(b"bBc")
    assert ring.head == 1


def test_more_audio_than_fits_leaves_the_latest() -> None:
    ring = ring_of(b"aAbBcCdDeE", capacity=2)
    assert ring.head == 5
    assert ring.read(3, 2, ring.layout_for(STEREO)) == b"dDeE"


@pytest.mark.parametrize("skipped", [1, 2, 3, 4, 9])
def test_skipped_time_overwrites_what_lay_there(skipped: int) -> None:
    ring = ring_of(b"xXxXxX", capacity=3)
    ring.skip(skipped)
    assert ring.head == 3 + skipped
    count = min(skipped, 3)
    silence = bytes((SILENCE,)) * (2 * count)
    assert ring.read(ring.head - count, count, ring.layout_for(STEREO)) == silence
    assert ring._octets.count(b"x") == 3 - count


def test_time_does_not_go_back() -> None:
    with pytest.raises(ValueError, match="time does not go back"):
        Ring(3).skip(-1)


def test_a_ring_holds_something() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        Ring(0)


def test_a_ring_delivers_no_other_format() -> None:
    with pytest.raises(MediaError, match="cannot be delivered as L16"):
        Ring(3).layout_for(MediaParameter(format=MediaFormat.L16))


def test_audio_after_a_place_leaves_out_pauses_and_gaps() -> None:
    ring = Ring(100)
    ring.skip(60)
    ring.records += [
        Updated(5, "en"), Paused(10), Discarded(12, 14), Resumed(20, 10), Discarded(30, 35),
        Paused(50),
    ]  # fmt: skip
    assert ring.audio_after(0, index=0, is_paused=False) == 10 + 10 + 15
    assert ring.audio_after(15, index=3, is_paused=True) == 10 + 15
    ring.records.append(Resumed(55, 50))
    assert ring.audio_after(40, index=5, is_paused=False) == 10 + 5


@given(
    capacity=st.integers(1, 12),
    writes=st.lists(st.tuples(st.booleans(), st.integers(0, 15)), max_size=12),
    reads=st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12)), max_size=6),
)
def test_a_ring_is_the_end_of_a_list(
    capacity: int, writes: list[tuple[bool, int]], reads: list[tuple[int, int]]
) -> None:
    ring, model = Ring(capacity), bytearray()
    for is_audio, samples in writes:
        audio = bytes((len(model) + at) % 251 for at in range(2 * samples))
        if is_audio:
            ring.write(audio)
        else:
            audio = bytes((SILENCE,)) * len(audio)
            ring.skip(samples)
        model += audio
        for back, count in reads:
            start = max(ring.tail, ring.head - back)
            count = min(count, ring.head - start)
            expected = bytes(model[2 * start : 2 * (start + count)])
            assert ring.read(start, count, ring.layout_for(STEREO)) == expected
            assert ring.read(start, count, ring.layout_for(INTERNAL)) == expected[1::2]
    assert ring.head == len(model) // 2
