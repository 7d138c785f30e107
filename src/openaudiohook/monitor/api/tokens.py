"""Who asks: OAuth client credentials, opaque tokens that expire, scopes, and a rate for each token.

Tokens live in memory only: after a restart clients log in anew. Of a token only its digest is
kept, and of a secret too; secrets are compared in constant time, also those of unknown clients.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final

import msgspec

from openaudiohook.monitor.api.errors import ApiError
from openaudiohook.monitor.declared import SCOPES, ApiClient

__all__ = ["Caller", "Issued", "Tokens"]

MAX_TOKENS: Final = 1_000
"""How many tokens of one client are good at a time; one more ends the oldest."""

_NS_PER_S: Final = 10**9
_FAILED_LOGINS_PER_MINUTE: Final = 60
_FAILED_BURST: Final = 20
_MAX_ADDRESSES: Final = 4_096


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: a client, for its organization.

    Attributes:
        client_id: the client.
        organization_id: whose things it sees; another organization's are not there for it.
        scopes: what it may do with this token.
        expires_ns: when the token ends, on the monotonic clock.
    """

    client_id: str
    organization_id: str
    scopes: frozenset[str]
    expires_ns: int

    @property
    def requester(self) -> str:
        """How journal and audit name it."""
        return f"client:{self.client_id}"

    def may(self, scope: str, *, only_read: bool) -> bool:
        """Say whether the scopes allow this; a scope includes its read-only one."""
        return scope in self.scopes or (only_read and f"{scope}:readonly" in self.scopes)


class Issued(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to a login (RFC 6749 section 5.1)."""

    access_token: str
    expires_in: int
    scope: str
    token_type: str = "bearer"  # noqa: S105 - the kind of token, and no secret


class _Allowance:
    """So many requests a minute, and as many at once; kept as the moment at which it is full."""

    __slots__ = ("_burst_ns", "_cost_ns", "_full_at_ns")

    def __init__(self, *, per_minute: int, burst: int, now_ns: int) -> None:
        self._cost_ns = 60 * _NS_PER_S // per_minute
        self._burst_ns = self._cost_ns * burst
        self._full_at_ns = now_ns

    def wait_ns(self, now_ns: int) -> int:
        """How long until the next one; 0 is now."""
        return max(0, self._full_at_ns + self._cost_ns - self._burst_ns - now_ns)

    def take(self, now_ns: int) -> None:
        self._full_at_ns = max(self._full_at_ns, now_ns) + self._cost_ns


class _Token:
    __slots__ = ("allowance", "caller")

    def __init__(self, caller: Caller, allowance: _Allowance) -> None:
        self.caller = caller
        self.allowance = allowance


class Tokens:
    """Issues tokens to clients, and knows whose a token is.

    Args:
        clients: who may log in.
        seconds: how long a token is good for.
        requests_per_minute: how many requests are answered for one token.
        now_ns: the monotonic clock.
        new_token: makes unguessable texts.
    """

    def __init__(
        self,
        clients: Iterable[ApiClient],
        *,
        seconds: int = 86_400,
        requests_per_minute: int = 300,
        now_ns: Callable[[], int] = time.monotonic_ns,
        new_token: Callable[[], str] = lambda: secrets.token_urlsafe(32),
    ) -> None:
        self._clients = {client.id: client for client in clients}
        self._secrets = {id_: _digest(client.secret) for id_, client in self._clients.items()}
        self._decoy = secrets.token_bytes(32)
        self._seconds = seconds
        self._per_minute = requests_per_minute
        self._now_ns = now_ns
        self._new_token = new_token
        self._tokens: dict[str, OrderedDict[bytes, _Token]] = {
            id_: OrderedDict() for id_ in self._clients
        }
        self._holders: dict[bytes, str] = {}
        self._failures: OrderedDict[str, _Allowance] = OrderedDict()

    def issue(self, client_id: str, secret: str, *, scope: str | None, address: str) -> Issued:
        """Log a client in.

        Args:
            client_id: which.
            secret: its secret.
            scope: the scopes it wants, separated by blanks; None for all it has.
            address: where it asks from; who fails too often there has to wait.

        Raises:
            ApiError: 401, 400 where a scope is unknown or not the client's, or 429.
        """
        now_ns = self._now_ns()
        failures = self._failures.get(address)
        if failures is not None and (wait_ns := failures.wait_ns(now_ns)):
            raise _too_many(wait_ns, "Too many failed logins.", oauth="temporarily_unavailable")
        expected = self._secrets.get(client_id, self._decoy)
        if not hmac.compare_digest(expected, _digest(secret)) or client_id not in self._clients:
            self._note_failure(address, now_ns)
            raise ApiError(
                401,
                "bad.credentials",
                "Invalid login credentials.",
                headers={"WWW-Authenticate": 'Basic realm="openaudiohook"'},
                oauth="invalid_client",
            )
        client = self._clients[client_id]
        scopes = _wanted(scope, client)
        caller = Caller(
            client_id=client.id,
            organization_id=client.organization_id,
            scopes=scopes,
            expires_ns=now_ns + self._seconds * _NS_PER_S,
        )
        token = self._new_token()
        self._keep(_digest(token), caller, now_ns)
        return Issued(access_token=token, expires_in=self._seconds, scope=" ".join(sorted(scopes)))

    def caller(self, authorization: str | None) -> Caller:
        """Return who asks, and count the request.

        Args:
            authorization: the header, or None where there is none.

        Raises:
            ApiError: 401 where there is no token, or none that is good; 429 where it was used
                too often.
        """
        scheme, _, text = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not text.strip():
            raise _unauthorized(
                "authentication.required",
                "No authentication bearer token specified in authorization header.",
                "Bearer",
            )
        digest = _digest(text.strip())
        holder = self._holders.get(digest)
        token = self._tokens[holder].get(digest) if holder is not None else None
        now_ns = self._now_ns()
        if token is None or token.caller.expires_ns <= now_ns:
            raise _unauthorized(
                "bad.credentials",
                "The token is unknown or has expired; log in again.",
                'Bearer error="invalid_token"',
            )
        if wait_ns := token.allowance.wait_ns(now_ns):
            raise _too_many(wait_ns, f"More than {self._per_minute} requests a minute.")
        token.allowance.take(now_ns)
        return token.caller

    def is_good(self, caller: Caller) -> bool:
        """Say whether the caller's token has not expired yet: for whatever goes on for long."""
        return caller.expires_ns > self._now_ns()

    def _keep(self, digest: bytes, caller: Caller, now_ns: int) -> None:
        tokens = self._tokens[caller.client_id]
        while tokens:
            oldest = next(iter(tokens))
            if len(tokens) < MAX_TOKENS and tokens[oldest].caller.expires_ns > now_ns:
                break
            del tokens[oldest], self._holders[oldest]
        allowance = _Allowance(per_minute=self._per_minute, burst=self._per_minute, now_ns=now_ns)
        tokens[digest] = _Token(caller, allowance)
        self._holders[digest] = caller.client_id

    def _note_failure(self, address: str, now_ns: int) -> None:
        failures = self._failures.pop(address, None) or _Allowance(
            per_minute=_FAILED_LOGINS_PER_MINUTE, burst=_FAILED_BURST, now_ns=now_ns
        )
        failures.take(now_ns)
        self._failures[address] = failures
        if len(self._failures) > _MAX_ADDRESSES:
            self._failures.popitem(last=False)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()


def _wanted(scope: str | None, client: ApiClient) -> frozenset[str]:
    if scope is None or not scope.strip():
        return client.scopes
    wanted = frozenset(scope.split())
    for each in sorted(wanted):
        if each not in SCOPES or not _has(client, each):
            what = "no scope" if each not in SCOPES else "a scope this client does not have"
            raise ApiError(
                400,
                "bad.request",
                f"'{each}' is {what}; known are {', '.join(sorted(SCOPES))}.",
                oauth="invalid_scope",
            )
    return wanted


def _has(client: ApiClient, scope: str) -> bool:
    return scope in client.scopes or scope.removesuffix(":readonly") in client.scopes


def _unauthorized(code: str, message: str, challenge: str) -> ApiError:
    return ApiError(401, code, message, headers={"WWW-Authenticate": challenge})


def _too_many(wait_ns: int, message: str, *, oauth: str | None = None) -> ApiError:
    seconds = -(-wait_ns // _NS_PER_S)
    return ApiError(
        429,
        "too.many.requests",
        f"{message} Retry the request in {seconds} seconds.",
        headers={"Retry-After": str(seconds)},
        oauth=oauth,
    )
