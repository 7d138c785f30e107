"""For the tests of those who build on this package.

`session_pair` joins a real client session and a real server session on a clock that tests
move by hand; `assertions` asks the usual questions about what a session reported;
`pytest_plugin` makes both available as the fixtures `audiohook_pair` and `audiohook_clock`.
"""

from __future__ import annotations

__all__: list[str] = []
