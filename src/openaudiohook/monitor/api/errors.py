"""What goes wrong, in the platform's error body: never a trace, and nothing of ours inside.

Texts of our own errors are written for whoever asked. Those of the database name files and hosts
of the operator's; they stay in the log, under the `contextId` of the answer.
"""

from __future__ import annotations

import logging
import traceback
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec

from openaudiohook.exceptions import (
    AudioHookError,
    ConfigurationError,
    JournalError,
    LocalProtocolError,
    MediaError,
    NotFound,
    StoreError,
    TooManyIntegrations,
    VersionConflict,
)

__all__ = ["CORRELATION_HEADER", "HANDLERS", "ApiError", "Detail", "ErrorBody", "camel", "problems"]

CORRELATION_HEADER: Final = "ININ-Correlation-Id"
"""The header that repeats `contextId`, where the platform's users look for it."""

RETRY_STORE_S: Final = 5
"""When to try again what failed because something could not be kept."""

_DATABASE_AWAY: Final = (
    "The database does not answer, or is behind. Nothing that is configured was changed; calls and "
    "secure pauses go on, and what is written down meanwhile follows."
)

_HUNG_UP: Final = "client disconnected prematurely"
"""How the framework says that a client left before its request was whole."""

_log = logging.getLogger(__name__)


class Detail(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What is wrong with one field of a request."""

    error_code: str
    field_name: str


class ErrorBody(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    rename={"context_id": "contextId"},
    omit_defaults=False,
):
    """The platform's error body.

    Attributes:
        message: for people.
        code: for programs.
        status: the HTTP status again.
        context_id: names this very answer; the log has it as well.
        details: what is wrong with which field, where that can be said.
        errors: errors within this one; there are none here.
        error: only of the token route: the code of RFC 6749 section 5.2.
        error_description: only of the token route: the message again.
    """

    message: str
    code: str
    status: int
    context_id: str
    details: tuple[Detail, ...] = ()
    errors: tuple[str, ...] = ()
    error: str | msgspec.UnsetType = msgspec.UNSET
    error_description: str | msgspec.UnsetType = msgspec.UNSET


class ApiError(Exception):
    """An answer other than what was asked for.

    Attributes:
        status: the HTTP status.
        code: the platform's word for it.
        message: for whoever asked.
        details: what is wrong with which field.
        headers: further headers.
        oauth: the error code of RFC 6749, at the token route.
    """

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        details: Sequence[Detail] = (),
        headers: Mapping[str, str] | None = None,
        oauth: str | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.details = tuple(details)
        self.headers = dict(headers or {})
        self.oauth = oauth


# The first row that fits: a class stands before the one it is derived from.
_OURS: Final[tuple[tuple[type[AudioHookError], int, str], ...]] = (
    (TooManyIntegrations, 409, "too.many.integrations"),
    (ConfigurationError, 400, "bad.request"),
    (MediaError, 400, "bad.request"),
    (NotFound, 404, "not.found"),
    (VersionConflict, 409, "version.conflict"),
    (LocalProtocolError, 409, "conflict"),
)

_CODES: Final = {
    400: "bad.request",
    401: "bad.credentials",
    403: "missing.permissions",
    404: "not.found",
    405: "method.not.allowed",
    409: "conflict",
    413: "request.entity.too.large",
    429: "too.many.requests",
    500: "internal.server.error",
    503: "service.unavailable",
}

_MEANINGS: Final = {
    400: "The request cannot be understood.",
    401: "No token was given, or it is unknown, or has expired.",
    403: "The token's scopes do not include this.",
    404: "There is no such route, or nothing of that id.",
    405: "The route is there, and takes other methods.",
    409: "It conflicts with how things are.",
    413: "The body is too long.",
    429: "Too many requests; `Retry-After` says in how many seconds the next one is answered.",
    500: "A mistake of ours; `contextId` finds it in the log.",
    503: "Database or journal cannot be used; try again after `Retry-After` seconds.",
}


def problems(*statuses: int) -> dict[int, ResponseSpec]:
    """Return what the document says about a route's errors: these, and those of every route."""
    return {
        status: ResponseSpec(ErrorBody, generate_examples=False, description=_MEANINGS[status])
        for status in sorted({*statuses, 400, 401, 403, 429, 500, 503})
    }


def _answer(request: Request[Any, Any, Any], error: ApiError) -> Response[ErrorBody]:
    context_id = str(uuid.uuid4())
    if error.status >= 500:
        _log.error(
            "%s %s: %d %s, contextId %s: %s",
            request.method,
            request.scope.get("path_template", ""),
            error.status,
            error.code,
            context_id,
            _cause(error),
        )
    body = ErrorBody(
        message=error.message,
        code=error.code,
        status=error.status,
        context_id=context_id,
        details=error.details,
    )
    if error.oauth is not None:
        body = msgspec.structs.replace(body, error=error.oauth, error_description=error.message)
    headers = {**error.headers, CORRELATION_HEADER: context_id}
    return Response(body, status_code=error.status, headers=headers, media_type="application/json")


def _cause(error: ApiError) -> str:
    """Say what happened for the log: a text of ours, or of another's error its type and place."""
    cause = error.__cause__
    if cause is None or isinstance(cause, AudioHookError):
        return str(cause or error)
    frames = traceback.extract_tb(cause.__traceback__)
    place = f" at {frames[-1].name}:{frames[-1].lineno}" if frames else ""
    return f"{type(cause).__name__}{place}"


def _ours(request: Request[Any, Any, Any], error: AudioHookError) -> Response[ErrorBody]:
    if isinstance(error, StoreError):
        answer = ApiError(
            503,
            _CODES[503],
            # What was done and what was not is said where the journal fails, and no path.
            str(error) if isinstance(error, JournalError) else _DATABASE_AWAY,
            headers={"Retry-After": str(RETRY_STORE_S)},
        )
        answer.__cause__ = error
        return _answer(request, answer)
    for kind, status, code in _OURS:
        if isinstance(error, kind):
            return _answer(request, ApiError(status, code, str(error)))
    return _unexpected(request, error)


def _of_the_framework(request: Request[Any, Any, Any], error: HTTPException) -> Response[ErrorBody]:
    """Reword what the web framework found; its own texts are for programmers."""
    status = error.status_code if error.status_code in _CODES else 400
    if error.status_code >= 500:
        if error.detail == _HUNG_UP:  # nobody reads this, and it is no mistake of ours
            return _answer(request, ApiError(400, _CODES[400], "The body breaks off."))
        return _unexpected(request, error)
    message = _MEANINGS[status]
    details: list[Detail] = []
    if isinstance(error, ValidationException):
        for each in error.extra if isinstance(error.extra, list) else ():
            field = camel(str(each.get("key", "")))
            if field == "data":  # the body as a whole: what was sent could be read, and is none
                message = "The body is missing: JSON is needed."
                continue
            details.append(Detail(error_code="invalid.value", field_name=field))
            message = f"{field}: {each.get('message', message)}"
    handler = request.scope.get("route_handler")
    return _answer(
        request,
        ApiError(
            status,
            _CODES[status],
            message,
            details=details,
            headers=error.headers,
            oauth=None if handler is None else handler.opt.get("oauth"),
        ),
    )


def camel(name: str) -> str:
    """Spell a name of ours as the wire does: `page_size` is `pageSize` there."""
    first, *rest = name.split("_")
    return first + "".join(map(str.title, rest))


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[ErrorBody]:
    answer = ApiError(500, _CODES[500], "The request failed through a mistake of this program.")
    answer.__cause__ = error
    return _answer(request, answer)


HANDLERS: Final[
    dict[int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]]
] = {
    ApiError: _answer,
    AudioHookError: _ours,
    HTTPException: _of_the_framework,
    Exception: _unexpected,
}
"""What answers which error."""
