"""The example that the page on consumers is about, run by a real service."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from tests.support.platform import Platform, until

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.protocol.events import EntitiesReceived
from openaudiohook.service.service import Service

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

Serve = Callable[..., AbstractAsyncContextManager[Service]]

SILENCE, SOUND = b"\xff" * 1600, b"\x10\x90" * 800


@pytest.fixture(scope="module")
def example() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "examples" / "silence_alert.py"
    spec = importlib.util.spec_from_file_location("silence_alert", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def alerts(platform: Platform) -> list[Any]:
    return [entity for event in platform.of(EntitiesReceived) for entity in event.entities]


async def test_silence_is_told_once_and_again_after_speech(
    serve: Serve, example: ModuleType
) -> None:
    factory = example.factory({"after_s": 1})
    async with serve(consumers=[factory]) as service:
        platform = await Platform.to(service.uri)
        platform.send(SOUND * 5 + SILENCE * 15)
        await until(lambda: len(alerts(platform)) == 1)
        platform.send(SOUND + SILENCE * 12)
        await until(lambda: len(alerts(platform)) == 2)
        platform.send(SOUND + SILENCE * 8)
        platform.do("pause")
        platform.do("drop_audio", 8000)
        platform.do("resume")
        platform.send(SILENCE * 5)
        await platform.close()
    assert [(entity.type, entity.data) for entity in alerts(platform)] == [
        ("silence", {"channel": "external", "seconds": 1.0})
    ] * 2


@pytest.mark.parametrize("after_s", [0, "3"])
async def test_a_wrong_option_is_refused(example: ModuleType, after_s: object) -> None:
    with pytest.raises(ConfigurationError, match="after_s: a number of seconds"):
        example.factory({"after_s": after_s})
