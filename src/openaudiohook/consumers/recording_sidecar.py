"""The JSON beside a recording: what it is of, what is missing from it, and its hash.

A sidecar is the record of a call, not a log: it holds the participant's addresses and name, which
are personal data, as the audio beside it is.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from openaudiohook.exceptions import MediaError
from openaudiohook.host.consumer import SAMPLE_RATE, Participant, SessionInfo

__all__ = [
    "SIDECAR_VERSION",
    "Gap",
    "LanguageChange",
    "Message",
    "Pause",
    "Sidecar",
    "read_sidecar",
    "seconds",
    "sidecar_path",
    "utc_text",
    "write_sidecar",
]

SIDECAR_VERSION: Final = 1

Samples = Annotated[int, msgspec.Meta(ge=0)]


class Gap(msgspec.Struct, frozen=True, kw_only=True):
    """A stretch of silence that stands for audio that is not there.

    Attributes:
        start_s: where it starts in the file, in seconds; exactly: `start_samples`.
        duration_s: how long it is; exactly: `duration_samples`.
        cause: `paused`, `discarded` (the client left it out), `unaccounted` (nobody told why), or
            `not-written` (it came, and could not be written: a full disk).
    """

    start_s: float
    duration_s: float
    cause: str
    start_samples: Samples
    duration_samples: Samples


class Pause(msgspec.Struct, frozen=True, kw_only=True):
    """A pause as the client told it; a pause without a gap is one nothing was lost in."""

    start_s: float
    duration_s: float
    start_samples: Samples
    duration_samples: Samples


class LanguageChange(msgspec.Struct, frozen=True, kw_only=True):
    """The media language from a position on."""

    position_s: float
    position_samples: Samples
    language: str | None


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """A message of the session: its type and place, never its content."""

    type: str
    position_s: float
    position_samples: Samples


class Sidecar(msgspec.Struct, kw_only=True):
    """What stands in the sidecar. Times count from the first sample of the file.

    Attributes:
        state: `recording` while the session lasts (or a crash left it so), then `complete`;
            `recovered` where the file was repaired later.
        media: the parameters the session was received with.
        channels: the channels in the file, in order: external, then internal.
        start_samples: the session position of the file's first sample; not 0 where the session
            continued an earlier one.
        samples: how many samples the file has, silence for gaps included.
        sha256: of the audio bytes in the file, its header left out.
        ended_by: the reason the session ended for.
        messages_left_out: how many more messages came than are listed.
    """

    version: int = SIDECAR_VERSION
    state: Literal["recording", "complete", "recovered"]
    session_id: str
    conversation_id: str
    organization_id: str | None = None
    correlation_id: str | None = None
    participant: Participant | None = None
    media: dict[str, Any] | None = None
    channels: tuple[str, ...]
    rate: int = SAMPLE_RATE
    start_samples: Samples = 0
    samples: Samples = 0
    duration_s: float = 0.0
    sha256: str | None = None
    started_utc: str | None = None
    ended_utc: str | None = None
    ended_by: str | None = None
    language: str | None = None
    languages: list[LanguageChange] = []
    gaps: list[Gap] = []
    pauses: list[Pause] = []
    messages: list[Message] = []
    messages_left_out: int = 0
    continued_sessions: list[str] = []

    @classmethod
    def of(cls, session: SessionInfo, *, channels: tuple[str, ...]) -> Sidecar:
        """Begin the sidecar of a session."""
        return cls(
            state="recording",
            session_id=session.session_id,
            conversation_id=session.conversation_id,
            organization_id=session.organization_id,
            correlation_id=session.correlation_id,
            participant=session.participant,
            media=msgspec.to_builtins(session.media),
            channels=channels,
            start_samples=session.start,
            started_utc=utc_text(session.opened_utc_ns),
            language=session.language,
            continued_sessions=[earlier.id for earlier in session.continued_sessions],
        )


def seconds(samples: int) -> float:
    """Return samples as seconds, for people; the exact number stands beside it."""
    return samples / SAMPLE_RATE


def utc_text(utc_ns: int) -> str:
    """Return a wall-clock time as ISO 8601 in UTC, to the millisecond."""
    moment = datetime.datetime.fromtimestamp(utc_ns / 1e9, datetime.UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def sidecar_path(wav: Path) -> Path:
    """Return where the sidecar of a recording is."""
    return wav.with_suffix(".json")


def write_sidecar(path: Path, sidecar: Sidecar) -> None:
    """Replace a sidecar; whoever reads meanwhile sees the old one or the new one, whole.

    Raises:
        OSError: it could not be written; the old one is as it was.
    """
    draft = path.with_suffix(".json.tmp")
    text = msgspec.json.format(msgspec.json.encode(sidecar), indent=2)
    try:
        draft.touch(mode=0o600)
        draft.write_bytes(text + b"\n")
        draft.replace(path)
    except OSError:
        draft.unlink(missing_ok=True)
        raise


def read_sidecar(path: Path) -> Sidecar:
    """Read a sidecar back.

    Raises:
        MediaError: it is not a sidecar of ours, or damaged; the text says where.
        OSError: it cannot be read.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=Sidecar)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MediaError(f"{path}: not a recording's sidecar ({type(error).__name__})") from None
