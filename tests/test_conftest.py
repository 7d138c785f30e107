"""The rules of conftest.py, shown to catch what they are for."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.unit
pytest_plugins = ["pytester"]
CONFTEST = Path(__file__).with_name("conftest.py")

INI = """
[pytest]
markers =
    unit: u
    integration: i
    slow: s
    peer: p
"""
HEAD = "import asyncio, pytest, socket\npytestmark = pytest.mark.unit\n"


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest(CONFTEST.read_text().replace("SETTLE_S = 2.0", "SETTLE_S = 0.05"))
    pytester.makefile(".ini", pytest=INI)
    return pytester


def test_a_module_without_category_stops_collection(project: pytest.Pytester) -> None:
    project.makepyfile(test_nameless="def test_x(): pass")
    result = project.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_nameless.py has no category*"])


def test_a_module_with_two_categories_stops_collection(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_both="import pytest\npytestmark = [pytest.mark.unit, pytest.mark.slow]\n"
        "def test_x(): pass"
    )
    result = project.runpytest_subprocess()
    result.stderr.fnmatch_lines(["*test_both.py has slow and unit*"])


def test_a_task_left_running_fails_the_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_task=HEAD + "@pytest.mark.anyio\n"
        "async def test_x():\n    asyncio.create_task(asyncio.Event().wait(), name='stray')\n"
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*left behind: task stray in Event.wait*"])


def test_a_socket_left_open_fails_the_test(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_socket=HEAD + "KEPT = []\n@pytest.mark.anyio\n"
        "async def test_x():\n    KEPT.append(socket.socket())\n"
    )
    result = project.runpytest_subprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*left behind: socket:*"])


def test_what_is_closed_before_the_end_passes(project: pytest.Pytester) -> None:
    project.makepyfile(
        test_clean=HEAD + "@pytest.mark.anyio\n"
        "async def test_x():\n"
        "    task = asyncio.create_task(asyncio.Event().wait())\n"
        "    task.cancel()\n"
        "    socket.socket().close()\n"
    )
    project.runpytest_subprocess().assert_outcomes(passed=1)
