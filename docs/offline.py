"""Fails when a built page would make the reader's browser fetch anything from elsewhere.

Usage: offline.py SITE
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path

__all__ = ["fetched_from_elsewhere"]

FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|audio|video|object|embed)\b[^>]*?\b(?:src|data)=["']?
        (?P<asset>(?:https?:)?//[^"'\s>]+)
      |<link\b(?=[^>]*\brel=["']?(?:stylesheet|preconnect|preload|icon|dns-prefetch))
        [^>]*?\bhref=["']?(?P<link>(?:https?:)?//[^"'\s>]+)""",
    re.VERBOSE | re.IGNORECASE,
)
IMPORTED = re.compile(r"""@import\s+(?:url\()?["']?(?:https?:)?//|url\(["']?(?:https?:)?//""")


def fetched_from_elsewhere(site: Path) -> Iterator[str]:
    """Each asset of another host that a page or style sheet asks for."""
    for path in sorted(site.rglob("*.html")):
        for match in FETCHED.finditer(path.read_text(encoding="utf-8")):
            yield f"{path}: {match['asset'] or match['link']}"
    for path in sorted(site.rglob("*.css")):
        for match in IMPORTED.finditer(path.read_text(encoding="utf-8")):
            yield f"{path}: {match.group()}"


if __name__ == "__main__":
    found = list(fetched_from_elsewhere(Path(sys.argv[1])))
    print(*found, sep="\n", end="\n" if found else "")
    sys.exit(1 if found else 0)
