"""The facade: what `import openaudiohook` offers, written down once and true."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

import openaudiohook

pytestmark = pytest.mark.unit

FACADE = Path(openaudiohook.__file__)


def type_checking_imports() -> dict[str, str]:
    """What a type checker is told: each public name and the module it comes from."""
    for node in ast.parse(FACADE.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return {
                alias.name: statement.module or ""
                for statement in node.body
                if isinstance(statement, ast.ImportFrom)
                for alias in statement.names
            }
    raise AssertionError("the facade has no TYPE_CHECKING block")


@pytest.mark.parametrize("name", openaudiohook.__all__)
def test_every_public_name_resolves(name: str) -> None:
    assert getattr(openaudiohook, name) is not None


def test_names_are_sorted_and_given_once() -> None:
    public = [name for name in openaudiohook.__all__ if name != "__version__"]
    assert public == sorted(set(public))


def test_type_checkers_see_the_same_names_as_the_run_time() -> None:
    assert type_checking_imports() == openaudiohook._HOME_OF
    assert set(openaudiohook.__all__) == {*openaudiohook._HOME_OF, "__version__"}


@pytest.mark.parametrize("name", sorted(openaudiohook._HOME_OF))
def test_every_public_name_is_public_where_it_lives(name: str) -> None:
    home = import_module(openaudiohook._HOME_OF[name])
    assert name in home.__all__
    assert getattr(openaudiohook, name) is getattr(home, name)


def test_every_exception_is_offered() -> None:
    from openaudiohook import exceptions

    assert set(exceptions.__all__) <= set(openaudiohook.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Nonsense'"):
        openaudiohook.Nonsense  # noqa: B018 - the access is the test


def test_dir_lists_what_was_not_imported_yet() -> None:
    assert set(openaudiohook.__all__) <= set(dir(openaudiohook))


def test_the_facade_imports_nothing_until_it_is_used() -> None:
    program = (
        "import sys, openaudiohook\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*loaded & {'asyncio', 'numpy', 'msgspec', 'picows', 'click', 'http_sf'})"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert run.stdout.strip() == ""


@pytest.mark.parametrize(
    "package", ["auth", "audio", "host", "monitor", "protocol", "service", "testing", "transport"]
)
def test_a_package_offers_what_it_says(package: str) -> None:
    module = import_module(f"openaudiohook.{package}")
    assert module.__all__ == sorted(set(module.__all__), key=module.__all__.index)
    for name in module.__all__:
        assert hasattr(module, name), name
