"""One endpoint, several sessions: stories with real sessions, in simulated time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from fanout.moving import Link, Moving, S, check
from fanout.world import MS, TICK_SAMPLES, World
from openaudiohook.fanout.pauses import length
from openaudiohook.protocol.types import ClientState, DisconnectReason, PauseCause

pytestmark = pytest.mark.unit

SECURE, CLIENT = PauseCause.SECURE, PauseCause.CLIENT
REFUSED = {"refusal": DisconnectReason.ERROR}


def started(*behaviours: dict[str, Any], **options: Any) -> tuple[World, Moving]:
    """A call of 12 s, streamed to an endpoint that opened at once."""
    world = World(samples=100 * S)
    moving = Moving(world, {}, *behaviours, **options)
    world.settle()
    world.play(12 * S)
    assert moving.succession.is_streaming
    return world, moving


def ask_to_move(world: World, moving: Moving) -> None:
    moving.link.server.reconnect(world.now_ns)
    world.settle()


def cut(world: World, link: Link) -> None:
    link.cut(world.now_ns)


def disconnect(world: World, link: Link) -> None:
    link.server.disconnect(world.now_ns, reason=DisconnectReason.ERROR)


def fall_silent(world: World, link: Link) -> None:
    link.is_dead = True


def err(world: World, link: Link) -> None:
    assert link.leg.cursor is not None
    link.leg.cursor.layout = None
    world.call.wake()


# Planned ---------------------------------------------------------------------------------


def test_a_stream_is_moved_and_nothing_is_missing() -> None:
    world, moving = started()
    old = moving.link
    ask_to_move(world, moving)
    world.play(S)
    new = moving.link
    assert new is not old
    assert old.close_reason == "reconnect"
    assert new.session_id != old.session_id
    assert new.opened_with is not None
    (earlier,) = new.opened_with.continued_sessions
    assert earlier.id == old.session_id
    assert 0 < earlier.serverseq <= old.session._sequence.received
    assert 0 < earlier.clientseq <= old.session._sequence.sent
    assert (new.leg.start, new.leg.attempt) == (0, 0)
    world.play(3 * S)
    moving.finish()
    assert (moving.error, new.close_reason) == (None, "end")
    assert moving.account.sent == moving.account.length == 16 * S
    assert moving.account.resent == 12 * S
    assert moving.account.sent_sha256 is None
    assert moving.received == [(0, 16 * S)]
    check(moving)


def test_history_is_offered_for_twenty_seconds_at_most() -> None:
    world, moving = started()
    world.play(30 * S)
    ask_to_move(world, moving)
    world.play(S)
    assert moving.link.leg.start == 22 * S + TICK_SAMPLES
    moving.finish()
    assert moving.account.sent == moving.account.length
    assert moving.account.resent == 20 * S - TICK_SAMPLES
    check(moving)


def test_the_old_session_is_served_until_the_new_one_is_open() -> None:
    world, moving = started({"rate": 0})  # its `open` does not get through
    old = moving.link
    ask_to_move(world, moving)
    world.play(4 * S)
    assert old.spans[-1][1] == 16 * S
    assert moving.link is old
    moving.links[-1].rate = None
    world.play(S)
    assert moving.link is not old
    assert old.close_reason == "reconnect"
    moving.finish()
    assert moving.account.sent == moving.account.length
    check(moving)


@pytest.mark.parametrize("reason", list(DisconnectReason))
def test_the_old_sessions_disconnect_counts_no_more_while_it_moves(
    reason: DisconnectReason,
) -> None:
    world, moving = started({"rate": 0})
    old = moving.link
    ask_to_move(world, moving)
    old.server.disconnect(world.now_ns, reason=reason)
    world.play(2 * S)
    assert old.session.state is ClientState.OPEN
    moving.links[-1].rate = None
    world.play(S)
    moving.finish()
    assert moving.error is None
    assert old.close_reason == "reconnect"
    assert moving.account.sent == moving.account.length
    check(moving, is_lossless=False)  # after its `disconnect` the old server heeds nothing more


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (DisconnectReason.COMPLETED, None),
        (DisconnectReason.ERROR, "ended the session with `disconnect` error"),
    ],
)
def test_a_disconnect_that_was_held_back_counts_when_nobody_takes_over(
    reason: DisconnectReason, error: str | None
) -> None:
    world, moving = started(*[REFUSED] * 2, retries=1)
    old = moving.link
    ask_to_move(world, moving)
    old.server.disconnect(world.now_ns, reason=reason)
    world.play(4 * S)
    assert moving.is_cut
    assert len(moving.links) == 3
    assert old.close_reason == "disconnect"
    assert (error or "None") in str(moving.error)
    check(moving, is_lossless=False)


def test_an_old_session_that_is_lost_while_it_moves_is_followed_all_the_same() -> None:
    world, moving = started({"rate": 0})
    ask_to_move(world, moving)
    world.play(S)
    moving.links[0].cut(world.now_ns)
    world.play(S)
    assert not moving.succession.is_streaming
    moving.links[-1].rate = None
    world.play(S)
    moving.finish()
    assert moving.error is None
    assert moving.account.sent == moving.account.length
    check(moving, is_lossless=False)


def test_a_hang_up_while_it_moves_ends_both() -> None:
    world, moving = started({"rate": 0})
    ask_to_move(world, moving)
    world.call.finish(world.now_ns)
    world.tick()
    moving.links[-1].rate = None
    moving.finish()
    assert moving.error is None
    assert moving.links[-1].spans == []
    assert moving.links[-1].close_reason == "end"
    assert len(moving.succession.legs) == 1
    check(moving)


# What the new server says ----------------------------------------------------------------


def test_completed_ends_everything() -> None:
    world, moving = started({"refusal": DisconnectReason.COMPLETED})
    ask_to_move(world, moving)
    world.play(2 * S)
    assert moving.is_cut
    assert (moving.error, moving.links[0].close_reason) == (None, "disconnect")
    check(moving)


@pytest.mark.parametrize(
    ("reason", "sessions"),
    [(DisconnectReason.UNAUTHORIZED, 1), (DisconnectReason.REJECTED, 2)],
)
def test_back_to_the_old_session(reason: DisconnectReason, sessions: int) -> None:
    world, moving = started({"refusal": reason})
    ask_to_move(world, moving)
    world.play(2 * S)
    assert len(moving.links) == 2
    assert not moving.links[0].session.is_handing_over
    ask_to_move(world, moving)  # only who is unauthorized is not tried again
    world.play(2 * S)
    moving.finish()
    assert moving.error is None
    assert len(moving.succession.legs) == sessions
    assert moving.account.sent == moving.account.length
    check(moving)


def test_error_is_retried_and_the_same_session_asked_for() -> None:
    world, moving = started(REFUSED, {"is_unreachable": True}, REFUSED)
    ask_to_move(world, moving)
    world.play(8 * S)
    moving.finish()
    assert [link.leg.attempt for link in moving.links] == [0, 0, 1, 2, 3]
    assert len({link.session_id for link in moving.links}) == 2
    new = moving.link
    assert new.opened_with is not None
    assert len(new.opened_with.continued_sessions) == 1
    assert moving.account.sent == moving.account.length
    check(moving)


def test_errors_without_end_leave_the_old_session_in_charge() -> None:
    world, moving = started(*[REFUSED] * 6)
    old = moving.link
    ask_to_move(world, moving)
    world.play(25 * S)
    assert len(moving.links) == 7
    assert moving.link is old
    old.server.disconnect(world.now_ns, reason=DisconnectReason.COMPLETED)
    world.play(S)
    assert (moving.is_cut, moving.error) == (True, None)
    check(moving)


# Unplanned -------------------------------------------------------------------------------


@pytest.mark.parametrize("happen", [cut, disconnect, fall_silent, err])
def test_a_session_that_is_lost_is_followed_by_another(
    happen: Callable[[World, Link], None],
) -> None:
    world, moving = started()
    happen(world, moving.link)
    world.play(12 * S)
    assert len(moving.succession.legs) == 2
    assert moving.succession.is_streaming
    world.play(S)
    moving.finish()
    assert moving.error is None
    assert moving.account.sent == moving.account.length
    first, second = moving.succession.reports()
    assert first.error is not None
    assert second.error is None
    assert (first.lost_at is not None) == (happen is cut)
    assert moving.received == [(0, 25 * S)]
    check(moving, is_lossless=False)


def unauthorized(world: World, link: Link) -> None:
    link.server.disconnect(world.now_ns, reason=DisconnectReason.UNAUTHORIZED)


def rejected(world: World, link: Link) -> None:
    link.server.disconnect(world.now_ns, reason=DisconnectReason.REJECTED)


def lie(world: World, link: Link) -> None:
    link.lies_about_seq = True


def talk_too_much(world: World, link: Link) -> None:
    for number in range(200):
        text = (
            f'{{"version":"2","id":"{link.session_id}","type":"event","seq":'
            f'{link.session._sequence.received + 1},"clientseq":1,'
            f'"parameters":{{"entities":[{{"type":"x","data":{number}}}]}}}}'
        )
        link.session.receive_text(text, world.now_ns)


@pytest.mark.parametrize("happen", [unauthorized, rejected, lie, talk_too_much])
def test_what_will_not_pass_is_final(happen: Callable[[World, Link], None]) -> None:
    world, moving = started()
    happen(world, moving.link)
    world.play(12 * S)
    assert moving.is_cut
    assert moving.error is not None
    assert len(moving.links) == 1


def test_a_first_session_that_opens_late_still_begins_at_the_calls_beginning() -> None:
    world = World(samples=40 * S)
    moving = Moving(world, REFUSED, REFUSED, base_s=13, cap_s=13)
    world.settle()
    world.play(30 * S)  # more than the history that is offered
    (link,) = [one for one in moving.links if one.leg.is_open]
    assert [one.leg.attempt for one in moving.links] == [0, 1, 2]
    assert [one.leg.start for one in moving.links] == [0, 0, 0]
    ((kind, start, gap),) = link.received.gaps
    assert (kind, start) == ("discarded", 0)
    assert gap >= 6 * S
    moving.finish()
    check(moving)
    assert moving.account.lost == 0


def test_who_has_had_enough_is_not_called_again() -> None:
    world, moving = started()
    moving.link.server.disconnect(world.now_ns, reason=DisconnectReason.COMPLETED)
    world.play(S)
    assert (moving.is_cut, moving.error, len(moving.links)) == (True, None, 1)


@pytest.mark.parametrize("happen", [cut, disconnect])
def test_without_the_switch_nothing_follows(happen: Callable[[World, Link], None]) -> None:
    world, moving = started(reconnections=False)
    ask_to_move(world, moving)
    world.play(S)
    assert len(moving.links) == 1
    happen(world, moving.link)
    world.play(S)
    assert moving.is_cut
    assert moving.error is not None
    assert len(moving.links) == 1
    check(moving)


def test_a_lost_session_nobody_replaces_is_told_with_both_reasons() -> None:
    world, moving = started(*[REFUSED] * 6)
    cut(world, moving.link)
    world.play(30 * S)
    assert moving.is_cut
    assert moving.error is not None
    assert moving.error.startswith("the connection was lost")
    assert "no other session could take over: the endpoint refused" in moving.error
    assert moving.account.lost == moving.account.length - 12 * S
    check(moving)


def test_completed_ends_an_endpoint_that_had_been_lost() -> None:
    world, moving = started({"refusal": DisconnectReason.COMPLETED})
    cut(world, moving.link)
    world.play(S)
    assert (moving.is_cut, moving.error) == (True, None)


def test_sessions_that_do_not_last_are_followed_ever_later_and_not_for_ever() -> None:
    world, moving = started()
    dialled = []
    for _ in range(40):
        if moving.succession.is_over:
            break
        if moving.succession.is_streaming:
            cut(world, moving.link)
            dialled.append(world.now_ns)
        world.play(S)
    assert moving.is_cut
    assert len(moving.links) == 7
    pauses = [later - before for before, later in itertools.pairwise(dialled)]
    assert pauses == sorted(pauses)
    assert pauses[-1] >= 8_000 * MS
    opened_with = moving.link.opened_with
    assert opened_with is not None
    assert [one.id for one in opened_with.continued_sessions] == [
        link.session_id for link in moving.links[:-1]
    ]
    check(moving, is_lossless=False)


def test_what_was_said_before_a_hang_up_is_delivered_by_another_session() -> None:
    world, moving = started()
    moving.link.rate, moving.link.allowance = 0, 0
    world.play(S)
    world.call.finish(world.now_ns)
    cut(world, moving.link)
    moving.finish()
    assert moving.error is None
    assert moving.received == [(0, 13 * S)]


def test_a_close_that_is_not_answered_is_said_again_in_another_session() -> None:
    world, moving = started()
    moving.link.is_dead = True
    world.call.finish(world.now_ns)
    moving.finish()
    assert moving.error is None
    first, second = moving.succession.reports()
    assert first.error == "the endpoint was silent (408): no closed in time"
    assert (second.error, moving.link.close_reason) == (None, "end")
    assert moving.received == [(0, 12 * S)]


def test_stopping_ends_the_search_for_another_session() -> None:
    world, moving = started(*[REFUSED] * 2)
    cut(world, moving.link)
    world.play_until(lambda: len(moving.links) == 2 and moving.succession.dial_at_ns is not None)
    moving.succession.stop(world.now_ns)
    assert moving.succession.is_over
    assert moving.error is not None


def test_stopping_while_it_moves_leaves_the_old_session_alone() -> None:
    world, moving = started(*[REFUSED] * 2)
    ask_to_move(world, moving)
    world.play_until(lambda: len(moving.links) == 2 and moving.succession.dial_at_ns is not None)
    moving.succession.stop(world.now_ns)
    world.play(S)
    moving.finish()
    assert moving.error is None
    assert len(moving.links) == 2
    assert moving.account.sent == moving.account.length


# History ---------------------------------------------------------------------------------


def test_pauses_gaps_and_languages_are_replayed_in_order() -> None:
    world = World(samples=100 * S)
    moving = Moving(world)
    world.settle()
    world.play(S)
    world.call.update_language("de-DE")
    world.play(24 * S)
    world.call.begin_pause(CLIENT, "switch")
    world.play(2 * S)
    world.call.update_language("fr-CA")
    world.call.end_pause(CLIENT, "switch")
    world.play(S)
    world.call.skip(800)
    world.play(S)
    ask_to_move(world, moving)
    world.play(2 * S)
    new = moving.link
    start = 29 * S + 800 + TICK_SAMPLES - 20 * S
    assert new.leg.start == start
    assert new.opened_with is not None
    assert new.opened_with.language == "de-DE"
    assert new.received.paused_at == [25 * S]
    assert new.received.resumed == [(25 * S, 2 * S)]
    assert new.received.languages == [("fr-CA", 25 * S)]  # within the pause
    assert [gap for gap in new.received.gaps if gap[0] == "discarded"] == [
        ("discarded", 28 * S, 800)
    ]
    moving.finish()
    assert moving.account.paused_client == 2 * S
    assert moving.account.discarded == 800
    check(moving)


def test_a_language_is_told_once() -> None:
    world, moving = started({"discard_to": 11 * S})
    world.call.update_language("de-DE")
    world.play(S)
    world.call.update_language("en-US")
    world.play(S)
    ask_to_move(world, moving)
    world.play(S)
    new = moving.link
    assert new.opened_with is not None
    assert new.opened_with.language == "en-US"
    assert [language for language, _ in new.received.languages] == ["de-DE", "en-US"]


def test_what_the_server_has_already_is_skipped_and_said() -> None:
    world, moving = started({"discard_to": 12 * S - 400})
    ask_to_move(world, moving)
    world.play(2 * S)
    moving.finish()
    new = moving.link
    assert new.received.gaps[0] == ("discarded", 0, 12 * S - 400)
    assert moving.account.sent == moving.account.length
    assert moving.account.discarded == 0
    # What became due while the new session opened went to both.
    assert moving.account.resent < S
    assert moving.succession.reports()[1].account.discarded == 12 * S - 400
    check(moving)


def test_what_is_older_than_the_history_is_lost_exactly() -> None:
    world, moving = started(*[{"is_unreachable": True}] * 5, stable_s=100.0)
    moving.succession._tries = 0
    world.play(10 * S)
    at = world.call.head
    cut(world, moving.link)
    world.play(32 * S)
    world.play_until(lambda: moving.succession.is_streaming)
    start = moving.link.leg.start
    assert start > at - S or start > 0
    world.play(2 * S)
    moving.finish()
    assert moving.error is None
    assert moving.account.lost == max(0, start - at)
    assert moving.account.sent == moving.account.length - moving.account.lost
    check(moving, is_lossless=False)


def test_what_ages_while_the_new_session_opens_is_discarded() -> None:
    world, moving = started({"rate": 0})
    world.play(20 * S)
    cut(world, moving.link)
    world.play(4 * S)
    moving.links[-1].rate = None
    world.play(S)
    moving.finish()
    reports = moving.succession.reports()
    assert reports[1].account.discarded > 3 * S
    assert moving.account.sent == moving.account.length
    assert moving.account.discarded == 0
    check(moving)


# Pauses ----------------------------------------------------------------------------------


def test_a_session_that_opens_within_a_secure_pause_starts_paused() -> None:
    world, moving = started()
    world.call.begin_pause(SECURE, "flow")
    world.play(S)
    cut(world, moving.link)
    world.play(30 * S)
    moving.link.server.resume(world.now_ns)
    world.play(S)
    assert moving.link.session.is_client_paused
    ask_to_move(world, moving)  # the offered history now lies in the pause altogether
    world.play(S)
    new = moving.link
    assert new.leg.start > 12 * S
    assert new.received.order[:2] == ["OpenRequested", "AudioPaused"]
    new.server.resume(world.now_ns)
    world.play(S)
    assert new.received.frames == []
    world.call.end_pause(SECURE, "flow")
    world.play(S)
    moving.finish()
    assert moving.account.paused_secure == 34 * S
    check(moving, is_lossless=False)


def test_audio_that_was_withdrawn_is_in_no_history() -> None:
    world, moving = started()
    cut_at = world.call.begin_pause(SECURE, "agent", effective_at=11 * S)
    assert cut_at.gone == (S,)
    world.play(S)
    ask_to_move(world, moving)
    world.play(S)
    world.call.end_pause(SECURE, "agent")
    world.play(S)
    moving.finish()
    new = moving.link
    assert length([span for span in new.spans if 11 * S <= span[0] < 14 * S]) == 0
    assert ("discarded", 11 * S, S) in new.received.gaps
    assert moving.account.sent == 12 * S + S
    check(moving)


def test_what_had_gone_counts_once_over_all_sessions() -> None:
    world, moving = started()
    ask_to_move(world, moving)
    world.play(S)
    assert len(moving.succession.legs) == 2
    cut_at = world.call.begin_pause(SECURE, "agent", effective_at=11 * S)
    assert cut_at.gone == (2 * S,)


def test_what_an_endpoint_did_not_want_it_is_not_sent_later() -> None:
    world, moving = started()
    old = moving.link
    old.server.pause(world.now_ns)
    world.play(2 * S)
    old.server.resume(world.now_ns)
    world.play(2 * S)
    old.server.pause(world.now_ns)
    world.play(S)
    cut(world, old)
    world.play(S)
    assert moving.succession.is_streaming
    moving.finish()
    account = moving.account
    first, second = old.received.paused_at
    assert moving.link.received.resumed[0] == (first, old.received.resumed[0][1])
    assert moving.link.received.paused_at[1] == second
    assert account.paused_server == account.paused_union > 3 * S
    assert account.sent == account.length - account.paused_union
    check(moving)


def test_a_servers_pause_and_one_of_the_call_are_replayed_as_they_overlapped() -> None:
    world, moving = started()
    old = moving.link
    old.server.pause(world.now_ns)
    world.play(S)
    world.call.begin_pause(CLIENT, "switch")
    world.play(S)
    old.server.resume(world.now_ns)
    world.play(S)
    world.call.end_pause(CLIENT, "switch")
    world.play(S)
    ask_to_move(world, moving)
    world.play(S)
    moving.finish()
    account = moving.account
    (told,) = moving.link.received.resumed
    assert told == old.received.resumed[0]
    assert account.paused_client == 2 * S
    assert account.paused_union == told[1]
    assert account.sent == account.length - account.paused_union
    check(moving)


def test_a_new_session_may_start_in_a_pause_of_its_own() -> None:
    world, moving = started({"start_paused": True})
    ask_to_move(world, moving)
    world.play(2 * S)
    new = moving.link
    assert new.received.frames == []
    new.server.resume(world.now_ns)
    world.play(S)
    moving.finish()
    assert new.received.resumed[0][0] == 0
    # What the old session had been sent counts as sent; what no session was sent, as paused.
    assert moving.account.sent == moving.account.length - moving.account.paused_server
    check(moving)
