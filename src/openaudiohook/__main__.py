"""Runs the command line: `python -m openaudiohook`."""

from __future__ import annotations

from openaudiohook.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    main(prog_name="openaudiohook")
