"""Who may import whom: the layers of docs/architecture.md, read from the source itself.

Imports inside functions count, relative ones too, and so do those under `TYPE_CHECKING`: a
type that one package needs from another is knowledge of it like any other.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.unit

ROOT = "openaudiohook"
SOURCE = Path(__file__).resolve().parent.parent / "src" / ROOT

OPEN_TO_ALL = {"exceptions", "toml_source", "_version"}
LAYER_1 = {"protocol", "auth", "audio", "telephony", "results"}
ALLOWED: dict[str, set[str]] = {
    "protocol": set(),
    "auth": set(),
    "audio": set(),
    "telephony": set(),
    "results": set(),
    "transport": {"protocol", "auth"},
    "store": {"results"},
    "bus": {"results"},
    "host": {"protocol", "audio", "results"},
    "fanout": {"transport", "protocol", "auth", "audio"},
    "service": {"host", "transport", "store", "bus", "protocol", "auth", "audio", "results"},
    "monitor": {
        "fanout", "transport", "store", "bus", "protocol", "auth", "audio", "telephony",
    },
    "relay": {"fanout", "transport", "protocol", "auth", "audio"},
    "conformance": {"transport", "protocol", "auth", "audio"},
    "load": {"transport", "protocol", "auth", "audio"},
    "consumers": {"host", "results", "audio"},
}  # fmt: skip
ALLOWED["demo"] = set(ALLOWED)
ALLOWED["testing"] = set(ALLOWED) - {"demo"}
ALLOWED["cli"] = set(ALLOWED)
ALLOWED["__main__"] = {"cli"}
ALLOWED["exceptions"] = ALLOWED["toml_source"] = ALLOWED["_version"] = set()
FACADE = "__init__"
ALLOWED[FACADE] = set(ALLOWED) - {"cli", "demo", "__main__"}

# Every library we use, and the packages or modules that may know it.
OWNERS: dict[str, set[str]] = {
    "picows": {"transport"},
    "aiofastnet": {"transport"},
    "msgspec": set(ALLOWED) - {"auth", "audio", "telephony", "exceptions", "_version", "__main__"},
    "http_sf": {"auth"},
    "numpy": {"audio", "consumers", "fanout", "monitor", "demo", "testing"},
    "click": {"cli"},
    "rich": {"cli", "demo"},
    "prometheus_client": {"service", "monitor"},
    "structlog": {"cli", "demo", "transport", "host", "fanout", "service", "monitor", "relay"},
    "uvloop": {"cli", "demo", "service", "monitor", "load"},
    "soundfile": {"consumers", "monitor.sources"},
    "soxr": {"consumers", "monitor.sources"},
    "matplotlib": {"demo"},
    "pytest": {"testing.pytest_plugin"},
    "sqlalchemy": {"store"},
    "alembic": {"store"},
    "aiosqlite": {"store"},
    "asyncpg": {"store"},
    "cryptography": {"store"},
    "litestar": {"monitor.api", "service.api"},
    "uvicorn": {"monitor.api", "service.api"},
}

SANS_IO = LAYER_1 | {
    "toml_source",
    "fanout.ring", "fanout.pauses", "fanout.engine",
    "monitor.policy", "monitor.language", "monitor.secure_pause", "monitor.metering",
    "store.chain",
}  # fmt: skip
NO_IO_MODULES = {
    "asyncio", "socket", "socketserver", "ssl", "select", "selectors", "time", "random", "secrets",
    "uuid", "logging", "structlog", "threading", "_thread", "multiprocessing", "concurrent",
    "subprocess", "signal", "sched", "queue", "urllib.request", "http.client",
}  # fmt: skip
NO_IO_ATTRIBUTES = {
    ("os", "environ"), ("os", "environb"), ("os", "getenv"), ("os", "putenv"), ("os", "urandom"),
    ("datetime", "now"), ("datetime", "utcnow"), ("datetime", "today"), ("date", "today"),
}  # fmt: skip


class Import(NamedTuple):
    """One imported module, absolute, and whether it is imported only when a function runs."""

    target: str
    line: int
    is_lazy: bool


def imports(name: str, tree: ast.Module, known: Mapping[str, object]) -> Iterator[Import]:
    """Every module that module `name` (dotted, without our root) imports, wherever it does."""
    is_package = f"{name}.__init__" in known or name == FACADE
    package = [ROOT] if name == FACADE else [ROOT, *name.split(".")]
    if not is_package:
        package = package[:-1]
    not_run_on_import = {
        id(inner)
        for outer in ast.walk(tree)
        if isinstance(outer, ast.FunctionDef | ast.AsyncFunctionDef)
        or (isinstance(outer, ast.If) and ast.unparse(outer.test) == "TYPE_CHECKING")
        for inner in ast.walk(outer)
    }
    for node in ast.walk(tree):
        lazy = id(node) in not_run_on_import
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                start = package[: len(package) - node.level + 1]
                base = ".".join([*start, base] if base else start)
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                is_module = inner.removeprefix(f"{ROOT}.") in known
                yield Import(inner if is_module or base == "os" else base, node.lineno, lazy)


def parsed(sources: Mapping[str, str]) -> dict[str, ast.Module]:
    """Modules by dotted name without our root; a package also under `NAME.__init__`."""
    trees = {}
    for name, source in sources.items():
        trees[name] = ast.parse(source)
        if name.endswith(".__init__"):
            trees[name.removesuffix(".__init__")] = trees[name]
    return trees


def violations(sources: Mapping[str, str]) -> list[str]:
    """Break the rules in `sources`, and read here which and where."""
    trees = parsed(sources)
    found = []
    for name, tree in trees.items():
        if name.endswith(".__init__"):
            continue
        package = name.partition(".")[0]
        if package not in ALLOWED:
            found.append(f"{name}: package {package!r} is in no layer; give it a row")
            continue
        for target, line, lazy in imports(name, tree, trees):
            where = f"{name}:{line}"
            root, _, inner = target.partition(".")
            if root == ROOT:
                ours = inner.partition(".")[0]
                if not ours:
                    found.append(f"{where}: imports the facade, not the module that is meant")
                elif ours != package and ours not in ALLOWED[package] | OPEN_TO_ALL:
                    found.append(f"{where}: {package} may not import {ours}")
                # The group imports a command's module when that command runs, and not before.
                elif name == "cli" and not lazy and ours not in OPEN_TO_ALL:
                    found.append(f"{where}: cli imports {ours} before a command needs it")
            elif root in OWNERS:
                owners = OWNERS[root]
                if not any(name == owner or name.startswith(f"{owner}.") for owner in owners):
                    found.append(f"{where}: {root} is known to {', '.join(sorted(owners))} only")
            elif root not in sys.stdlib_module_names:
                found.append(f"{where}: {root} is in no list of libraries")
    return found + waiting(trees)


def waiting(trees: Mapping[str, ast.Module]) -> list[str]:
    """What the parts without input and output reach that has some, directly or through others."""
    found = []
    for name in trees:
        if name.endswith(".__init__"):
            continue
        if name in SANS_IO or name.partition(".")[0] in SANS_IO:
            for reached in reachable(name, trees):
                through = "" if reached == name else f" (through {reached})"
                found += [f"{name}{through}: {what}" for what in io(reached, trees)]
    return found


def reachable(start: str, trees: Mapping[str, ast.Module]) -> list[str]:
    """`start` and every module of ours that importing it runs, packages' own imports aside."""
    seen, todo = [start], [start]
    while todo:
        name = todo.pop()
        for target, _, _ in imports(name, trees[name], trees):
            inner = target.removeprefix(f"{ROOT}.")
            if inner != target and inner in trees and inner not in seen:
                seen.append(inner)
                todo.append(inner)
    return seen


def io(name: str, trees: Mapping[str, ast.Module]) -> Iterator[str]:
    """What in one module waits, looks at a clock, throws dice or reads the environment."""
    for target, line, _ in imports(name, trees[name], trees):
        banned = [each for each in NO_IO_MODULES if f"{target}.".startswith(f"{each}.")]
        if banned or tuple(target.split(".", 1)) in NO_IO_ATTRIBUTES:
            yield f"line {line}: imports {target}"
    for node in ast.walk(trees[name]):
        if isinstance(node, ast.Attribute):
            owner = node.value
            last = owner.attr if isinstance(owner, ast.Attribute) else getattr(owner, "id", "")
            if (last, node.attr) in NO_IO_ATTRIBUTES:
                yield f"line {node.lineno}: uses {last}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "os":
            for alias in node.names:
                if ("os", alias.name) in NO_IO_ATTRIBUTES:
                    yield f"line {node.lineno}: imports os.{alias.name}"


def our_sources() -> dict[str, str]:
    return {
        ".".join(path.relative_to(SOURCE).with_suffix("").parts): path.read_text(encoding="utf-8")
        for path in sorted(SOURCE.rglob("*.py"))
    }


def test_our_modules_import_downwards_only() -> None:
    assert violations(our_sources()) == []


BASE = {"protocol.__init__": "", "protocol.media": "", "transport.__init__": "", "exceptions": ""}


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        ("protocol.codec", "import openaudiohook.transport", "protocol may not import transport"),
        ("protocol.codec", "from openaudiohook import transport", "may not import transport"),
        ("protocol.codec", "from ..transport import x", "may not import transport"),
        ("protocol.codec", "from .. import transport", "may not import transport"),
        ("protocol.sub.__init__", "from ...transport import x", "may not import transport"),
        ("auth.keys", "def f():\n    from openaudiohook.protocol import x", "may not import"),
        ("auth.keys", "if TYPE_CHECKING:\n    from openaudiohook.protocol import x", "may not"),
        ("consumers.recorder", "from openaudiohook.protocol.media import x", "may not import"),
        ("host.dispatch", "from openaudiohook.protocol import x\nimport picows", "known to transp"),
        ("transport.driver", "import websockets", "in no list of libraries"),
        ("protocol.codec", "import numpy", "numpy is known to"),
        ("audio.ulaw", "import msgspec", "msgspec is known to"),
        ("monitor.call", "import soxr", "soxr is known to"),
        ("service.service", "from openaudiohook import AudioFrame", "imports the facade"),
        ("newcomer.thing", "", "is in no layer"),
        ("cli.__init__", "from openaudiohook.service import Service", "before a command needs"),
        ("cli.__init__", "from openaudiohook.cli.serve import serve", "before a command needs"),
        ("demo.run", "from openaudiohook.testing import x", "demo may not import testing"),
        ("testing.fakes", "from openaudiohook.demo import x", "testing may not import demo"),
        ("__main__", "import openaudiohook.service", "__main__ may not import service"),
        ("protocol.codec", "import asyncio", "imports asyncio"),
        ("protocol.codec", "from asyncio import sleep", "imports asyncio"),
        ("audio.tone", "def f():\n    import time", "imports time"),
        ("auth.replay", "from concurrent.futures import Future", "imports concurrent.futures"),
        ("auth.keys", "import os\nos.environ['X']", "uses os.environ"),
        ("auth.keys", "from os import environ", "imports os.environ"),
        ("auth.keys", "import os\nos.urandom(8)", "uses os.urandom"),
        ("auth.keys", "import datetime\ndatetime.datetime.now()", "uses datetime.now"),
        ("fanout.ring", "import threading", "imports threading"),
        ("fanout.engine", "from openaudiohook.transport import x", "through transport"),
        ("monitor.metering", "import logging", "imports logging"),
        ("monitor.policy", "from .events import x", "through monitor.events"),
    ],
)
def test_the_checker_finds_each_kind_of_violation(name: str, source: str, complaint: str) -> None:
    sources = {
        **BASE,
        "transport.__init__": "import asyncio",
        "monitor.events": "import time",
        name: source,
    }
    found = violations(sources)
    assert any(complaint in line for line in found), found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("protocol.codec", "from .media import x\nimport msgspec, hashlib"),
        ("transport.driver", "import asyncio, picows\nfrom openaudiohook.protocol import x"),
        ("fanout.endpoint", "import time\nfrom openaudiohook.transport import x"),
        ("fanout.engine", "from openaudiohook.protocol.media import x"),
        ("cli.__init__", "import click\ndef f():\n    from openaudiohook.service import Service"),
        ("cli.__init__", "if TYPE_CHECKING:\n    from openaudiohook.service import Service"),
        ("cli.serve", "from openaudiohook.service import Service"),
        ("auth.keys", "import os\nos.path.join('a', 'b')\nfrom os import fspath"),
        ("consumers.recorder", "from openaudiohook.exceptions import ConsumerError\nimport time"),
        ("__init__", "if TYPE_CHECKING:\n    from openaudiohook.transport import x"),
    ],
)
def test_the_checker_leaves_good_modules_alone(name: str, source: str) -> None:
    assert violations({**BASE, name: source}) == []


def test_every_row_names_packages_that_have_a_row() -> None:
    assert all(allowed <= set(ALLOWED) for allowed in ALLOWED.values())


def test_layer_one_knows_nothing_of_ours() -> None:
    assert all(ALLOWED[package] == set() for package in LAYER_1)
