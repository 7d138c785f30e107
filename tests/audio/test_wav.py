from __future__ import annotations

import io
import os
import struct

import pytest

from openaudiohook.audio import wav
from openaudiohook.exceptions import MediaError

pytestmark = pytest.mark.unit

GUID = bytes.fromhex("000000001000800000aa00389b71")


def info(data: bytes) -> wav.WavInfo:
    return wav.read_info(io.BytesIO(data), name="caller.wav")


def refusal(data: bytes) -> str:
    with pytest.raises(MediaError) as caught:
        info(data)
    text = str(caught.value)
    assert text.startswith("caller.wav: ")
    return text


def test_tells_what_a_plain_file_holds(riff) -> None:
    file = io.BytesIO(riff(b"audio-", channels=2))
    found = wav.read_info(file, name="x")
    assert found == wav.WavInfo(
        format_tag=7,
        channels=2,
        rate=8000,
        bits=8,
        samples=3,
        missing_samples=0,
        data_offset=44,
    )
    assert not found.is_truncated
    assert file.read() == b"audio-"


def test_skips_chunks_it_does_not_know_with_their_padding(riff) -> None:
    unknown = b"LIST" + struct.pack("<I", 3) + b"odd\x00" + b"bext" + struct.pack("<I", 0)
    found = info(riff(b"abc", before=unknown, after=b"cue " + struct.pack("<I", 4) + b"tail"))
    assert (found.samples, found.missing_samples) == (3, 0)


def test_the_first_format_chunk_counts(riff) -> None:
    second = b"fmt " + struct.pack("<IHHIIHH", 16, 1, 9, 1, 1, 1, 16)
    assert info(riff(b"abc", before=second)).channels == 1


def test_a_long_format_chunk_is_read_for_what_is_known_of_it(riff) -> None:
    fmt = struct.pack("<HHIIHH", 7, 1, 8000, 8000, 1, 8) + bytes(101)
    assert info(riff(b"abcd", fmt=fmt)).samples == 4


@pytest.mark.parametrize(("tag", "bits"), [(1, 16), (7, 8)])
def test_reads_the_codec_out_of_an_extensible_format(riff, tag: int, bits: int) -> None:
    fmt = struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 8000, bits // 8, bits)
    fmt += struct.pack("<HHIH", 22, bits, 4, tag) + GUID
    found = info(riff(b"abcd", fmt=fmt))
    assert (found.format_tag, found.samples) == (tag, 4 * 8 // bits)


def test_an_extensible_format_that_is_cut_or_private_is_refused(riff) -> None:
    fmt = struct.pack("<HHIIHH", 0xFFFE, 1, 8000, 8000, 1, 8)
    assert "has 40 bytes; this one has 16" in refusal(riff(b"abcd", fmt=fmt))
    private = fmt + struct.pack("<HHIH", 22, 8, 4, 7) + bytes(14)
    assert "not a registered one" in refusal(riff(b"abcd", fmt=private))


@pytest.mark.parametrize("open_size", [0xFFFF_FFFF, 0x7FFF_F000, 0])
def test_open_sizes_mean_to_the_end_of_the_file(riff, open_size: int) -> None:
    found = info(riff(b"abcde", data_size=open_size, riff_size=open_size))
    assert (found.samples, found.missing_samples) == (5, 0)


def test_open_sizes_are_not_bounded_by_32_bits(riff, tmp_path) -> None:
    path = tmp_path / "long.wav"
    head = riff(b"", data_size=0xFFFF_FFFF, riff_size=0xFFFF_FFFF)
    path.write_bytes(head)
    os.truncate(path, len(head) + 5 * 2**30)  # a hole: takes no room on the disk
    with path.open("rb") as file:
        assert wav.read_info(file, name="long.wav").samples == 5 * 2**30


def test_a_settled_size_of_zero_means_nothing_whatever_follows(riff) -> None:
    assert info(riff(b"", after=b"LIST" + struct.pack("<I", 2) + b"ab")).samples == 0


def test_missing_audio_is_told(riff) -> None:
    found = info(riff(b"abcdefg", channels=2, data_size=20))
    assert (found.samples, found.missing_samples, found.is_truncated) == (3, 7, True)


def test_half_a_sample_at_the_end_is_not_a_sample(riff) -> None:
    found = info(riff(b"abcdefg", tag=1, bits=16, channels=2))
    assert (found.samples, found.missing_samples) == (1, 0)


def test_an_empty_file_is_refused() -> None:
    assert "the file is empty; a WAV file is needed" in refusal(b"")


@pytest.mark.parametrize("data", [b"OggS" + bytes(40), b"RIFF\x10\0\0\0AVI " + bytes(40), b"\x00"])
def test_what_is_no_wav_is_refused(data: bytes) -> None:
    assert "not a WAV file" in refusal(data)


@pytest.mark.parametrize("kind", ["RF64", "BW64", "RIFX"])
def test_relatives_of_wav_are_refused_by_name(riff, kind: str) -> None:
    assert f"an {kind} file; an ordinary (RIFF) WAV" in refusal(kind.encode() + riff(b"abcd")[4:])


def test_a_header_cut_anywhere_is_refused_as_truncated(riff) -> None:
    whole = riff(b"abcd", before=b"LIST" + struct.pack("<I", 4) + b"name")
    header = whole.index(b"abcd")
    for size in range(1, header):
        assert "truncated" in refusal(whole[:size])
    assert info(whole[:header]).missing_samples == 4


def test_data_before_its_format_is_refused() -> None:
    text = refusal(b"RIFF" + struct.pack("<I", 16) + b"WAVEdata" + struct.pack("<I", 4) + b"abcd")
    assert "'data' chunk comes before the 'fmt ' chunk" in text


@pytest.mark.parametrize(
    ("wrong", "text"),
    [
        ({"fmt": bytes(14)}, "has 14 bytes; at least 16 are needed"),
        ({"channels": 0}, "0 channels at 8000 Hz"),
        ({"rate": 0}, "1 channels at 0 Hz"),
        ({"bits": 0}, "0 bits a sample"),
        ({"bits": 12}, "12 bits a sample"),
        ({"align": 3}, "1 channels of 8 bits are 1 bytes, and it says 3"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(riff, wrong: dict, text: str) -> None:
    assert text in refusal(riff(b"abcd", **wrong))


def test_a_pipe_is_refused_with_the_remedy() -> None:
    read_end, write_end = os.pipe()
    os.close(write_end)
    with (
        os.fdopen(read_end, "rb") as pipe,
        pytest.raises(MediaError, match="it is a pipe; save it to a file first"),
    ):
        wav.read_info(pipe, name="-")


def test_codecs_are_named_with_their_number() -> None:
    assert wav.codec_name(6) == "A-law (6)"
    assert wav.codec_name(0x1234) == "codec (4660)"
