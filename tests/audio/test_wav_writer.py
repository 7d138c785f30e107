from __future__ import annotations

import errno
import hashlib
import io
import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.audio import tone, ulaw, wav
from openaudiohook.audio.wav_reader import WavReader
from openaudiohook.audio.wav_writer import (
    DATA_OFFSET,
    MAX_DATA_BYTES,
    WavWriter,
    audio_bytes,
    header,
    parse,
)
from openaudiohook.exceptions import MediaError

pytestmark = pytest.mark.unit

CHANNELS = st.sampled_from([1, 2])


def heard_by_soundfile(path: Path | io.BytesIO) -> list[list[int]]:
    with soundfile.SoundFile(path) as file:
        assert (file.format, file.subtype, file.samplerate) == ("WAV", "ULAW", 8000)
        return file.read(dtype="int16", always_2d=True).tolist()


def as_samples(data: bytes, channels: int) -> list[list[int]]:
    whole = data[: len(data) - len(data) % channels]
    return ulaw.decode(whole).reshape(-1, channels).tolist()


def test_the_header_is_the_one_of_the_format() -> None:
    assert header(2, 6).hex(" ") == (
        "52 49 46 46 38 00 00 00 57 41 56 45 "  # RIFF 56 WAVE
        "66 6d 74 20 12 00 00 00 07 00 02 00 40 1f 00 00 80 3e 00 00 02 00 08 00 00 00 "
        "66 61 63 74 04 00 00 00 03 00 00 00 "  # fact: 3 samples
        "64 61 74 61 06 00 00 00"
    )
    assert len(header(2, 6)) == DATA_OFFSET == 58


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("written", [0, 1, 2, 3, 7, 8, 1599, 1600, 16001])
def test_a_file_killed_at_any_moment_is_read_by_others(
    tmp_path: Path, channels: int, written: int
) -> None:
    audio = tone.block(0, written)
    path = tmp_path / "killed.wav"
    path.write_bytes(header(channels, None) + audio)
    assert heard_by_soundfile(path) == as_samples(audio, channels)
    assert wav.read_info(io.BytesIO(path.read_bytes()), name="x").samples == written // channels


def test_a_process_killed_while_it_writes_leaves_what_it_appended(tmp_path: Path) -> None:
    path = tmp_path / "killed.wav"
    program = (
        "import sys\n"
        "from openaudiohook.audio import tone\n"
        "from openaudiohook.audio.wav_writer import WavWriter\n"
        "writer = WavWriter(open(sys.argv[1], 'wb', buffering=0), channels=2)\n"
        "while True:\n"
        "    writer.append(tone.block(writer.data_bytes, 1600))\n"
        "    print(writer.samples, flush=True)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, path], stdout=subprocess.PIPE) as process:
        told = [int(process.stdout.readline()) for _ in range(5)]
        process.kill()
    heard = heard_by_soundfile(path)
    assert len(heard) >= told[-1] == 4000
    assert heard == as_samples(tone.block(0, 2 * len(heard)), 2)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("samples", [0, 1, 3, 800])
def test_a_settled_file_is_read_by_others(channels: int, samples: int) -> None:
    file = io.BytesIO()
    writer = WavWriter(file, channels=channels)
    audio = tone.block(0, samples * channels)
    writer.append(audio)
    writer.settle()
    whole = file.getvalue()
    assert len(whole) % 2 == 0
    assert struct.unpack("<I", whole[4:8]) == (len(whole) - 8,)
    assert heard_by_soundfile(io.BytesIO(whole)) == as_samples(audio, channels)
    assert parse(whole) == (channels, len(audio))
    assert audio_bytes(whole, len(whole)) == len(audio)


@given(CHANNELS, st.lists(st.one_of(st.binary(max_size=40), st.integers(0, 50)), max_size=12))
def test_what_was_appended_is_what_is_read(channels: int, parts: list[bytes | int]) -> None:
    file = io.BytesIO()
    writer = WavWriter(file, channels=channels)
    audio = b""
    for part in parts:
        if isinstance(part, int):
            writer.silence(part)
            audio += ulaw.silence(part * channels)
        else:
            writer.append(part * channels)
            audio += part * channels
        # Readable at every moment, and recovered in full.
        assert audio_bytes(file.getvalue(), len(file.getvalue())) == len(audio)
    writer.settle()
    assert writer.data_bytes == len(audio)
    assert writer.samples == len(audio) // channels
    assert writer.sha256 == hashlib.sha256(audio).hexdigest()
    assert file.getvalue()[DATA_OFFSET : DATA_OFFSET + len(audio)] == audio
    if audio:
        source = WavReader(file, name="x")
        read = source.read(len(audio))
        assert read == tuple(audio[channel::channels] for channel in range(channels))


@pytest.mark.parametrize("sizes", [(1998, 2000, 2002), (31_998, 32_000, 32_002), (70_000, 2, 8000)])
def test_the_hash_is_that_of_the_audio_however_large_its_parts(sizes: tuple[int, ...]) -> None:
    parts = [os.urandom(size) for size in sizes]
    writer = WavWriter(io.BytesIO(), channels=2)
    for part in parts:
        writer.append(part)
    assert writer.sha256 == hashlib.sha256(b"".join(parts)).hexdigest()


def test_long_silence_is_written_in_pieces() -> None:
    file = io.BytesIO()
    writer = WavWriter(file, channels=2)
    writer.silence(100_001)
    assert file.getvalue()[DATA_OFFSET:] == ulaw.silence(200_002)


def test_settling_twice_is_settling_once() -> None:
    file = io.BytesIO()
    writer = WavWriter(file, channels=1)
    writer.append(b"abc")
    writer.settle()
    once = file.getvalue()
    writer.settle()
    assert file.getvalue() == once == header(1, 3) + b"abc\x00"


def test_nothing_is_appended_to_a_settled_file() -> None:
    writer = WavWriter(io.BytesIO(), channels=1)
    writer.settle()
    with pytest.raises(MediaError, match="settled"):
        writer.append(b"a")


def test_half_a_sample_is_refused() -> None:
    file = io.BytesIO()
    writer = WavWriter(file, channels=2)
    with pytest.raises(MediaError, match="3 bytes are not whole samples of 2 channels"):
        writer.append(b"abc")
    with pytest.raises(MediaError, match="-1 samples"):
        writer.silence(-1)
    assert len(file.getvalue()) == DATA_OFFSET


class SmallDisk(io.BytesIO):
    """Takes what fits and then no more, as an unbuffered file on a full disk does."""

    room = 10**9

    def write(self, data) -> int:
        if len(data) and not self.room:
            raise OSError(errno.ENOSPC, "No space left on device")
        taken = min(len(data), self.room, 64)
        self.room -= taken
        return super().write(data[:taken])


def test_a_file_that_takes_a_part_at_a_time_gets_it_all() -> None:
    file = SmallDisk()
    writer = WavWriter(file, channels=1)
    audio = tone.block(0, 1000)
    writer.append(audio)
    assert file.getvalue()[DATA_OFFSET:] == audio


def test_a_full_disk_loses_no_step() -> None:
    file = SmallDisk()
    writer = WavWriter(file, channels=2)
    writer.append(b"AAAA")
    file.room = 101
    with pytest.raises(OSError, match="No space left"):
        writer.append(b"B" * 200)
    assert (writer.data_bytes, len(file.getvalue())) == (4, DATA_OFFSET + 105)
    file.room = 10**9
    writer.append(b"CC")
    assert file.getvalue()[DATA_OFFSET : DATA_OFFSET + 6] == b"AAAACC"
    assert writer.sha256 == hashlib.sha256(b"AAAACC").hexdigest()
    writer.settle()
    assert file.getvalue() == header(2, 6) + b"AAAACC"


def test_a_file_that_takes_nothing_is_an_error_not_a_hang() -> None:
    class Stuck(io.BytesIO):
        def write(self, data) -> int:
            return 0

    with pytest.raises(OSError, match="takes no more data"):
        WavWriter(Stuck(), channels=1)


def test_settling_that_fails_can_be_repeated() -> None:
    file = SmallDisk()
    writer = WavWriter(file, channels=1)
    writer.append(b"abc")
    file.room = 0
    with pytest.raises(OSError, match="No space left"):
        writer.settle()
    assert audio_bytes(file.getvalue(), len(file.getvalue())) == 3
    file.room = 10**9
    writer.settle()
    assert file.getvalue() == header(1, 3) + b"abc\x00"


def test_beyond_four_gibibytes_the_sizes_stay_open() -> None:
    last = header(2, MAX_DATA_BYTES - 1)
    riff_size, fact, data_size = (struct.unpack_from("<I", last, at)[0] for at in (4, 46, 54))
    assert riff_size == 0xFFFF_FFFF - 9
    assert data_size == 0xFFFF_FFFF - 59
    assert fact == data_size // 2
    assert parse(last) == (2, MAX_DATA_BYTES - 1)
    assert header(1, MAX_DATA_BYTES)[4:8] == struct.pack("<I", 0xFFFF_FFF8)
    beyond = header(2, MAX_DATA_BYTES + 1)
    assert beyond == header(2, None)
    assert audio_bytes(beyond, DATA_OFFSET + 10**10) == 10**10


@pytest.mark.parametrize(
    ("told", "present", "counted"),
    [
        (None, 7, 6),  # killed within a sample
        (4, 4, 4),
        (8, 4, 4),  # the end of the file was lost
        (4, 9, 8),  # there is more than was told: it is audio
    ],
)
def test_recovery_counts_all_that_is_there(told: int | None, present: int, counted: int) -> None:
    assert audio_bytes(header(2, told), DATA_OFFSET + present) == counted


def test_recovery_does_not_take_padding_for_audio() -> None:
    assert audio_bytes(header(1, 3), DATA_OFFSET + 4) == 3
    assert audio_bytes(header(1, 3), DATA_OFFSET + 3) == 3


def test_headers_of_others_are_refused(riff) -> None:
    with pytest.raises(MediaError, match="only 57 are there"):
        parse(header(1, 0)[:57])
    for other in (bytes(58), riff(b"x" * 100), header(2, 2)[:24] + bytes(34)):
        with pytest.raises(MediaError, match="not the header of a recording"):
            parse(other)


@pytest.mark.parametrize(("channels", "data_bytes"), [(0, 0), (3, 0), (2, 3), (1, -1)])
def test_headers_that_cannot_be_are_refused(channels: int, data_bytes: int) -> None:
    with pytest.raises(MediaError, match=r"1 or 2 channels|whole samples"):
        header(channels, data_bytes)
