"""Finding installed consumers by entry point.

A package offers a consumer under the group `openaudiohook.consumers`; the entry point names a
callable that takes the options of the configuration and returns a `ConsumerFactory`. Being
installed switches nothing on: a service runs the consumers it is told to run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Final

import msgspec

from openaudiohook.exceptions import ConfigurationError
from openaudiohook.host.consumer import ConsumerFactory

__all__ = ["GROUP", "Installed", "Registry"]

GROUP: Final = "openaudiohook.consumers"


class Installed(msgspec.Struct, frozen=True):
    """One consumer that could be switched on.

    Attributes:
        name: the name to switch it on by.
        distribution: the package that brings it, with its version.
        target: what it names, `module:attribute`.
    """

    name: str
    distribution: str
    target: str


class Registry:
    """The consumers a service can run: those installed, and those added by hand."""

    def __init__(self, points: Iterable[EntryPoint] | None = None) -> None:
        """Look up what is installed; nothing is imported yet.

        Args:
            points: the entry points to choose from, instead of those installed.
        """
        found = entry_points(group=GROUP) if points is None else points
        self._points = {point.name: point for point in found}
        self._added: dict[str, Callable[[Mapping[str, Any]], ConsumerFactory]] = {}

    @property
    def names(self) -> tuple[str, ...]:
        """Every name that can be switched on, in order."""
        return tuple(sorted({*self._points, *self._added}))

    def installed(self) -> tuple[Installed, ...]:
        """Tell what is installed, without importing it."""
        return tuple(
            Installed(
                name=point.name,
                distribution=f"{point.dist.name} {point.dist.version}" if point.dist else "",
                target=point.value,
            )
            for _, point in sorted(self._points.items())
        )

    def add(self, name: str, make: Callable[[Mapping[str, Any]], ConsumerFactory]) -> None:
        """Offer a consumer that is not installed as a package; it goes before one that is."""
        self._added[name] = make

    def create(self, name: str, options: Mapping[str, Any]) -> ConsumerFactory:
        """Make the factory of a consumer.

        Raises:
            ConfigurationError: no consumer has that name, or it cannot be imported, or it
                refuses its options.
        """
        make = self._added.get(name) or self._load(name)
        try:
            return make(options)
        except ConfigurationError as error:
            raise ConfigurationError(f"consumer '{name}': {error}") from None

    def _load(self, name: str) -> Callable[[Mapping[str, Any]], ConsumerFactory]:
        point = self._points.get(name)
        if point is None:
            known = ", ".join(self.names) or "none"
            raise ConfigurationError(f"no consumer is called '{name}'; installed are: {known}")
        try:
            loaded = point.load()
        except (ImportError, AttributeError) as error:
            raise ConfigurationError(
                f"consumer '{name}' is installed, but {point.value} cannot be imported "
                f"({type(error).__name__}); install what it needs"
            ) from error
        if not callable(loaded):
            raise ConfigurationError(
                f"consumer '{name}': {point.value} is not callable; it must be a callable that "
                "takes the options and returns a consumer factory"
            )
        make: Callable[[Mapping[str, Any]], ConsumerFactory] = loaded
        return make
