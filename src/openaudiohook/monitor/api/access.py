"""What every route behind a token has in common: who asks, and whether its scopes allow it."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.handlers import BaseRouteHandler
from litestar.params import PathParameter, SkipValidation

from openaudiohook.monitor.api.errors import ApiError
from openaudiohook.monitor.api.tokens import Caller
from openaudiohook.monitor.platform import Platform

__all__ = ["SECURITY_SCHEME", "Asker", "Desk", "Id", "allow", "caller_of", "scoped"]

Asker: TypeAlias = NamedDependency[SkipValidation[Caller]]
"""A route's parameter for who asks; it is called `caller`."""

Desk: TypeAlias = NamedDependency[SkipValidation[Platform]]
"""A route's parameter for whom it asks; it is called `platform`."""

Id: TypeAlias = Annotated[str, PathParameter(max_length=128)]
"""An id in a path."""

SECURITY_SCHEME: Final = "oauth"
"""What the document calls the way to log in."""

_READING: Final = ("GET", "HEAD", "OPTIONS")


def scoped(scope: str) -> dict[str, Any]:
    """Return what a router takes whose routes need a scope; to read, `SCOPE:readonly` will do."""
    return {"guards": [allow], "opt": {"scope": scope}, "security": [{SECURITY_SCHEME: [scope]}]}


def allow(connection: ASGIConnection[Any, Any, Any, Any], handler: BaseRouteHandler) -> None:
    """Let a request pass that has a good token with the right scope, and note whose it is.

    Raises:
        ApiError: 401, 403 or 429.
    """
    caller: Caller = connection.app.state.tokens.caller(connection.headers.get("Authorization"))
    scope: str = handler.opt["scope"]
    if not caller.may(scope, only_read=connection.scope.get("method") in _READING):
        raise ApiError(
            403, "missing.permissions", f"The token lacks the scope '{scope}' that this needs."
        )
    connection.scope["user"] = caller


def caller_of(request: Request[Caller, Any, Any]) -> Caller:
    """Return who asks, as `allow` noted it."""
    return request.user
