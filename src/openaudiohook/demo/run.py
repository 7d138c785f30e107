"""The demo itself: a service, a Monitor, five integrations, one call in real time."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import functools
import math
import secrets
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from openaudiohook.audio import RATE
from openaudiohook.auth import Credentials, InMemoryKeys
from openaudiohook.demo.checking import Checker, Receipt
from openaudiohook.demo.display import Display, Row, Snapshot
from openaudiohook.demo.picture import draw_picture, envelope
from openaudiohook.demo.refusal import open_refusing_service
from openaudiohook.demo.relay import open_relay
from openaudiohook.demo.report import DemoReport, Outcome, Role, UsageLine, check
from openaudiohook.demo.staging import open_stage, plan, stage_call
from openaudiohook.demo.story import Caption, Story, cut, load_captions, monitored_from, tell
from openaudiohook.demo.timeline import Part, Timeline, make_lane
from openaudiohook.demo.usage import usage_claim
from openaudiohook.exceptions import ConfigurationError, MediaError
from openaudiohook.fanout.cursor import CursorState
from openaudiohook.fanout.endpoint import Endpoint, EndpointState
from openaudiohook.host.consumer import per_session
from openaudiohook.host.registry import Registry
from openaudiohook.monitor.monitor import RunningCall
from openaudiohook.monitor.provision import Plan
from openaudiohook.monitor.report import CallReport
from openaudiohook.monitor.scenario import (
    Hangup,
    Scenario,
    SecureFlow,
    expected_samples,
    load_scenario,
)
from openaudiohook.service.config import ServiceConfig
from openaudiohook.service.service import Service
from openaudiohook.transport.admission import Admission

__all__ = ["CAST", "Demo", "bundled_call"]

CAST: Final[Mapping[str, Role]] = {
    "plain-1": Role.PLAIN,
    "plain-2": Role.PLAIN,
    "plain-3": Role.PLAIN,
    "slow": Role.SLOW,
    "late": Role.REFUSES_TWICE,
}
"""The integrations, and what each is there to show."""

_ORDER: Final = {name: number for number, name in enumerate(CAST)}

_WHAT_FOR: Final = {
    Role.PLAIN: "",
    Role.SLOW: "on a thin line",
    Role.REFUSES_TWICE: "refuses twice",
}

_CALL: Final = Path(__file__).parent / "call" / "call.toml"
_PATH: Final = "/api/v1/audiohook/ws"
_LOOK_S: Final = 0.1
_CLOSE_S: Final = 10.0
_BYTES_PER_S: Final = 2 * RATE  # stereo mu-law
_REFUSALS: Final = 2

# Until the Monitor leaves audio out, 2 s of it wait in the ring, and the line's buffers are full.
_BACKLOG_S: Final = 2.75


def bundled_call(seconds: float | None = None) -> tuple[Scenario, tuple[Caption, ...]]:
    """Return the bundled call and what is said in it.

    Args:
        seconds: hang up so long after call entry.

    Raises:
        ConfigurationError: the call would end before it is monitored.
    """
    scenario = load_scenario(_CALL)
    if seconds is not None:
        if not math.isfinite(seconds):
            raise ConfigurationError(f"--seconds {seconds:g}: a number of seconds is needed")
        scenario = cut(scenario, seconds)
    if monitored_from(scenario) is None:
        start = (monitored_from(load_scenario(_CALL)) or 0) / RATE
        raise ConfigurationError(
            f"--seconds {seconds:g}: the caller is not monitored before {start:g} s, "
            "when the queue answers; give more"
        )
    return scenario, load_captions(_CALL)


class Demo:
    """One run of the demo.

    Args:
        scenario: the call.
        call_file: its script; what it plays lies beside it.
        recordings: the directory for recordings and the drawn timeline.
        captions: what is said in the call, for the display.
        slow_share: how much of real time the slow integration's line carries.
        refuse_after_s: how long the late integration takes each time before it refuses.

    Attributes:
        timeline: what became of every sample; empty before the call is over.
    """

    def __init__(
        self,
        scenario: Scenario,
        *,
        recordings: Path,
        call_file: Path = _CALL,
        captions: Sequence[Caption] = (),
        slow_share: float = 0.6,
        refuse_after_s: float = 1.5,
    ) -> None:
        self.timeline = Timeline(0, (), (), ())
        self._scenario = scenario
        self._call_file = call_file
        self._refusals = 0
        self._recordings = recordings
        self._story = tell(scenario, captions)
        self._slow_share = slow_share
        self._refuse_after_s = refuse_after_s
        self._receipts = {name: Receipt() for name in CAST}
        self._running: RunningCall | None = None

    async def run(self, display: Display) -> DemoReport:
        """Run the call to its end, and check what arrived. Cancelling it leaves nothing behind."""
        async with contextlib.AsyncExitStack() as stack:
            directory = Path(
                stack.enter_context(tempfile.TemporaryDirectory(prefix="openaudiohook-"))
            )
            plans = await stack.enter_async_context(self._integrations())
            monitor = await stack.enter_async_context(open_stage(directory))
            tasks = await stack.enter_async_context(asyncio.TaskGroup())
            await asyncio.to_thread(self._stage_call, directory)
            await monitor.configure(plans)
            self._refusals = _REFUSALS
            live = await monitor.place()
            running = self._running = live.running
            watching = tasks.create_task(self._watch(running, display))
            call = await live.finished()
            watching.cancel()
            usage = await monitor.usage(live.conversation_id)
        return await asyncio.to_thread(self._report, call, usage)

    def _stage_call(self, directory: Path) -> None:
        steps = self._scenario.steps
        until = next((step.at for step in steps if isinstance(step, Hangup)), None)
        stage_call(self._call_file, directory, until=until)

    # The two ends -----------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _integrations(self) -> AsyncIterator[dict[str, Plan]]:
        """Run the services and the lines to them; yield what the Monitor is to be told of each."""
        credentials = {
            name: Credentials(secrets.token_urlsafe(24), secrets.token_bytes(32)) for name in CAST
        }
        async with contextlib.AsyncExitStack() as stack:
            port = await stack.enter_async_context(self._service(credentials.values()))
            refusing = await stack.enter_async_context(
                open_refusing_service(
                    Admission(InMemoryKeys(credentials.values(), decoy=secrets.token_bytes(32))),
                    path=_PATH,
                    after_s=self._refuse_after_s,
                )
            )
            thin = await stack.enter_async_context(
                open_relay(lambda _: port, bytes_per_s=int(_BYTES_PER_S * self._slow_share))
            )
            moving = await stack.enter_async_context(
                open_relay(functools.partial(self._route, port=port, refusing=refusing))
            )
            ports = {
                Role.PLAIN: port,
                Role.SLOW: thin.port,
                Role.REFUSES_TWICE: moving.port,
            }
            yield {
                name: plan(
                    name,
                    uri=f"ws://127.0.0.1:{ports[role]}{_PATH}",
                    api_key=credentials[name].api_key,
                    client_secret=base64.b64encode(credentials[name].secret).decode(),
                )
                for name, role in CAST.items()
            }

    def _route(self, number: int, *, port: int, refusing: int) -> int:
        """Where the late integration's line leads: to a refusal, while any is left."""
        if not self._refusals:
            return port
        self._refusals -= 1
        return refusing

    @contextlib.asynccontextmanager
    async def _service(self, credentials: Iterable[Credentials]) -> AsyncIterator[int]:
        """Run the recording and checking service; yield its port."""
        registry = Registry()
        registry.add(Checker.name, per_session(self._checker))
        with credentials_file(credentials) as path:
            config = ServiceConfig(
                port=0,
                path=_PATH,
                credentials=str(path),
                consumers=("recorder", Checker.name),
                recordings=str(self._recordings),
            )
            async with Service(config, registry=registry) as service:
                yield service.port
                # What is still being written is waited for.
                await service.drained(grace_s=0, timeout_s=_CLOSE_S)

    def _checker(self, options: Mapping[str, Any]) -> Checker:
        return Checker(receipts=self._receipts, completed_ns=self._completed_ns)

    def _completed_ns(self, position: int) -> int | None:
        fanout = None if self._running is None else self._running.call.fanout
        return None if fanout is None else fanout.completed_ns(position)

    # While it runs ----------------------------------------------------------------------

    async def _watch(self, running: RunningCall, display: Display) -> None:
        length = expected_samples(self._scenario)
        while True:
            display.show(self._snapshot(running, length))
            await asyncio.sleep(_LOOK_S)

    def _snapshot(self, running: RunningCall, length: int) -> Snapshot:
        position = running.call.position
        rows = [
            self._row(endpoint, running)
            for endpoint in sorted(running.endpoints, key=lambda one: _ORDER[one.config.name])
        ]
        return Snapshot(
            position=position,
            length=length,
            chapter=self._story.chapter_at(position),
            caption=self._story.caption_at(position),
            rows=tuple(rows or (Row(name, CAST[name], "not dialed yet") for name in CAST)),
        )

    def _row(self, endpoint: Endpoint, running: RunningCall) -> Row:
        name, account = endpoint.config.name, endpoint.cursor.account
        return Row(
            name=name,
            role=CAST[name],
            state=_state(endpoint, running),
            position=endpoint.cursor.position,
            sent=account.sent,
            discarded=account.discarded,
            latency_ms=self._receipts[name].latency.quantile(0.5),
        )

    # When it is over --------------------------------------------------------------------

    def _report(self, call: CallReport, usage: tuple[UsageLine, ...]) -> DemoReport:
        folder = self._recordings / call.conversation_id
        outcomes = tuple(
            Outcome(
                role=CAST[endpoint.name],
                endpoint=endpoint,
                receipt=self._receipts[endpoint.name],
                recording=folder / f"{endpoint.session_id}.wav",
            )
            for endpoint in sorted(call.endpoints, key=lambda one: _ORDER[one.name])
        )
        self.timeline = _timeline(call, outcomes, self._story)
        return DemoReport(
            call=call,
            outcomes=outcomes,
            claims=(
                *check(
                    call,
                    outcomes,
                    is_slow_shown=self._is_slow_shown(outcomes),
                    is_secure_shown=any(isinstance(s, SecureFlow) for s in self._scenario.steps),
                ),
                usage_claim(call, usage),
            ),
            recordings=self._recordings,
            picture=_write_picture(self._recordings / "timeline.svg", self.timeline, outcomes),
            usage=usage,
        )

    def _is_slow_shown(self, outcomes: Sequence[Outcome]) -> bool:
        """Whether audio flowed long enough at a stretch for the slow one to fall behind."""
        longest = max(
            (end - start for one in outcomes for start, end in one.receipt.received), default=0
        )
        return longest / RATE > 1.3 * _BACKLOG_S / (1 - self._slow_share)


def _state(endpoint: Endpoint, running: RunningCall) -> str:
    """Where an endpoint stands, in a word or two."""
    cursor, fanout = endpoint.cursor, running.call.fanout
    match endpoint.state:
        case EndpointState.CONNECTING | EndpointState.OPENING:
            return "dialing" if endpoint.attempts < 2 else f"dialing, attempt {endpoint.attempts}"
        case EndpointState.RETRYING:
            return f"retrying, refused {endpoint.attempts}x"
        case EndpointState.STREAMING if cursor.state is CursorState.ENDED:
            return "closing"
        case EndpointState.STREAMING if fanout is not None and fanout.is_paused:
            causes = sorted({cause.value for cause, _ in fanout.pauses.reasons})
            return f"paused ({', '.join(causes)})"
        case EndpointState.STREAMING:
            return cursor.state.value.replace("-", " ")
    return endpoint.state.value


def _live_from(outcome: Outcome) -> int:
    """Where live audio began; who was there within half a second had nothing to catch up on."""
    opened_at = outcome.endpoint.account.opened_at or 0
    return opened_at if opened_at > RATE // 2 else 0


def _timeline(call: CallReport, outcomes: Sequence[Outcome], story: Story) -> Timeline:
    """Put the call on a timeline that begins with its first monitored sample."""
    length, entry = call.call_samples, call.monitored_from or 0
    parts = []
    for chapter in story.chapters:
        start = max(0, chapter.start - entry)
        end = length if chapter.end is None else min(length, chapter.end - entry)
        if end > start:
            parts.append(Part(start, end, chapter.name))
    return Timeline(
        length=length,
        secure=call.secure_spans,
        parts=tuple(parts),
        lanes=tuple(
            make_lane(
                one.name,
                _WHAT_FOR[one.role],
                one.receipt,
                length=length,
                live_from=_live_from(one),
                secure=call.secure_spans,
            )
            for one in outcomes
        ),
    )


def _write_picture(path: Path, timeline: Timeline, outcomes: Sequence[Outcome]) -> Path | None:
    """Draw the timeline; None where the disk does not take it."""
    envelopes = {}
    for outcome in outcomes:
        # A recording that cannot be read is told by the claims; its lane has no sound here.
        with contextlib.suppress(MediaError, OSError):
            envelopes[outcome.name] = envelope(outcome.recording, length=timeline.length)
    try:
        path.write_text(draw_picture(timeline, envelopes), encoding="utf-8")
    except OSError:
        return None
    return path


@contextlib.contextmanager
def credentials_file(credentials: Iterable[Credentials]) -> Iterator[Path]:
    """Write keys where a service can read them, and where nobody else can, for a while."""
    with tempfile.TemporaryDirectory(prefix="openaudiohook-") as directory:
        path = Path(directory) / "credentials.toml"
        path.touch(mode=0o600)
        path.write_text(
            "".join(
                f'[[credentials]]\napi_key = "{one.api_key}"\n'
                f'client_secret = "{base64.b64encode(one.secret).decode()}"\n'
                for one in credentials
            ),
            encoding="utf-8",
        )
        yield path
