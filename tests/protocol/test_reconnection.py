"""What a client session offers to its successor (protocol section 14.2)."""

from __future__ import annotations

import pytest
from tests.support.by_hand import client_in, kinds
from tests.support.wire import SESSION_ID

from openaudiohook.protocol.events import DisconnectRequested
from openaudiohook.protocol.messages import ContinuedSession
from openaudiohook.protocol.types import ClientState, DisconnectReason
from openaudiohook.testing.assertions import the_event

pytestmark = pytest.mark.unit


def test_a_later_open_names_the_numbers_that_both_sides_had_seen() -> None:
    server = client_in(ClientState.OPEN)
    server.session.update("fr-CA", server.now_ns)
    server.read()
    sent = server.seen
    server.say("updated", {}, clientseq=sent - 1)
    assert server.session.continued == ContinuedSession(
        id=SESSION_ID, serverseq=server.seq, clientseq=sent - 1
    )
    server.say("updated", {}, clientseq=sent)
    assert server.session.continued == ContinuedSession(
        id=SESSION_ID, serverseq=server.seq, clientseq=sent
    )


def test_a_disconnect_during_a_handover_is_reported_and_not_answered() -> None:
    server = client_in(ClientState.OPEN)
    server.session.is_handing_over = True
    server.new_events()
    assert kinds(server.say("disconnect", {"reason": "completed"})) == []
    reported = the_event(server.new_events(), DisconnectRequested)
    assert reported.reason is DisconnectReason.COMPLETED
    assert server.session.state is ClientState.OPEN
