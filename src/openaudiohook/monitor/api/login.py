"""The routes without a token: log in, health, and the OpenAPI document."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

import msgspec
from litestar import Request, Response, get, post
from litestar.params import URLEncodedBody

from openaudiohook.monitor.api.errors import ApiError, problems
from openaudiohook.monitor.api.tokens import Issued

__all__ = ["DOCUMENT_PATH", "HEALTH_PATH", "TOKEN_PATH", "Health", "health", "issue_token"]

TOKEN_PATH: Final = "/oauth/token"  # noqa: S105 - a path
HEALTH_PATH: Final = "/health/check"
DOCUMENT_PATH: Final = "/schema/openapi.json"

_GRANT: Final = "client_credentials"
_NOT_STORED: Final = {"Cache-Control": "no-store"}


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A login; the client's id and secret stand here or in an `Authorization: Basic` header."""

    grant_type: str | None = None
    client_id: str | None = None
    client_secret: str | None = None
    scope: str | None = None


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """That the control interface answers."""

    status: str = "ok"


@post(
    TOKEN_PATH,
    status_code=200,
    responses=problems(),
    tags=["Login"],
    opt={"oauth": "invalid_request"},
)
async def issue_token(
    data: URLEncodedBody[TokenRequest],
    request: Request[Any, Any, Any],
) -> Response[Issued]:
    """Log in with client credentials (RFC 6749 section 4.4)."""
    if data.grant_type != _GRANT:
        oauth = "invalid_request" if data.grant_type is None else "unsupported_grant_type"
        raise ApiError(400, "bad.request", f"The one grant_type here is '{_GRANT}'.", oauth=oauth)
    client_id, secret = _credentials(request.headers.get("Authorization"), data)
    issued = request.app.state.tokens.issue(
        client_id,
        secret,
        scope=data.scope,
        address=request.client.host if request.client is not None else "",
    )
    return Response(issued, headers=_NOT_STORED)


@get(HEALTH_PATH, tags=["Health"])
async def health() -> Health:
    """Say that the control interface answers."""
    return Health()


def _credentials(authorization: str | None, data: TokenRequest) -> tuple[str, str]:
    """Return the client's id and secret, from where they stand."""
    if authorization is None:
        return data.client_id or "", data.client_secret or ""
    scheme, _, text = authorization.partition(" ")
    try:
        if scheme.lower() != "basic":
            raise ValueError
        client_id, colon, secret = (
            base64.b64decode(text.strip(), validate=True).decode().partition(":")
        )
        if not colon:
            raise ValueError
    except (ValueError, binascii.Error):
        raise ApiError(
            400,
            "bad.request",
            "The authorization header is not 'Basic' with base64 of ID:SECRET.",
            oauth="invalid_request",
        ) from None
    return client_id, secret
