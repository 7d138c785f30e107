"""What holds for every test: one category a module, asyncio, and nothing left behind."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

CATEGORIES = frozenset({"unit", "integration", "slow", "peer"})
SETTLE_S = 2.0

# Wall-clock verdicts of hypothesis would fail on a busy machine, not on a bug.
settings.register_profile(
    "openaudiohook", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("openaudiohook")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    modules = {item.getparent(pytest.Module) for item in items} - {None}
    lines = []
    for module in sorted(modules, key=lambda module: module.nodeid):
        found = sorted({mark.name for mark in module.iter_markers()} & CATEGORIES)
        if len(found) != 1:
            has = " and ".join(found) or "no category"
            lines.append(
                f"{module.nodeid} has {has}: set `pytestmark = pytest.mark.NAME` "
                f"to exactly one of {', '.join(sorted(CATEGORIES))}"
            )
    if lines:
        raise pytest.UsageError("\n".join(lines))


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> None:
    """Hand async tests on to anyio's plugin with a check for leaks around them."""
    hypothesis = getattr(pyfuncitem.obj, "hypothesis", None)
    if hypothesis is not None:
        # The function is one object for all parameters: wrap it once.
        if inspect.iscoroutinefunction(hypothesis.inner_test) and not hasattr(
            hypothesis.inner_test, "leaves_nothing"
        ):
            hypothesis.inner_test = leaving_nothing(hypothesis.inner_test)
    elif inspect.iscoroutinefunction(pyfuncitem.obj):
        pyfuncitem.obj = leaving_nothing(pyfuncitem.obj)


def leaving_nothing(test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Fail `test` when it passes but leaves a task running or a socket open."""

    @functools.wraps(test)
    async def checked(*args: Any, **kwargs: Any) -> None:
        tasks, sockets = asyncio.all_tasks(), open_sockets()
        await test(*args, **kwargs)
        # What was just closed needs a few turns of the loop, and its peer a few more.
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + SETTLE_S
        while left := leftovers(tasks, sockets):
            if loop.time() > give_up_at:
                pytest.fail(f"the test left behind: {'; '.join(left)}", pytrace=False)
            await asyncio.sleep(0.005)

    checked.leaves_nothing = True  # type: ignore[attr-defined]
    return checked


def leftovers(tasks: set[asyncio.Task[Any]], sockets: frozenset[str]) -> list[str]:
    """What runs or is open now and was not then."""
    left = [
        f"task {task.get_name()} in {getattr(task.get_coro(), '__qualname__', task.get_coro())}"
        for task in asyncio.all_tasks() - tasks
    ]
    return left + sorted(open_sockets() - sockets)


def open_sockets() -> frozenset[str]:
    """This process's sockets by inode: whoever opened them, whichever loop drives them."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.is_dir():
        return frozenset()
    links = []
    for name in os.listdir(descriptors):  # noqa: PTH208 - names only, closed at once
        try:
            links.append(os.readlink(descriptors / name))  # noqa: PTH115
        except OSError:  # closed since it was listed
            continue
    return frozenset(link for link in links if link.startswith("socket:"))
