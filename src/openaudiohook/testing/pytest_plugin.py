"""Fixtures pytest finds by itself once openaudiohook is installed.

They import what they need when a test asks for them, so that other test suites on the
same machine pay nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from openaudiohook.testing.clock import ManualClock

__all__ = ["audiohook_clock"]


@pytest.fixture
def audiohook_clock() -> ManualClock:
    """Time that stands still until the test moves it."""
    from openaudiohook.testing.clock import ManualClock

    return ManualClock()
