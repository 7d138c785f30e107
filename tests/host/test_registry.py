"""Finding consumers: by entry point, by name, with errors that list what there is."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.host.consumer import Capabilities, PerSession
from openaudiohook.host.registry import GROUP, Registry

pytestmark = pytest.mark.unit

NOT_A_FACTORY = 3


def point(name: str, target: str) -> EntryPoint:
    return EntryPoint(name, target, GROUP)


def refuse(options: object) -> PerSession:
    raise ConfigurationError("limit: a number is needed")


def test_the_recorder_is_installed_and_known_by_its_package() -> None:
    found = {entry.name: entry for entry in Registry().installed()}
    assert found["recorder"].target == "openaudiohook.consumers.recorder:Recorder"
    assert found["recorder"].distribution.startswith("openaudiohook ")


def test_listing_imports_nothing() -> None:
    registry = Registry([point("ghost", "no.such.module:thing")])
    assert [entry.name for entry in registry.installed()] == ["ghost"]
    assert registry.names == ("ghost",)


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    registry = Registry([point("a", "x:y"), point("b", "x:y")])
    with pytest.raises(ConfigurationError, match="'recoder'; installed are: a, b"):
        registry.create("recoder", {})


def test_nothing_installed_is_said_so() -> None:
    with pytest.raises(ConfigurationError, match="installed are: none"):
        Registry([]).create("recorder", {})


def test_a_consumer_whose_import_fails_is_named() -> None:
    registry = Registry([point("ghost", "no.such.module:thing")])
    with pytest.raises(ConfigurationError, match=r"'ghost' is installed, .*ModuleNotFoundError"):
        registry.create("ghost", {})


def test_an_entry_point_that_is_not_callable_is_refused() -> None:
    registry = Registry([point("odd", f"{__name__}:NOT_A_FACTORY")])
    with pytest.raises(ConfigurationError, match="not callable"):
        registry.create("odd", {})


def test_a_consumer_added_by_hand_goes_before_an_installed_one() -> None:
    registry = Registry([point("mine", "no.such.module:thing")])
    made = PerSession(lambda: None, name="mine", capabilities=Capabilities())  # type: ignore[arg-type,return-value]
    registry.add("mine", lambda options: made)
    assert registry.create("mine", {}) is made


def test_wrong_options_name_the_consumer() -> None:
    registry = Registry([])
    registry.add("strict", refuse)
    with pytest.raises(ConfigurationError, match="consumer 'strict': limit: a number"):
        registry.create("strict", {})
