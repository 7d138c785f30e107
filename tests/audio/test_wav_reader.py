from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.audio import ulaw
from openaudiohook.audio.wav_reader import WavReader
from openaudiohook.exceptions import MediaError

pytestmark = pytest.mark.unit


def reader(data: bytes, *, any_rate: bool = False) -> WavReader:
    return WavReader(io.BytesIO(data), name="caller.wav", any_rate=any_rate)


def refusal(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        reader(data)
    return str(caught.value)


def test_mulaw_passes_through_untouched(riff) -> None:
    every_byte = bytes(range(256))
    assert reader(riff(every_byte)).read(1000) == (every_byte,)


def test_stereo_comes_apart(riff) -> None:
    source = reader(riff(b"AbCdEf", channels=2))
    assert source.read(2) == (b"AC", b"bd")
    assert source.position == 2
    assert source.read(2) == (b"E", b"f")
    assert source.read(2) == (b"", b"")


def test_pcm_is_encoded(riff) -> None:
    samples = np.array([[0, 1000], [-1000, 100]], "<i2")
    source = reader(riff(samples.tobytes(), tag=1, bits=16, channels=2))
    assert source.read(9) == (b"\xff\x4e", b"\xce\xf2")


def test_linear_samples_have_a_column_a_channel(riff) -> None:
    samples = np.array([[0, 1000], [-1000, 100]], "<i2")
    pcm = reader(riff(samples.tobytes(), tag=1, bits=16, channels=2))
    assert pcm.read_linear(9).tolist() == samples.tolist()
    assert pcm.read_linear(9).shape == (0, 2)
    mulaw = reader(riff(b"\xff\x80\x00"))
    assert mulaw.read_linear(2).tolist() == [[0], [32124]]


@pytest.mark.parametrize("subtype", ["ULAW", "PCM_16"])
@pytest.mark.parametrize("channels", [1, 2])
def test_reads_what_another_program_wrote(subtype: str, channels: int) -> None:
    noise = np.random.default_rng(1).integers(-32768, 32768, (999, channels)).astype(np.int16)
    file = io.BytesIO()
    soundfile.write(file, noise, 8000, format="WAV", subtype=subtype)
    source = WavReader(file, name="x")
    assert source.info.samples == 999
    if subtype == "PCM_16":
        assert source.read(2000) == tuple(ulaw.encode(noise[:, i]) for i in range(channels))
    else:
        file.seek(0)
        theirs, _ = soundfile.read(file, dtype="int16", always_2d=True)
        file.seek(source.info.data_offset)
        assert source.read_linear(2000).tolist() == theirs.tolist()


def test_blocks_add_up_to_the_file(riff) -> None:
    data = bytes(range(200))
    blocks = list(reader(riff(data)).blocks(80))
    assert [len(block[0]) for block in blocks] == [80, 80, 40]
    assert b"".join(block[0] for block in blocks) == data


def test_audio_ends_where_its_chunk_ends(riff) -> None:
    source = reader(riff(b"abc", after=b"LIST" + struct.pack("<I", 4) + b"tail"))
    assert source.read(100) == (b"abc",)


def test_a_truncated_file_is_read_for_what_is_there(riff) -> None:
    source = reader(riff(b"abcde", channels=2, data_size=40))
    assert source.info.missing_samples == 18
    assert source.read(100) == (b"ac", b"bd")


def test_a_file_that_shrinks_while_it_is_read_just_ends(riff) -> None:
    data = riff(bytes(100), channels=2)
    file = io.BytesIO(data)
    source = WavReader(file, name="x")
    source.read(10)
    file.truncate(len(data) - 61)
    assert source.read(100) == (bytes(9), bytes(9))
    assert source.position == 19
    assert source.read(100) == (b"", b"")


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"tag": 6}, "the audio is A-law (6); mu-law (7) or 16-bit PCM (1) is needed"),
        ({"tag": 3, "bits": 32}, "IEEE float (3)"),
        ({"tag": 1, "bits": 8}, "PCM (1) with 8 bits a sample; 16 bits are needed"),
        ({"tag": 1, "bits": 24}, "PCM (1) with 24 bits"),
        ({"tag": 7, "bits": 16}, "mu-law (7) with 16 bits a sample; 8 bits are needed"),
        ({"channels": 3}, "3 channels; one, or two"),
        ({"rate": 44100}, "44100 Hz; 8000 Hz is needed (the 'audio' extra can resample"),
    ],
)
def test_audio_that_cannot_be_streamed_is_refused_with_the_reason(
    riff, wrong: dict, text: str
) -> None:
    refused = refusal(riff(bytes(24), **wrong))
    assert refused.startswith("caller.wav: ")
    assert text in refused


@pytest.mark.parametrize("data", [b"", b"a"])
def test_a_file_without_audio_is_refused(riff, data: bytes) -> None:
    assert "caller.wav: the file holds no audio" in refusal(riff(data, channels=2))


def test_any_rate_is_for_those_who_resample(riff) -> None:
    samples = np.arange(10, dtype="<i2")
    source = reader(riff(samples.tobytes(), tag=1, bits=16, rate=44100), any_rate=True)
    assert source.info.rate == 44100
    assert source.read_linear(20).ravel().tolist() == samples.tolist()


@pytest.mark.parametrize("rate", [1, 999, 768_001, 0xFFFF_FFFF])
def test_a_rate_that_no_audio_has_is_refused_whoever_resamples(riff, rate: int) -> None:
    with pytest.raises(MediaError, match=f"{rate} Hz, which no audio has"):
        reader(riff(bytes(8), rate=rate), any_rate=True)


def test_lengths_that_make_no_sense_are_refused(riff) -> None:
    source = reader(riff(b"abc"))
    with pytest.raises(ValueError, match="cannot read -1"):
        source.read(-1)
    with pytest.raises(ValueError, match="at least one sample"):
        next(source.blocks(0))


def accept_or_refuse(data: bytes) -> None:
    """The one property: whole samples up to the file's own count, or a MediaError."""
    try:
        source = reader(data)
    except MediaError:
        return
    total = 0
    for block in source.blocks(64):
        assert len({len(channel) for channel in block}) == 1
        total += len(block[0])
    assert total == source.info.samples == source.position
    assert total <= len(data)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_read_or_refused(data: bytes) -> None:
    accept_or_refuse(data)


@given(st.binary(max_size=300))
def test_arbitrary_chunks_are_read_or_refused(data: bytes) -> None:
    accept_or_refuse(b"RIFF" + struct.pack("<I", len(data) + 4) + b"WAVE" + data)


@given(
    st.data(),
    st.sampled_from([1, 2, 3, 6, 7, 0xFFFE]),
    st.sampled_from([0, 1, 2, 3]),
    st.sampled_from([8, 16, 24]),
)
def test_damaged_files_are_read_or_refused(
    riff, data: st.DataObject, tag: int, channels: int, bits: int
) -> None:
    whole = bytearray(
        riff(data.draw(st.binary(max_size=200)), tag=tag, channels=channels, bits=bits)
    )
    for _ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    accept_or_refuse(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
