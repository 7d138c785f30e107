"""The contract's own types: channel views, capabilities, factories."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import pytest

from openaudiohook.host.consumer import (
    AudioFrame,
    Capabilities,
    Channel,
    Consumer,
    MediaFormat,
    MediaParameter,
    Participant,
    Reply,
    SessionInfo,
    channel_bytes,
    per_session,
)

pytestmark = pytest.mark.unit

BOTH = (Channel.EXTERNAL, Channel.INTERNAL)


def frame(payload: bytes, media: MediaParameter) -> AudioFrame:
    return AudioFrame(payload, 0, len(payload) // media.frame_bytes, media)


class Loudness(Consumer):
    name = "loudness"
    capabilities = Capabilities(languages=("en-US",))

    def __init__(self, options: Mapping[str, Any]) -> None:
        self.options = options

    async def open(self, session: SessionInfo, reply: Reply) -> None: ...


def test_each_channel_of_a_stereo_frame_is_found() -> None:
    stereo = frame(b"eiEI", MediaParameter())
    assert channel_bytes(stereo, Channel.EXTERNAL) == b"eE"
    assert channel_bytes(stereo, Channel.INTERNAL) == b"iI"


def test_the_negotiated_order_decides_which_byte_is_whose() -> None:
    swapped = frame(b"ieIE", MediaParameter(channels=BOTH[::-1]))
    assert channel_bytes(swapped, Channel.EXTERNAL) == b"eE"
    assert channel_bytes(swapped, Channel.INTERNAL) == b"iI"


def test_l16_channels_are_whole_samples() -> None:
    media = MediaParameter(format=MediaFormat.L16)
    stereo = frame(struct.pack("<4h", 1, -2, 300, -400), media)
    assert channel_bytes(stereo, Channel.EXTERNAL) == struct.pack("<2h", 1, 300)
    assert channel_bytes(stereo, Channel.INTERNAL) == struct.pack("<2h", -2, -400)


def test_a_mono_frame_is_its_channel_uncopied() -> None:
    mono = frame(b"abc", MediaParameter(channels=(Channel.INTERNAL,)))
    assert channel_bytes(mono, Channel.INTERNAL) is mono.payload


def test_a_channel_the_session_does_not_carry_is_an_error_that_names_both() -> None:
    mono = frame(b"abc", MediaParameter(channels=(Channel.INTERNAL,)))
    with pytest.raises(ValueError, match="carries internal, not external"):
        channel_bytes(mono, Channel.EXTERNAL)


@pytest.mark.parametrize(
    ("capabilities", "media", "expected"),
    [
        (Capabilities(), MediaParameter(), True),
        (Capabilities(), MediaParameter(format=MediaFormat.L16), False),
        (Capabilities(channels=BOTH), MediaParameter(channels=BOTH[:1]), False),
        (Capabilities(channels=BOTH), MediaParameter(channels=BOTH[::-1]), True),
    ],
)
def test_capabilities_say_which_media_is_of_use(
    capabilities: Capabilities, media: MediaParameter, expected: bool
) -> None:
    assert capabilities.can_use(media) is expected


def test_representations_show_no_personal_data() -> None:
    session = SessionInfo(
        session_id="s",
        conversation_id="c",
        organization_id="o",
        participant=Participant(id="p", ani="tel:+15550100", ani_name="Erika", dnis="tel:+1800"),
        media=None,
        custom_config={"secret": "x"},
    )
    assert repr(session) == "SessionInfo(session_id='s')"


def test_a_class_becomes_a_factory_with_its_name_and_options() -> None:
    factory = per_session(Loudness)({"limit": 3})
    first, second = factory.create(), factory.create()
    assert (factory.name, factory.capabilities.languages) == ("loudness", ("en-US",))
    assert isinstance(first, Loudness)
    assert first is not second
    assert first.options == {"limit": 3}


@pytest.mark.anyio
async def test_a_plain_factory_needs_no_start_and_the_base_class_does_nothing() -> None:
    factory = per_session(Loudness)({})
    await factory.start(None)  # type: ignore[arg-type]
    consumer = factory.create()
    consumer.audio(frame(b"ab", MediaParameter()))
    consumer.paused(0)
    consumer.resumed(0, 0)
    consumer.discarded(0, 0)
    consumer.updated(None, 0)
    await consumer.close("end")
    await factory.stop()
