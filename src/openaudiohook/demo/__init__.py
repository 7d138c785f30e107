"""What `make demo` shows: the bundled call, streamed to five integrations at once."""

from __future__ import annotations

__all__: list[str] = []
