"""Audio at 8 kHz: mu-law, L16, channels, WAV files, tones, levels, and the account of a stream.

Pure: bytes in, bytes out, numpy only. Positions are integer sample counts; one sample is one
time step in every channel. The modules are the interface:

* `ulaw`, `l16`: the two sample formats of protocol section 9.1;
* `channels`: stereo frames apart and together;
* `wav`, `wav_reader`, `wav_writer`: the file format, reading as we go, writing so that a crash
  loses nothing;
* `timeline`: which samples of a stream were audio and which were gaps;
* `tone`, `level`: a test tone, and how loud a block is.
"""

from __future__ import annotations

__all__ = ["RATE"]

RATE = 8000
"""Samples a second of every AudioHook stream (protocol section 9.1)."""
