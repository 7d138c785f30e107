"""Every module says what it is for, says what is public, and stays of a size one can read."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

pytestmark = pytest.mark.unit

SOURCE = Path(__file__).resolve().parent.parent / "src" / "openaudiohook"
MODULES = sorted(SOURCE.rglob("*.py"))
LONGEST = 600  # lines; at 400 a second reason to exist is likely

names = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))


@names
def test_a_module_says_what_it_is_for(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    assert docstring
    first = docstring.partition("\n\n")[0].replace("\n", " ")
    assert first.endswith("."), f"the first paragraph is no sentence: {first!r}"


@names
def test_a_module_is_of_readable_size(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < LONGEST


@names
def test_a_public_module_lists_its_public_names(path: Path) -> None:
    is_private = path.stem.startswith("_") and path.stem not in ("__init__", "__main__")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assigned = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    assert is_private or "__all__" in assigned


def test_every_folder_of_source_is_a_package() -> None:
    folders = {path.parent for path in MODULES}
    assert [folder for folder in folders if not (folder / "__init__.py").is_file()] == []


def test_the_package_is_typed() -> None:
    assert (SOURCE / "py.typed").is_file()
