"""Whatever one endpoint does, the other four receive the same bytes at the same time."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from fanout.world import Endpoint, World, check
from openaudiohook.fanout.cursor import CursorState
from openaudiohook.protocol.types import PauseCause

pytestmark = pytest.mark.unit

S = 8_000
BAD = 2  # its neighbours come before and after it


def well_behaved(world: World, endpoint: Endpoint, second: int) -> None:
    pass


def slow(world: World, endpoint: Endpoint, second: int) -> None:
    endpoint.rate = 5_000


def dead(world: World, endpoint: Endpoint, second: int) -> None:
    endpoint.is_dead = second >= 1


def silent_from_the_start(world: World, endpoint: Endpoint, second: int) -> None:
    endpoint.is_dead = True


def refusing(world: World, endpoint: Endpoint, second: int) -> None:
    endpoint.refuses = True


def lying_about_seq(world: World, endpoint: Endpoint, second: int) -> None:
    endpoint.lies_about_seq = second >= 1


def pausing(world: World, endpoint: Endpoint, second: int) -> None:
    if second:
        (endpoint.server.pause if second % 2 else endpoint.server.resume)(world.now_ns)


def gone(world: World, endpoint: Endpoint, second: int) -> None:
    if second == 3:
        endpoint.cut(world.now_ns)


def breaking_in_our_hands(world: World, endpoint: Endpoint, second: int) -> None:
    if second == 2:
        endpoint.cursor.layout = None  # what cannot be: a mistake of our own
        world.call.wake()


class BrokenOutlet:
    is_writable = True

    def unsent_bytes(self) -> int:
        return 0

    def flush(self) -> None:
        raise OSError("what nobody should read")

    def send_audio(self, payload: bytes, now_ns: int) -> bool:
        raise OSError("what nobody should read")

    def clear(self, size_bytes: int) -> bool:
        return False


def with_a_connection_that_raises(world: World, endpoint: Endpoint, second: int) -> None:
    if second == 2:
        endpoint.cursor._outlet = BrokenOutlet()
        world.call.wake()


MISBEHAVIOUR = (
    slow, dead, silent_from_the_start, refusing, lying_about_seq, pausing, gone,
    breaking_in_our_hands, with_a_connection_that_raises,
)  # fmt: skip


def a_call(behave: Callable[[World, Endpoint, int], None]) -> World:
    """Ten seconds with a secure pause and a change of language; one endpoint behaves so."""
    world = World()
    for name in "abcde":
        world.endpoint(name, dial=False)
    bad = world.endpoints[BAD]
    behave(world, bad, 0)
    for endpoint in world.endpoints:
        endpoint.dial(world.now_ns)
    world.settle()
    for second in range(1, 11):
        world.play(S)
        if not bad.is_cut:
            behave(world, bad, second)
        match second:
            case 4:
                world.call.begin_pause(PauseCause.SECURE, "flow")
            case 6:
                world.call.end_pause(PauseCause.SECURE, "flow")
            case 8:
                world.call.update_language("fr-CA")
    world.call.finish(world.now_ns)
    for _ in range(2_500):
        world.tick()
    if not bad.is_cut:  # what is dead is buried by its connection
        bad.cut(world.now_ns)
    return world


@pytest.fixture(scope="module")
def undisturbed() -> World:
    return a_call(well_behaved)


def test_a_call_without_trouble_reaches_all_five(undisturbed: World) -> None:
    audio = undisturbed.source[: 8 * S] + undisturbed.source[12 * S : 20 * S]
    for endpoint in undisturbed.endpoints:
        assert endpoint.received.audio == audio
        check(undisturbed, endpoint)


@pytest.mark.parametrize("behave", MISBEHAVIOUR, ids=lambda behave: behave.__name__)
def test_the_other_four_do_not_notice(
    behave: Callable[[World, Endpoint, int], None], undisturbed: World
) -> None:
    world = a_call(behave)
    bad = world.endpoints[BAD]
    assert bad.received.times != undisturbed.endpoints[BAD].received.times
    for index, (endpoint, model) in enumerate(
        zip(world.endpoints, undisturbed.endpoints, strict=True)
    ):
        if index == BAD:
            continue
        assert endpoint.received.times == model.received.times
        assert endpoint.received.octets == model.received.octets
        assert endpoint.cursor.account == model.cursor.account
        check(world, endpoint)
    # And of the bad one, too, every sample is accounted for.
    account = bad.cursor.account
    parts = (account.sent, account.discarded, account.lost, account.paused_union)
    assert bad.cursor.state is CursorState.ENDED
    assert sum(parts) == account.length == 10 * S
    assert account.paused_secure == 2 * S
