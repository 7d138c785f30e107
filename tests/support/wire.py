"""The wire written by hand: plain JSON from the protocol's text, nothing from our codec."""

from __future__ import annotations

import json
from typing import Any

__all__ = [
    "CONVERSATION_ID",
    "EXTERNAL",
    "INTERNAL",
    "NIL",
    "ORGANIZATION_ID",
    "OTHER_ID",
    "PARTICIPANT_ID",
    "SESSION_ID",
    "STEREO",
    "as_text",
    "client_message",
    "media",
    "open_parameters",
    "seconds",
    "server_message",
    "without",
]

Json = dict[str, Any]

SESSION_ID = "7c1d3f7e-4f0b-4c55-9a38-0b6f5c1f9a11"
OTHER_ID = "e2d9b7a4-0c11-4f7e-9b36-6f0a51c3d8b2"
ORGANIZATION_ID = "5b2f6c0e-8f5d-4a1b-b7a4-2d9c64f3a001"
CONVERSATION_ID = "c0ffee00-1111-4222-8333-444455556666"
PARTICIPANT_ID = "1f2e3d4c-5b6a-4798-8a9b-0c1d2e3f4a5b"
NIL = "00000000-0000-0000-0000-000000000000"


def media(*channels: str, media_format: str = "PCMU") -> Json:
    return {"type": "audio", "format": media_format, "channels": list(channels), "rate": 8000}


STEREO, EXTERNAL, INTERNAL = media("external", "internal"), media("external"), media("internal")


def seconds(samples: int) -> str:
    """The wire duration of a number of samples, by decimal arithmetic of its own."""
    micros = samples * 125
    whole, rest = divmod(micros, 1_000_000)
    return f"PT{whole}S" if not rest else f"PT{whole}.{rest:06d}".rstrip("0") + "S"


def open_parameters(**changes: Any) -> Json:
    """The `open` of a stereo Monitor session; `changes` are wire names."""
    return {
        "organizationId": ORGANIZATION_ID,
        "conversationId": CONVERSATION_ID,
        "participant": {
            "id": PARTICIPANT_ID,
            "ani": "tel:+4930123456",
            "aniName": "Erika Example",
            "dnis": "tel:+18005550123",
        },
        "media": [STEREO, EXTERNAL, INTERNAL],
        "language": "de-DE",
        **changes,
    }


def client_message(kind: str, parameters: Any = None, **envelope: Any) -> Json:
    return {
        "version": "2",
        "id": SESSION_ID,
        "type": kind,
        "seq": 1,
        "serverseq": 0,
        "position": "PT0S",
        "parameters": {} if parameters is None else parameters,
        **envelope,
    }


def server_message(kind: str, parameters: Any = None, **envelope: Any) -> Json:
    return {
        "version": "2",
        "id": SESSION_ID,
        "type": kind,
        "seq": 1,
        "clientseq": 0,
        "parameters": {} if parameters is None else parameters,
        **envelope,
    }


def without(message: Json, *names: str) -> Json:
    return {name: value for name, value in message.items() if name not in names}


def as_text(message: Json) -> bytes:
    return json.dumps(message).encode()
