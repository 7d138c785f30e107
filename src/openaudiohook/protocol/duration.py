"""Exact durations and positions: `PT73.125S` to integer nanoseconds and back.

Protocol section 4.3. On the wire durations are decimal seconds; here they are integers,
so that nothing is ever rounded on the way.
"""

from __future__ import annotations

import re
from typing import Final

__all__ = ["NS_PER_S", "Duration", "format_duration", "parse_duration"]

NS_PER_S: Final = 1_000_000_000

# `PT1.S` is not in the official pattern, but parsers are to accept it.
_PATTERN: Final = re.compile(r"PT(?:(\d+)\.?|(\d*)\.(\d+))S", re.ASCII)
_MAX_DIGITS: Final = 18


class Duration(int):
    """A duration or position in nanoseconds that msgspec reads and writes in wire form."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Duration({format_duration(self)})"


def parse_duration(text: str) -> Duration:
    """Read a wire duration as integer nanoseconds.

    Digits below a nanosecond are cut off: no sender that counts samples has any.

    Raises:
        ValueError: the text is not a duration of protocol section 4.3.
    """
    match = _PATTERN.fullmatch(text) if len(text) <= 64 else None
    if match is None:
        raise ValueError("a duration is written PT<seconds>S, for example PT73.125S")
    whole = match[1] if match[1] is not None else match[2] or "0"
    if len(whole) > _MAX_DIGITS:
        raise ValueError(f"a duration has at most {_MAX_DIGITS} digits before the point")
    fraction = (match[3] or "")[:9].ljust(9, "0")
    return Duration(int(whole) * NS_PER_S + int(fraction))


def format_duration(ns: int) -> str:
    """Write nanoseconds as a wire duration, without trailing zeros.

    Raises:
        ValueError: the duration is negative.
    """
    if ns < 0:
        raise ValueError(f"a duration cannot be negative: {int(ns)} ns")
    seconds, rest = divmod(int(ns), NS_PER_S)
    if not rest:
        return f"PT{seconds}S"
    return f"PT{seconds}.{rest:09d}".rstrip("0") + "S"
