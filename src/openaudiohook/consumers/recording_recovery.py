"""Repairing recordings that a crash left: true sizes in the header, a sidecar that fits.

Audio is never removed and never rewritten; running it again changes nothing; a file that a living
service still writes is left alone. What was missing from a recording is known as far as the
sidecar tells: silence is not guessed to be a gap.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

from openaudiohook.audio.wav_writer import DATA_OFFSET, audio_bytes, header, parse
from openaudiohook.consumers.recording_sidecar import (
    Sidecar,
    read_sidecar,
    seconds,
    sidecar_path,
    utc_text,
    write_sidecar,
)
from openaudiohook.exceptions import ConfigurationError, MediaError

__all__ = ["Outcome", "recover"]

_BLOCK: Final = 1 << 20
_NUMBERED: Final = re.compile(r"(.+?)(?:\.\d+)?")
_CHANNELS: Final = {1: ("unknown",), 2: ("external", "internal")}


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one file.

    Attributes:
        path: the WAV.
        result: `recovered`: repaired now; `complete`: nothing was wrong; `busy`: still being
            written; `empty`: its writer ended before the first sample; `failed`: not repaired.
        samples: how many samples it has.
        detail: why it failed, or what was done.
    """

    path: Path
    result: Literal["recovered", "complete", "busy", "empty", "failed"]
    samples: int = 0
    detail: str = ""


def recover(directory: Path) -> Iterator[Outcome]:
    """Repair every recording under a directory; yields an outcome a file, in order of path.

    Raises:
        ConfigurationError: it is not a directory that can be read.
    """
    try:
        next(directory.iterdir(), None)
    except OSError as error:
        raise ConfigurationError(
            f"{directory}: {error.strerror}; the directory of the recordings is needed"
        ) from None
    for path in sorted(directory.rglob("*.wav")):
        try:
            with path.open("r+b", buffering=0) as file:
                yield _recover_file(path, file)
        except (OSError, MediaError) as error:
            detail = error.strerror if isinstance(error, OSError) else str(error)
            yield Outcome(path=path, result="failed", detail=detail or type(error).__name__)


def _recover_file(path: Path, file: BinaryIO) -> Outcome:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return Outcome(path=path, result="busy")
        # A file system without locks: nobody could have locked it.
    status = os.fstat(file.fileno())
    head = file.read(DATA_OFFSET)
    if len(head) < DATA_OFFSET and header(1, None).startswith(head[:8]):
        return Outcome(path=path, result="empty")
    channels, told_bytes = parse(head)
    data_bytes = audio_bytes(head, status.st_size)
    samples = data_bytes // channels
    settled = header(channels, data_bytes)
    sidecar, done = _sidecar_of(path, channels)
    if head != settled:
        _settle(file, settled, data_bytes)
        done.append("sizes settled" if told_bytes is None else "sizes corrected")
    if not done and sidecar.state != "recording" and sidecar.samples == samples:
        return Outcome(path=path, result="complete", samples=samples)
    if "sidecar rebuilt" not in done:
        done.append("sidecar updated")
    sidecar.state = "recovered"
    sidecar.samples = samples
    sidecar.duration_s = seconds(samples)
    sidecar.sha256 = _hash(file, data_bytes)
    sidecar.ended_utc = sidecar.ended_utc or utc_text(status.st_mtime_ns)
    write_sidecar(sidecar_path(path), sidecar)
    return Outcome(path=path, result="recovered", samples=samples, detail=", ".join(done))


def _settle(file: BinaryIO, settled: bytes, data_bytes: int) -> None:
    """Put the true sizes in the header, then the padding that an odd size asks for."""
    file.seek(0)
    file.write(settled)
    if data_bytes & 1 and os.fstat(file.fileno()).st_size == DATA_OFFSET + data_bytes:
        file.seek(0, os.SEEK_END)
        file.write(b"\0")


def _sidecar_of(path: Path, channels: int) -> tuple[Sidecar, list[str]]:
    """Read the sidecar of a recording, or begin a new one with what the WAV tells."""
    with contextlib.suppress(OSError, MediaError):
        return read_sidecar(sidecar_path(path)), []
    named = _NUMBERED.fullmatch(path.stem)
    assert named is not None
    return Sidecar(
        state="recording",
        session_id=named[1],
        conversation_id=path.parent.name,
        channels=_CHANNELS[channels],
    ), ["sidecar rebuilt"]


def _hash(file: BinaryIO, data_bytes: int) -> str:
    digest = hashlib.sha256()
    file.seek(DATA_OFFSET)
    left = data_bytes
    while left and (block := file.read(min(left, _BLOCK))):
        digest.update(block)
        left -= len(block)
    return digest.hexdigest()
