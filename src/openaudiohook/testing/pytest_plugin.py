"""Fixtures pytest finds by itself once openaudiohook is installed.

They import what they need when a test asks for them, so that other test suites on the
same machine pay nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openaudiohook.testing.clock import ManualClock
    from openaudiohook.testing.session_pair import SessionPair

__all__ = ["audiohook_clock", "audiohook_pair"]


@pytest.fixture
def audiohook_clock() -> ManualClock:
    """Time that stands still until the test moves it."""
    from openaudiohook.testing.clock import ManualClock

    return ManualClock()


@pytest.fixture
def audiohook_pair(audiohook_clock: ManualClock) -> SessionPair:
    """A client session and a server session joined by a link, on `audiohook_clock`."""
    from openaudiohook.testing.session_pair import SessionPair

    return SessionPair(clock=audiohook_clock)
