from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from openaudiohook.audio import tone, ulaw
from openaudiohook.audio.channels import interleave
from openaudiohook.exceptions import MediaError
from openaudiohook.monitor.sources import Source, SourceSpec
from openaudiohook.monitor.sources.tone import EXTERNAL_HZ, INTERNAL_HZ, Tone
from openaudiohook.monitor.sources.wav import WavFile

pytestmark = pytest.mark.unit

PCM = 1


def drained(source: Source, block: int) -> list[bytes]:
    whole = [b""] * source.channels
    while any(more := source.read(block)):
        assert len({len(channel) for channel in more}) == 1
        whole = [old + new for old, new in zip(whole, more, strict=True)]
    return whole


def noise(samples: int, channels: int = 1) -> np.ndarray:
    return np.random.default_rng(7).integers(-20000, 20000, (samples, channels), dtype=np.int16)


@pytest.mark.parametrize("block", [1, 7, 800, 100_000])
def test_mulaw_is_passed_through_whatever_the_blocks(make_wav: Callable, block: int) -> None:
    data = bytes(range(256)) * (4 if block == 1 else 40)
    source = WavFile(path=make_wav("a.wav", data)).open()
    assert source.channels == 1
    assert drained(source, block) == [data]
    assert source.read(10) == (b"",)
    source.close()
    source.close()


def test_a_block_is_whole_until_the_end(make_wav: Callable) -> None:
    source = WavFile(path=make_wav("a.wav", bytes(9001))).open()
    assert [len(source.read(4000)[0]) for _ in range(4)] == [4000, 4000, 1001, 0]
    source.close()


def test_stereo_is_split_external_first(make_wav: Callable) -> None:
    source = WavFile(path=make_wav("a.wav", bytes(range(200)), channels=2)).open()
    assert source.channels == 2
    assert drained(source, 33) == [bytes(range(0, 200, 2)), bytes(range(1, 200, 2))]
    source.close()


@pytest.mark.parametrize("kind", ["tone", "mu-law", "PCM"])
@pytest.mark.parametrize("blocks", [[800], [1, 799, 33], [5_000, 800], [20_000]])
def test_both_channels_at_once_are_the_same_audio_by_turns(
    make_wav: Callable, kind: str, blocks: list[int]
) -> None:
    spec: SourceSpec = Tone(samples=9_001)
    if kind == "mu-law":
        spec = WavFile(path=make_wav("a.wav", noise(9_001).tobytes(), channels=2))
    elif kind == "PCM":
        spec = WavFile(path=make_wav("a.wav", noise(9_001, 2).tobytes(), channels=2, tag=PCM))
    apart, together = spec.open(), spec.open()
    left = 9_001
    for number in range(40):
        block = blocks[number % len(blocks)]
        expected = interleave(*apart.read(block))
        stereo = together.read_stereo(block)
        assert (stereo is None) is (block > left)
        if stereo is None:  # nothing was read: the rest is still there
            stereo = interleave(*together.read(block))
        assert stereo == expected
        left -= len(stereo) // 2
    assert (left == 0) is (sum(blocks) * 40 >= 9_001 * len(blocks))
    apart.close()
    together.close()


def test_one_channel_is_never_both(make_wav: Callable) -> None:
    for spec in (Tone(samples=800, channels=1), WavFile(path=make_wav("a.wav", bytes(800)))):
        source = spec.open()
        assert source.read_stereo(80) is None
        assert len(source.read(800)[0]) == 800
        source.close()


def test_pcm_is_encoded(make_wav: Callable) -> None:
    linear = noise(5000, 2)
    source = WavFile(path=make_wav("a.wav", linear.tobytes(), channels=2, tag=PCM)).open()
    assert drained(source, 800) == [
        ulaw.encode(np.ascontiguousarray(linear[:, 0])),
        ulaw.encode(np.ascontiguousarray(linear[:, 1])),
    ]
    source.close()


@pytest.mark.parametrize(("rate", "channels"), [(16000, 1), (44100, 2), (11025, 1)])
def test_other_rates_are_resampled_as_they_are_read(
    make_wav: Callable, rate: int, channels: int
) -> None:
    pytest.importorskip("soxr")
    seconds = 2
    time = np.arange(seconds * rate) / rate
    wave = np.rint(8000 * np.sin(2 * np.pi * 440 * time)).astype(np.int16)
    data = np.repeat(wave[:, None], channels, axis=1).tobytes()
    source = WavFile(path=make_wav("a.wav", data, rate=rate, channels=channels, tag=PCM)).open()
    heard = drained(source, 800)
    source.close()
    assert len(heard) == channels
    expected = 8000 * np.sin(2 * np.pi * 440 * np.arange(seconds * 8000) / 8000)
    for channel in heard:
        assert abs(len(channel) - seconds * 8000) <= 1
        middle = slice(500, seconds * 8000 - 500)
        error = ulaw.decode(channel)[middle] - expected[middle]
        assert np.abs(error).max() < 600  # mu-law steps at this level are 512 wide


def test_without_the_audio_extra_another_rate_is_refused_by_name(
    make_wav: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "soxr", None)
    path = make_wav("a.wav", noise(100).tobytes(), rate=16000, tag=PCM)
    with pytest.raises(MediaError, match=r"a\.wav: 16000 Hz.*'audio' extra"):
        WavFile(path=path).open()


def test_a_truncated_file_is_refused_with_what_is_there(make_wav: Callable) -> None:
    path = make_wav("a.wav", bytes(12000), promised=40000)
    with pytest.raises(MediaError, match=r"call\.wav: truncated.*5\.000 s.*1\.500 s"):
        WavFile(path=path, name="call.wav").open()


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"data": b""}, "no audio"),
        ({"data": bytes(100), "tag": 6}, "A-law"),
        ({"data": bytes(99), "channels": 3}, "3 channels"),
    ],
)
def test_what_cannot_be_streamed_is_refused(
    make_wav: Callable, settings: dict[str, object], problem: str
) -> None:
    with pytest.raises(MediaError, match=problem):
        WavFile(path=make_wav("a.wav", **settings)).open()


def test_a_missing_file_is_an_operating_system_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        WavFile(path=tmp_path / "none.wav").open()


@given(blocks=st.lists(st.integers(0, 300), max_size=20), samples=st.integers(0, 2000))
def test_a_tone_is_the_same_in_whatever_blocks(blocks: list[int], samples: int) -> None:
    source = Tone(samples=samples).open()
    external, internal = b"", b""
    for size in [*blocks, samples]:
        first, second = source.read(size)
        external, internal = external + first, internal + second
    assert source.read(1) == (b"", b"")
    assert external == tone.block(0, samples, hz=EXTERNAL_HZ)
    assert internal == tone.block(0, samples, hz=INTERNAL_HZ)
    source.close()


def test_a_tone_of_one_channel_is_the_external_one() -> None:
    source = Tone(samples=80, channels=1).open()
    assert source.read(100) == (tone.block(0, 80, hz=EXTERNAL_HZ),)
