"""What a process of our own does for itself, whether it serves alone or as one of several."""

from __future__ import annotations

import asyncio
import gc
import resource
from collections.abc import Callable
from typing import Final

__all__ = ["descriptors", "loop_factory", "raise_descriptor_limit", "settle_memory"]

# What lives as long as the service is never looked at again; what a session leaves is mostly
# freed by counting, so that full collections may be rare.
_GC_THRESHOLDS: Final = (50_000, 50, 1_000)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """Return what makes the event loop: uvloop where it is installed, or None for asyncio's."""
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop


def settle_memory() -> None:
    """Spare the garbage collector what will not go away; call it once everything is started."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_GC_THRESHOLDS)


def raise_descriptor_limit() -> int:
    """Let this process open as many files as it may; return how many.

    Each session takes a socket, and another descriptor for its recording.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return descriptors()


def descriptors() -> int:
    """Return how many files this process may open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 1_000_000 if soft == resource.RLIM_INFINITY else max(soft, 64)
