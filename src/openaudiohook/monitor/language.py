"""The media language of one call: four stages, each of which may override the one before.

Trunk, IVR flow, queue, in-queue flow. When an agent answers, the value of that moment stands: what
a flow or a queue says later changes nothing, until the call is given to a flow or a queue again.
Only a change of the call itself is taken at any time.
"""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final

__all__ = ["LanguageStage", "MediaLanguage"]


class LanguageStage(enum.StrEnum):
    """Who can say what the media language is; the first four in the order in which they do."""

    TRUNK = "trunk"
    FLOW = "flow"
    QUEUE = "queue"
    IN_QUEUE_FLOW = "in-queue-flow"
    CALL = "call"


_ORDER: Final = {stage: number for number, stage in enumerate(LanguageStage)}


class MediaLanguage:
    """The media language of one call.

    Every method that may change it says whether it did.

    Attributes:
        value: a BCP 47 tag; None where nobody has said any.
        stage: who said it.
        reached: the stage at which the call is.
        is_frozen: an agent has answered.
    """

    __slots__ = ("is_frozen", "reached", "stage", "value")

    def __init__(self, trunk: str | None = None) -> None:
        self.value = trunk
        self.stage = self.reached = LanguageStage.TRUNK
        self.is_frozen = False

    def enter_flow(self, supported: Sequence[str] = ()) -> bool:
        """The call is given to an IVR flow.

        Args:
            supported: the languages of the flow, its own first; a language that it supports is
                kept, any other gives way to its own. Nothing changes where there are none.
        """
        return self._enter(LanguageStage.FLOW, self._kept(supported))

    def enter_queue(self, language: str | None = None) -> bool:
        """The call is given to a queue, which overrides if it defines a language."""
        return self._enter(LanguageStage.QUEUE, language)

    def set(self, language: str, stage: LanguageStage) -> bool:
        """Take what a stage says: a Set Language action, or a change of the call itself.

        A stage that the call has left, or any of the four once an agent has answered, has no say.
        """
        if stage is not LanguageStage.CALL:
            if self.is_frozen or _ORDER[stage] < _ORDER[self.reached]:
                return False
            self.reached = stage
        return self._take(language, stage)

    def answer(self) -> None:
        """An agent answers: the value of this moment stands."""
        self.is_frozen = True

    def _enter(self, stage: LanguageStage, language: str | None) -> bool:
        self.is_frozen = False
        self.reached = stage
        return language is not None and self._take(language, stage)

    def _kept(self, supported: Sequence[str]) -> str | None:
        """What a flow makes of the value; None where it leaves it."""
        if not supported or _is_among(self.value, supported):
            return None
        return supported[0]

    def _take(self, language: str, stage: LanguageStage) -> bool:
        is_other = language != self.value
        self.value, self.stage = language, stage
        return is_other


def _is_among(language: str | None, languages: Sequence[str]) -> bool:
    # Tags are the same however they are written (RFC 5646 section 2.1.1).
    return language is not None and language.casefold() in {one.casefold() for one in languages}
