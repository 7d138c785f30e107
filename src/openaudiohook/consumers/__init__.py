"""Built-in consumers. They use the public consumer interface and nothing else of the service.

* `recorder`: keeps each session as a mu-law WAV and a JSON sidecar, in three parts: `recording`
  (one session's two files), `recording_writer` (the one thread that writes all of them) and
  `recording_sidecar` (what stands in the JSON). `recording_recovery` repairs what a crash left.
"""

from __future__ import annotations

__all__: list[str] = []
