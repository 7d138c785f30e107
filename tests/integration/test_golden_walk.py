"""docs/architecture.md follows a frame through both programs; here a real call checks the walk."""

from __future__ import annotations

import asyncio
import pydoc
import re
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType

import pytest

import openaudiohook
from openaudiohook.audio import ulaw
from openaudiohook.audio.wav_writer import WavWriter
from openaudiohook.fanout.cursor import CursorState
from openaudiohook.fanout.endpoint import EndpointConfig
from openaudiohook.monitor import Monitor, single_play
from openaudiohook.monitor.sources.wav import WavFile
from openaudiohook.protocol.client import ClientTimers
from openaudiohook.service.config import ServiceConfig
from openaudiohook.service.service import Service

pytestmark = pytest.mark.integration

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "architecture.md"
PACKAGE = Path(openaudiohook.__file__).parent
FRAMES = 10
MINUTE_NS = 60_000_000_000


def walk() -> str:
    page = PAGE.read_text(encoding="utf-8")
    return page[page.index("## A frame arrives") : page.index("## Where things are decided")]


def modules() -> set[str]:
    """The modules that the walk leads through: they stand in bold."""
    return set(re.findall(r"\*\*`([\w.]+)`\*\*", walk()))


def functions() -> dict[str, set[str]]:
    """The methods that the walk names, and where each of them is found."""
    names = set(re.findall(r"`(_?[A-Z]\w*\.\w+)`", walk()))
    return {
        name: {f"{module}.{name}" for module in modules() if is_of(module, name)} for name in names
    }


def is_of(module: str, name: str) -> bool:
    """Whether a module has such a function of its own, and not by import."""
    owner, _, function = name.partition(".")
    found = pydoc.locate(f"openaudiohook.{module}.{owner}")
    return hasattr(found, function) and found.__module__ == f"openaudiohook.{module}"


class Watch:
    """Counts the functions of ours that run, by thread, while it is on."""

    def __init__(self) -> None:
        self.is_on = False
        self.calls: Counter[tuple[int, CodeType]] = Counter()

    def __call__(self, frame: FrameType, event: str, _arg: object) -> None:
        if self.is_on and event == "call":
            self.calls[threading.get_ident(), frame.f_code] += 1

    def ran(self, *, on_loop: bool, times: int) -> set[str]:
        """What ran so often: on this thread, or on all others."""
        return {
            name
            for (thread, code), count in self.calls.items()
            if (thread == threading.get_ident()) is on_loop and count >= times
            for name in name_of(code)
        }


def name_of(code: CodeType) -> Iterator[str]:
    """The name of a function of ours, as in the page; nothing for what has none."""
    path = Path(code.co_filename)
    if path.is_relative_to(PACKAGE) and "<" not in code.co_qualname:
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        yield ".".join([*parts, code.co_qualname])


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    threading.setprofile(watch)  # for the thread that writes
    sys.setprofile(watch)
    try:
        yield watch
    finally:
        sys.setprofile(None)
        threading.setprofile(None)


def recording_of_a_call(path: Path) -> WavFile:
    with path.open("wb", buffering=0) as file:
        wav = WavWriter(file, channels=2)
        wav.append(ulaw.silence(2 * 60 * 8000))
        wav.settle()
    return WavFile(path=path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.02)


def test_what_the_walk_names_is_there() -> None:
    assert len(modules()) > 15
    assert [name for name, found in functions().items() if len(found) != 1] == []


@pytest.mark.anyio
async def test_the_walk_names_every_function_that_runs_for_each_frame(
    tmp_path: Path, watch: Watch
) -> None:
    source = recording_of_a_call(tmp_path / "call.wav")
    config = ServiceConfig(port=0, no_auth=True, recordings=str(tmp_path / "recordings"))
    async with Service(config) as service:
        monitor = Monitor(timers=ClientTimers(first_ping_ns=MINUTE_NS))  # pings are no frames
        running = monitor.start(
            single_play(source),
            [
                EndpointConfig(name=f"endpoint {each}", uri=service.uri, api_key="")
                for each in range(5)
            ],
        )
        fanout = running.call.fanout
        assert fanout is not None
        await until(lambda: all(each.state is CursorState.LIVE for each in fanout.endpoints))
        begin = fanout.edge + 3 * fanout.frame_samples
        await until(lambda: fanout.edge >= begin)
        for _ in range(10):  # a machine that stalls makes exceptions of what is the rule
            watch.calls.clear()
            watch.is_on = True
            end = fanout.edge + FRAMES * fanout.frame_samples
            await until(lambda end=end: fanout.edge >= end)
            watch.is_on = False
            if "fanout.cursor.Cursor.advance" not in watch.ran(on_loop=True, times=1):
                break
        running.hang_up()
        report = await running.finished()
    assert report.is_good
    named = set(re.findall(r"`(\w+(?:\.\w+)+)`", walk())).union(*functions().values())
    on_loop = watch.ran(on_loop=True, times=FRAMES)
    assert "fanout.convoy.Convoy.send" in on_loop
    assert sorted(on_loop - named) == []
    while_writing = watch.ran(on_loop=False, times=1)
    assert "audio.wav_writer.WavWriter.append" in while_writing
    assert sorted(while_writing - named) == []
