"""One session, many consumers: order, budgets, shedding, isolation.

Theory of operation. Every consumer has a *part* in the session. A part begins *opening*: what
comes meanwhile is kept for it, at most `Budgets.backlog_samples` of audio, the oldest giving way.
When the consumer's `open` returns, what was kept is delivered and the part is *live*: from then
on it is called directly, on the event loop, and what its calls cost is taken from an allowance
that grows again with time. A part that raises or overdraws is *detached*: its consumer is closed
and the session goes on. Nothing one consumer does is seen by another, nor by the connection.

No task exists per consumer while audio flows, and nothing is queued for a live one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from time import perf_counter_ns
from typing import Any, Final, Protocol

import msgspec

from openaudiohook.host.consumer import (
    AudioFrame,
    Consumer,
    DisconnectReason,
    Entity,
    SessionInfo,
)

__all__ = ["Budgets", "Observer", "SessionControl", "SessionDispatch"]

_NS_PER_MS: Final = 1_000_000
_NS_PER_S: Final = 1_000_000_000

# Frames may be as short as a sample: what is kept is bounded in number, too.
_MOST_KEPT_ITEMS: Final = 2_000

# For what does not even end when it is cancelled.
_STUBBORN_S: Final = 0.5

# A call this short is not worth its account.
_TRIFLE_NS: Final = 50_000

_METHODS: Final = ("open", "audio", "paused", "resumed", "discarded", "updated", "close")


class Budgets(msgspec.Struct, frozen=True, kw_only=True):
    """How much a consumer may cost the session it takes part in.

    Attributes:
        burst_ns: time on the event loop that an inline consumer may use at once.
        share: the part of all time, as one in `share`, that it may use in the long run.
        backlog_samples: most audio kept for a consumer while its `open` runs.
        close_ns: how long all of closing may take.
    """

    burst_ns: int = 200 * _NS_PER_MS
    share: int = 20
    backlog_samples: int = 80_000
    close_ns: int = 5 * _NS_PER_S


class SessionControl(Protocol):
    """What consumers may ask of their session, through `Reply`."""

    def send_entities(self, entities: Sequence[Entity]) -> None:
        """Send entities, if the session still can."""

    def pause(self) -> None:
        """Ask the client for a pause."""

    def resume(self) -> None:
        """Take the pause back."""

    def disconnect(self, reason: DisconnectReason, info: str | None) -> None:
        """Ask the client for the end."""


class Observer(Protocol):
    """Who is told what became of consumers; names only, never content."""

    def consumer_detached(self, consumer: str, cause: str, error: str | None) -> None:
        """A consumer's part is over early: `failed`, `over-budget` or `close-timeout`."""

    def consumer_shed(self, consumer: str, samples: int) -> None:
        """Audio was dropped for a consumer that was not ready."""

    def consumer_degraded(self, consumer: str, session_id: str, reason: str) -> None:
        """A consumer works, but not as it should."""

    def consumer_healthy(self, consumer: str, session_id: str) -> None:
        """It does again, or its session is over."""


class _Reply:
    """One consumer's `Reply`; without a dispatch once its part is over."""

    __slots__ = ("_dispatch", "_is_degraded", "_last_position", "_name")

    def __init__(self, dispatch: SessionDispatch, name: str) -> None:
        self._dispatch: SessionDispatch | None = dispatch
        self._name = name
        self._is_degraded = False
        self._last_position = 0

    @property
    def position(self) -> int:
        return self._last_position if self._dispatch is None else self._dispatch.position

    def entities(self, entities: Sequence[Entity]) -> None:
        if self._dispatch is not None and entities:
            self._dispatch.control.send_entities(entities)

    def pause(self) -> None:
        if self._dispatch is not None:
            self._dispatch.hold(self)

    def resume(self) -> None:
        if self._dispatch is not None:
            self._dispatch.release(self)

    def disconnect(
        self, reason: DisconnectReason = DisconnectReason.COMPLETED, info: str | None = None
    ) -> None:
        if self._dispatch is not None:
            self._dispatch.control.disconnect(reason, info)

    def degraded(self, reason: str) -> None:
        if self._dispatch is not None:
            self._is_degraded = True
            self._dispatch.observer.consumer_degraded(
                self._name, self._dispatch.info.session_id, reason
            )

    def healthy(self) -> None:
        if self._dispatch is not None and self._is_degraded:
            self._is_degraded = False
            self._dispatch.observer.consumer_healthy(self._name, self._dispatch.info.session_id)

    def end(self) -> None:
        """Take back all that lasts, and let go of the session."""
        if self._dispatch is not None:
            self._last_position = self._dispatch.position
            self.healthy()
            self.resume()
            self._dispatch = None


class _Kept:
    """What came while a consumer was opening: the newest audio, and all that is not audio."""

    __slots__ = ("_before", "_items", "_limit", "_samples", "shed")

    def __init__(self, limit: int) -> None:
        # What remains of the time before `_items`: shed spans, and what was told among them.
        self._before: list[tuple[str, tuple[Any, ...]]] = []
        self._items: deque[tuple[str, tuple[Any, ...]]] = deque()
        self._limit = limit
        self._samples = 0
        self.shed = 0

    def add(self, method: str, args: tuple[Any, ...]) -> bool:
        """Keep one call for later; False where even the calls without audio are too many."""
        self._items.append((method, args))
        if method == "audio":
            self._samples += args[0].samples
        while self._items and (self._samples > self._limit or len(self._items) > _MOST_KEPT_ITEMS):
            self._shed_oldest()
        return len(self._before) <= _MOST_KEPT_ITEMS

    def calls(self) -> list[tuple[str, tuple[Any, ...]]]:
        """Everything to deliver, in order."""
        return [*self._before, *self._items]

    def _shed_oldest(self) -> None:
        method, args = self._items.popleft()
        if method != "audio":
            self._before.append((method, args))
            return
        frame: AudioFrame = args[0]
        self._samples -= frame.samples
        self.shed += frame.samples
        if self._before and self._before[-1][0] == "discarded":
            start, length = self._before[-1][1]
            if start + length == frame.position:
                self._before[-1] = ("discarded", (start, length + frame.samples))
                return
        self._before.append(("discarded", (frame.position, frame.samples)))


class _Part:
    """One consumer's part in the session."""

    __slots__ = (
        "allowance",
        "charged_at",
        "consumer",
        "kept",
        "name",
        "on_audio",
        "opening",
        "reply",
    )

    def __init__(self, consumer: Consumer, reply: _Reply, kept: _Kept, budgets: Budgets) -> None:
        self.consumer = consumer
        self.name = consumer.name
        self.on_audio = consumer.audio
        self.reply = reply
        self.kept: _Kept | None = kept
        self.opening: asyncio.Task[None] | None = None
        self.allowance = budgets.burst_ns
        self.charged_at = 0


class SessionDispatch:
    """Passes one session on to its consumers. Give it the session's events, in order.

    Attributes:
        info: what the consumers were told of the session.
        control: the session, for what consumers ask of it.
        observer: who is told what became of consumers.
        position: how far the stream has come, in samples.
    """

    __slots__ = (
        "_budgets",
        "_clock",
        "_holders",
        "_parts",
        "_tasks",
        "control",
        "info",
        "observer",
        "position",
    )

    def __init__(
        self,
        info: SessionInfo,
        *,
        control: SessionControl,
        observer: Observer,
        budgets: Budgets | None = None,
        clock: Callable[[], int] = perf_counter_ns,
    ) -> None:
        self.info = info
        self.control = control
        self.observer = observer
        self.position = info.start
        self._budgets = budgets or Budgets()
        self._clock = clock
        self._parts: tuple[_Part, ...] = ()
        self._holders: set[_Reply] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def consumers(self) -> tuple[str, ...]:
        """The names of the consumers that take part now."""
        return tuple(part.name for part in self._parts)

    def open(self, consumers: Sequence[Consumer]) -> None:
        """Begin to open the consumers; returns at once."""
        parts = []
        for consumer in consumers:
            if not all(callable(getattr(consumer, method, None)) for method in _METHODS):
                self.observer.consumer_detached(consumer.name, "failed", "AttributeError")
                continue
            reply = _Reply(self, consumer.name)
            kept = _Kept(self._budgets.backlog_samples)
            parts.append(_Part(consumer, reply, kept, self._budgets))
        self._parts = tuple(parts)
        for part in parts:
            part.opening = self._spawn(self._open(part))

    def audio(self, frame: AudioFrame) -> None:
        """Pass on a frame."""
        self.position = frame.position + frame.samples
        clock = self._clock
        started = clock()
        for part in self._parts:
            if part.kept is not None:
                self._keep(part, "audio", frame)
                continue
            try:
                part.on_audio(frame)
            except Exception as error:
                self._detach(part, "failed", error)
                continue
            ended = clock()
            if ended - started > _TRIFLE_NS:
                self._charge(part, started, ended)
            started = ended

    def paused(self, position: int) -> None:
        """Pass on a pause."""
        self.position = max(self.position, position)
        self._tell("paused", position)

    def resumed(self, start: int, discarded: int) -> None:
        """Pass on the end of a pause."""
        self.position = max(self.position, start + discarded)
        self._tell("resumed", start, discarded)

    def discarded(self, start: int, discarded: int) -> None:
        """Pass on a gap."""
        self.position = max(self.position, start + discarded)
        self._tell("discarded", start, discarded)

    def updated(self, language: str | None, position: int) -> None:
        """Pass on a change of language."""
        self._tell("updated", language, position)

    async def close(self, reason: str, position: int) -> None:
        """Close every consumer, all at once; returns within the close budget.

        Args:
            reason: what `Consumer.close` is told.
            position: where the stream ended, in samples.
        """
        self.position = max(self.position, position)
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._budgets.close_ns / _NS_PER_S
        for part in self._parts:
            self._spawn(self._finish(part, reason, deadline))
        while self._tasks and (left := deadline + _STUBBORN_S - loop.time()) > 0:
            await asyncio.wait(self._tasks, timeout=left)
        self._parts = ()

    def hold(self, reply: _Reply) -> None:
        """Note a consumer's pause; the first one asks for it."""
        if not self._holders:
            self.control.pause()
        self._holders.add(reply)

    def release(self, reply: _Reply) -> None:
        """Take back a consumer's pause; the last one asks for the resume."""
        if reply in self._holders:
            self._holders.remove(reply)
            if not self._holders:
                self.control.resume()

    def _tell(self, method: str, *args: Any) -> None:
        for part in self._parts:
            if part.kept is None:
                self._call(part, getattr(part.consumer, method), *args)
            else:
                self._keep(part, method, *args)

    def _call(self, part: _Part, method: Callable[..., None], *args: Any) -> None:
        started = self._clock()
        try:
            method(*args)
        except Exception as error:
            self._detach(part, "failed", error)
            return
        self._charge(part, started, self._clock())

    def _charge(self, part: _Part, started: int, ended: int) -> None:
        """Take the time of a call from a part's allowance, which has grown since the last."""
        budgets = self._budgets
        earned = (started - part.charged_at) // budgets.share
        part.allowance = min(budgets.burst_ns, part.allowance + earned) - (ended - started)
        part.charged_at = ended
        if part.allowance < 0:
            self._detach(part, "over-budget", None)

    def _keep(self, part: _Part, method: str, *args: Any) -> None:
        assert part.kept is not None
        if not part.kept.add(method, args):
            self._abandon(part)

    async def _open(self, part: _Part) -> None:
        try:
            await part.consumer.open(self.info, part.reply)
        except Exception as error:
            self._leave(part, "failed", error)
            part.reply.end()
            return
        kept = part.kept
        part.kept = None
        part.charged_at = self._clock()
        assert kept is not None
        if kept.shed:
            self.observer.consumer_shed(part.name, kept.shed)
        for method, args in kept.calls():
            if part in self._parts:
                self._call(part, getattr(part.consumer, method), *args)

    def _detach(self, part: _Part, cause: str, error: Exception | None) -> None:
        self._leave(part, cause, error)
        deadline = asyncio.get_running_loop().time() + self._budgets.close_ns / _NS_PER_S
        self._spawn(self._close(part, cause, deadline))

    def _abandon(self, part: _Part) -> None:
        """Give up on a consumer that is still opening; never open, it is not closed either."""
        assert part.opening is not None
        part.opening.cancel()
        self._leave(part, "over-budget", None)
        part.reply.end()

    def _leave(self, part: _Part, cause: str, error: Exception | None) -> None:
        self._parts = tuple(other for other in self._parts if other is not part)
        self.observer.consumer_detached(part.name, cause, type(error).__name__ if error else None)

    async def _finish(self, part: _Part, reason: str, deadline: float) -> None:
        """End a part with the session: let it finish opening first, if it still is."""
        opening = part.opening
        if opening is not None and not opening.done():
            await asyncio.wait({opening}, timeout=deadline - asyncio.get_running_loop().time())
        # Opening may have failed, and what was kept may have been too much for it.
        if part not in self._parts:
            return
        if part.kept is not None:
            self._abandon(part)
        else:
            await self._close(part, reason, deadline)

    async def _close(self, part: _Part, reason: str, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await part.consumer.close(reason)
        except TimeoutError:
            self._leave(part, "close-timeout", None)
        except Exception as error:
            self._leave(part, "failed", error)
        finally:
            part.reply.end()

    def _spawn(self, coroutine: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(coroutine)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
