"""Every exception this package raises on purpose.

* `AudioHookError`
    * `ProtocolError`, never raised itself
        * `LocalProtocolError`: we tried something the protocol forbids
        * `RemoteProtocolError`: the peer did
    * `MediaError`: no common media, or audio that does not fit its format
    * `AuthError`: a request that is not authenticated
        * `MissingSignature`
        * `MalformedSignature`
        * `ExpiredSignature`
        * `UnknownKey`
        * `SignatureMismatch`
        * `ReplayedRequest`
    * `HandshakeError`: the WebSocket upgrade was refused or malformed
    * `SessionClosed`: a session was used after its end
    * `EndpointError`: a monitored call's endpoint failed
    * `ConsumerError`: a consumer failed
    * `ConfigurationError`: what the operator wrote cannot be used
        * `TooManyIntegrations`: an organization has at most five
    * `NotFound`: nothing of that id is there, for whoever asks
    * `VersionConflict`: it was changed by somebody else meanwhile
    * `StoreError`: what is kept cannot be read or written
        * `StoreUnavailable`: the database does not answer
        * `JournalError`: the journal cannot be written, or was tampered with
    * `ControlError`: a Monitor's control interface did not do what it was asked

A peer can only ever cause `RemoteProtocolError`, `MediaError`, `AuthError` or
`HandshakeError`. Messages name states and types, never payload.
"""

from __future__ import annotations

__all__ = [
    "AudioHookError",
    "AuthError",
    "ConfigurationError",
    "ConsumerError",
    "ControlError",
    "EndpointError",
    "ExpiredSignature",
    "HandshakeError",
    "JournalError",
    "LocalProtocolError",
    "MalformedSignature",
    "MediaError",
    "MissingSignature",
    "NotFound",
    "ProtocolError",
    "RemoteProtocolError",
    "ReplayedRequest",
    "SessionClosed",
    "SignatureMismatch",
    "StoreError",
    "StoreUnavailable",
    "TooManyIntegrations",
    "UnknownKey",
    "VersionConflict",
]


class AudioHookError(Exception):
    """Base of every error this package raises on purpose."""


class ProtocolError(AudioHookError):
    """The AudioHook protocol was violated; see the two subclasses for by whom."""

    def __init__(self, message: str) -> None:
        if type(self) is ProtocolError:
            raise TypeError("ProtocolError is abstract: raise the local or the remote one")
        super().__init__(message)


class LocalProtocolError(ProtocolError):
    """Our side asked for something the protocol forbids now; nothing was changed."""


class RemoteProtocolError(ProtocolError):
    """The peer sent something the protocol forbids.

    Attributes:
        code: the `error` code of protocol section 12 that describes it.
        message_type: the wire type of the offending message, where one was read.
        seq: the offending message's `seq`, where one was read.
    """

    def __init__(
        self,
        message: str,
        *,
        code: int = 400,
        message_type: str | None = None,
        seq: int | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message_type = message_type
        self.seq = seq


class MediaError(AudioHookError):
    """No common media, a frame of the wrong length, or a file that holds other audio."""


class AuthError(AudioHookError):
    """A request is not authenticated. Tell the peer nothing but 401."""


class MissingSignature(AuthError):
    """The key needs a signature, and the request has none, or only half of one."""


class MalformedSignature(AuthError):
    """The signature headers cannot be read, or leave out what must be covered."""


class ExpiredSignature(AuthError):
    """The signature is too old, past its `expires`, or from the future."""


class UnknownKey(AuthError):
    """The API key is missing or not ours."""


class SignatureMismatch(AuthError):
    """The signature is well formed and does not fit the request."""


class ReplayedRequest(AuthError):
    """The nonce was seen before, or the replay cache is full."""


class HandshakeError(AudioHookError):
    """The WebSocket upgrade failed.

    Attributes:
        status: the HTTP status the peer answered with, or None where it answered none.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class SessionClosed(AudioHookError):
    """A session was used after its end.

    Attributes:
        reason: how it ended.
        position_ns: where it ended, in nanoseconds of stream time.
    """

    def __init__(self, message: str, *, reason: str, position_ns: int) -> None:
        super().__init__(message)
        self.reason = reason
        self.position_ns = position_ns


class EndpointError(AudioHookError):
    """An endpoint of a monitored call failed.

    Attributes:
        retryable: whether trying again can help (protocol section 14.1).
        retry_after_s: how long the endpoint asked us to wait, where it did.
        kind: which failure it is, for programs: a value of `fanout.failures.FailureKind`.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool,
        retry_after_s: float | None = None,
        kind: str = "no-connection",
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.kind = kind


class ConsumerError(AudioHookError):
    """A consumer failed; its session and its neighbours go on.

    Attributes:
        retryable: whether a new session may give it another chance.
    """

    def __init__(self, message: str, *, retryable: bool = False) -> None:
        super().__init__(message)
        self.retryable = retryable


class ConfigurationError(AudioHookError):
    """What the operator wrote cannot be used; the text says where and what would be right."""


class TooManyIntegrations(ConfigurationError):
    """The organization has five integrations already; no setting changes that number."""


class NotFound(AudioHookError):
    """Nothing of that id is there for whoever asks; what belongs to others is not there either.

    Attributes:
        entity_type: what was asked for: `integration`, `queue`, `conversation` and the like.
    """

    def __init__(self, message: str, *, entity_type: str) -> None:
        super().__init__(message)
        self.entity_type = entity_type


class VersionConflict(AudioHookError):
    """Somebody else changed it since: read it again, and repeat the change on that.

    Attributes:
        current: the version that is there.
    """

    def __init__(self, message: str, *, current: int) -> None:
        super().__init__(message)
        self.current = current


class StoreError(AudioHookError):
    """What is kept cannot be read or written."""


class StoreUnavailable(StoreError):
    """The database does not answer, or is not the one it should be."""


class JournalError(StoreError):
    """The journal cannot be written, or what is in it is not what was written."""


class ControlError(AudioHookError):
    """A Monitor's control interface did not do what it was asked, or did not answer.

    Attributes:
        status: the HTTP status it answered with; None where it answered none.
        code: the code of its error body, where there was one.
    """

    def __init__(self, message: str, *, status: int | None = None, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.code = code
