"""Media parameters, the offer, and the selection (protocol section 9)."""

from __future__ import annotations

import msgspec
import pytest

from openaudiohook.protocol.media import (
    MediaParameter,
    ns_to_samples,
    offer_for,
    samples_to_ns,
    select_media,
)
from openaudiohook.protocol.types import Channel, MediaFormat

pytestmark = pytest.mark.unit

EXTERNAL, INTERNAL = Channel.EXTERNAL, Channel.INTERNAL


@pytest.mark.parametrize(
    ("media_format", "channels", "frame_bytes"),
    [
        (MediaFormat.PCMU, (EXTERNAL,), 1),
        (MediaFormat.PCMU, (EXTERNAL, INTERNAL), 2),
        (MediaFormat.L16, (INTERNAL,), 2),
        (MediaFormat.L16, (INTERNAL, EXTERNAL), 4),
    ],
)
def test_bytes_of_one_sample_in_every_channel(
    media_format: MediaFormat, channels: tuple[Channel, ...], frame_bytes: int
) -> None:
    assert MediaParameter(format=media_format, channels=channels).frame_bytes == frame_bytes


@pytest.mark.parametrize(
    "channels",
    [(), (EXTERNAL, EXTERNAL), (EXTERNAL, INTERNAL, EXTERNAL), (INTERNAL, INTERNAL)],
)
def test_channels_are_one_or_two_and_distinct(channels: tuple[Channel, ...]) -> None:
    with pytest.raises(ValueError, match="channels must hold"):
        MediaParameter(channels=channels)


@pytest.mark.parametrize(
    "text",
    [
        '{"type": "video", "format": "PCMU", "channels": ["external"], "rate": 8000}',
        '{"type": "audio", "format": "OPUS", "channels": ["external"], "rate": 8000}',
        '{"type": "audio", "format": "PCMU", "channels": ["left"], "rate": 8000}',
        '{"type": "audio", "format": "PCMU", "channels": [], "rate": 8000}',
        '{"type": "audio", "format": "PCMU", "channels": ["external"], "rate": 16000}',
        '{"type": "audio", "format": "PCMU", "channels": ["external"], "rate": "8000"}',
        '{"type": "audio", "format": "PCMU", "channels": ["external"], "rate": null}',
    ],
)
def test_media_outside_the_protocol_are_not_read(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(text, type=MediaParameter)


def test_media_keep_the_order_of_their_channels_on_the_wire() -> None:
    text = b'{"type":"audio","format":"PCMU","channels":["internal","external"],"rate":8000}'
    media = msgspec.json.decode(text, type=MediaParameter)
    assert media.channels == (INTERNAL, EXTERNAL)
    assert msgspec.json.encode(media) == text


def test_samples_and_nanoseconds_convert_exactly() -> None:
    day = 24 * 3600 * 8000
    assert samples_to_ns(1) == 125_000
    assert samples_to_ns(day) == 24 * 3600 * 1_000_000_000
    assert ns_to_samples(samples_to_ns(day + 1)) == day + 1
    assert ns_to_samples(124_999) == 0
    assert ns_to_samples(125_000) == 1


def test_a_stereo_integration_offers_stereo_then_each_channel() -> None:
    assert [media.channels for media in offer_for("both")] == [
        (EXTERNAL, INTERNAL),
        (EXTERNAL,),
        (INTERNAL,),
    ]


@pytest.mark.parametrize("channel", ["external", "internal"])
def test_a_single_channel_integration_offers_that_channel_alone(channel: str) -> None:
    assert [media.channels for media in offer_for(channel)] == [(Channel(channel),)]  # type: ignore[arg-type]


STEREO, MONO, _ = offer_for("both")
L16 = MediaParameter(format=MediaFormat.L16)


def test_the_first_pcmu_offer_is_selected_unmodified() -> None:
    offered = [L16, MediaParameter(channels=(INTERNAL, EXTERNAL)), MONO]
    assert select_media(offered) is offered[1]


def test_a_test_decides_what_is_usable() -> None:
    assert select_media([STEREO, MONO], lambda media: len(media.channels) == 1) is MONO


def test_a_list_decides_what_is_usable_and_the_offer_its_order() -> None:
    assert select_media([STEREO, MONO, L16], [L16, MONO]) is MONO


@pytest.mark.parametrize("offered", [[], [L16]])
def test_nothing_usable_is_nothing(offered: list[MediaParameter]) -> None:
    assert select_media(offered) is None
