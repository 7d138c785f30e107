"""Who may open a session: decided on the head of the upgrade request, at once, in memory.

The path comes first (404), then the AudioHook id headers (400), then key and signature
(401), then the limits of the key (429, 503). A refusal says nothing but its status; why,
is for the operator (protocol sections 2.2, 2.3 and 3.5).
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from openaudiohook.auth import KeyStore, NonceMemory, SignedRequest, VerificationPolicy, verify
from openaudiohook.exceptions import AuthError, ConfigurationError
from openaudiohook.protocol.pacing import TokenBucket
from openaudiohook.transport.handshake import RequestHead

__all__ = ["Admission", "Admitted", "KeyLimits", "Refusal"]

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_RETRY: Final = re.compile(r"[0-9]{1,6}")

ORGANIZATION_ID: Final = "Audiohook-Organization-Id"
SESSION_ID: Final = "Audiohook-Session-Id"
CORRELATION_ID: Final = "Audiohook-Correlation-Id"
RETRY_ATTEMPT: Final = "Audiohook-Retry-Attempt"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """What one API key may use; None means no limit.

    Attributes:
        max_sessions: sessions at once; more are refused with 503.
        upgrades_per_s: upgrades a second, in the long run; more are refused with 429.
        upgrade_burst: upgrades at once, where `upgrades_per_s` is set.
    """

    max_sessions: int | None = None
    upgrades_per_s: int | None = None
    upgrade_burst: int = 100

    def __post_init__(self) -> None:
        for name in ("max_sessions", "upgrades_per_s", "upgrade_burst"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ConfigurationError(f"key limits: {name} must be at least 1, not {value}")


@dataclass(frozen=True, slots=True)
class Admitted:
    """An upgrade request that was let in.

    Attributes:
        session_id: the id every message will carry.
        organization_id: what `open` has to repeat.
        correlation_id: for the logs of both sides.
        api_key: the key that authenticated the request; "" where nobody asked for one.
        retry_attempt: which attempt this is, from 0; None where the client does not say.
        remote_address: host of the peer, as the socket tells.
        target: path and query of the request.
    """

    session_id: str
    organization_id: str
    correlation_id: str
    api_key: str = field(repr=False)
    retry_attempt: int | None
    remote_address: str
    target: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """An upgrade request that was not let in.

    Attributes:
        status: what the peer is told.
        cause: why, for the operator only.
        remote_address: host of the peer, as the socket tells.
        retry_after_s: when to come again, where that can help.
    """

    status: int
    cause: str
    remote_address: str
    retry_after_s: int | None = None


class Admission:
    """Checks upgrade requests, and counts the sessions of each key.

    Args:
        keys: a snapshot of our keys; assign another to `keys` to change them.
        policy: what the verifier tolerates.
        replay: nonces seen; None switches the check off.
        require_auth: False ignores key and signature. The id headers are always required.
        limits: what one key may use.
    """

    __slots__ = ("_buckets", "_sessions", "keys", "limits", "policy", "replay", "require_auth")

    def __init__(
        self,
        keys: KeyStore | None = None,
        *,
        policy: VerificationPolicy | None = None,
        replay: NonceMemory | None = None,
        require_auth: bool = True,
        limits: KeyLimits | None = None,
    ) -> None:
        if require_auth and keys is None:
            raise ConfigurationError("give the keys of the service, or switch authentication off")
        self.keys = keys
        self.policy = policy or VerificationPolicy()
        self.replay = replay
        self.require_auth = require_auth
        self.limits = limits or KeyLimits()
        self._sessions: Counter[str] = Counter()
        self._buckets: dict[str, TokenBucket] = {}

    def check(
        self,
        request: RequestHead,
        *,
        remote_address: str,
        is_secure: bool,
        utc_ns: int,
        now_ns: int,
    ) -> Admitted | Refusal:
        """Judge one upgrade request; who is admitted counts until `release`.

        Args:
            request: its head; the path is not looked at.
            remote_address: host of the peer.
            is_secure: whether the request came by TLS.
            utc_ns: the wall clock, for signatures.
            now_ns: the monotonic clock, for limits.
        """
        signed = SignedRequest(
            target=request.target,
            headers=request.headers,
            scheme="https" if is_secure else "http",
        )
        ids = {}
        for name in (ORGANIZATION_ID, SESSION_ID, CORRELATION_ID):
            value = signed.header(name)
            if value is None or not _UUID.fullmatch(value):
                problem = "is missing" if value is None else "is not one UUID"
                return Refusal(400, f"the header {name} {problem}", remote_address)
            ids[name] = value
        retry = signed.header(RETRY_ATTEMPT)
        if retry is not None and not _RETRY.fullmatch(retry):
            cause = f"the header {RETRY_ATTEMPT} is not a small decimal number"
            return Refusal(400, cause, remote_address)
        api_key = ""
        if self.require_auth:
            assert self.keys is not None
            try:
                api_key = verify(
                    signed,
                    keys=self.keys,
                    utc_ns=utc_ns,
                    replay=self.replay,
                    policy=self.policy,
                ).api_key
            except AuthError as error:
                cause = f"{type(error).__name__}: {error}"
                return Refusal(401, cause, remote_address)
        over = self._over_limit(api_key, remote_address, now_ns)
        if over is not None:
            return over
        self._sessions[api_key] += 1
        return Admitted(
            session_id=ids[SESSION_ID],
            organization_id=ids[ORGANIZATION_ID],
            correlation_id=ids[CORRELATION_ID],
            api_key=api_key,
            retry_attempt=None if retry is None else int(retry),
            remote_address=remote_address,
            target=request.target,
        )

    def release(self, admitted: Admitted) -> None:
        """Count a session out that has ended."""
        self._sessions[admitted.api_key] -= 1
        if not self._sessions[admitted.api_key]:
            del self._sessions[admitted.api_key]

    def _over_limit(self, api_key: str, remote_address: str, now_ns: int) -> Refusal | None:
        # Only who is authenticated gets here: no stranger can use up somebody else's limits.
        limits = self.limits
        if limits.max_sessions is not None and self._sessions[api_key] >= limits.max_sessions:
            cause = f"the API key has {limits.max_sessions} sessions open, its limit"
            return Refusal(503, cause, remote_address, retry_after_s=5)
        if limits.upgrades_per_s is None:
            return None
        bucket = self._buckets.get(api_key)
        if bucket is None:
            bucket = self._buckets[api_key] = TokenBucket(
                per_s=limits.upgrades_per_s, burst=limits.upgrade_burst, now_ns=now_ns
            )
        if bucket.take(now_ns):
            return None
        cause = f"the API key opens more than {limits.upgrades_per_s} sessions a second"
        return Refusal(429, cause, remote_address, retry_after_s=1)
