"""The error tree: what may be raised, and what an error carries."""

from __future__ import annotations

import pytest

from openaudiohook import exceptions
from openaudiohook.exceptions import (
    AudioHookError,
    ConsumerError,
    EndpointError,
    HandshakeError,
    LocalProtocolError,
    ProtocolError,
    RemoteProtocolError,
    SessionClosed,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", exceptions.__all__)
def test_every_error_is_one_of_ours(name: str) -> None:
    assert issubclass(getattr(exceptions, name), AudioHookError)


def test_the_base_of_protocol_errors_cannot_be_raised_itself() -> None:
    with pytest.raises(TypeError, match="raise the local or the remote one"):
        ProtocolError("whose fault?")
    assert str(LocalProtocolError("ours")) == "ours"


def test_a_remote_error_carries_what_was_wrong() -> None:
    error = RemoteProtocolError("bad", code=409, message_type="pong", seq=7)
    assert (error.code, error.message_type, error.seq) == (409, "pong", 7)
    assert RemoteProtocolError("bad").code == 400


def test_errors_carry_what_to_do_next() -> None:
    assert HandshakeError("refused", status=401).status == 401
    assert HandshakeError("refused").status is None
    endpoint = EndpointError("away", retryable=True, retry_after_s=2.0)
    assert (endpoint.retryable, endpoint.retry_after_s) == (True, 2.0)
    assert not ConsumerError("raised").retryable
    closed = SessionClosed("over", reason="end", position_ns=125_000)
    assert (closed.reason, closed.position_ns) == ("end", 125_000)
