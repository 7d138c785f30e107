"""A client of the control interface, for our own commands: it logs in, asks, and reads the answer.

It waits where it asks: in a program with an event loop it belongs in a thread. What it says of a
failure is what the interface answered; a secret or a token is never in it.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import ssl as tls
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from typing import Any, Final

from openaudiohook.exceptions import ConfigurationError, ControlError
from openaudiohook.transport.sockets import is_loopback

__all__ = ["ControlClient"]

_PAGE: Final = 100


class ControlClient:
    """One client of one Monitor's control interface.

    Args:
        base: where it listens, `https://HOST[:PORT]` (`http://` on this machine).
        client_id: the API client's id.
        secret: its secret.
        login: where tokens are issued, if that is elsewhere.
        allow_http: let `http://` leave this machine, token and all.
        timeout_s: how long an answer may take.
        ssl: TLS settings for `https://`; None for the system's.

    Raises:
        ConfigurationError: the address is no such URI.
    """

    def __init__(
        self,
        base: str,
        *,
        client_id: str,
        secret: str,
        login: str | None = None,
        allow_http: bool = False,
        timeout_s: float = 30.0,
        ssl: tls.SSLContext | None = None,
    ) -> None:
        self.base = _checked(base, allow_http=allow_http)
        self._login = self.base if login is None else _checked(login, allow_http=allow_http)
        self._basic = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
        self._timeout_s = timeout_s
        # No redirects: a token goes where it was issued and nowhere else.
        self._opener = urllib.request.build_opener(
            _NoRedirects, urllib.request.HTTPSHandler(context=ssl), urllib.request.ProxyHandler({})
        )
        self._token: str | None = None

    def __repr__(self) -> str:
        return f"ControlClient({self.base!r})"

    def get(self, path: str, **query: str | int | None) -> Any:
        """Ask for something. Every method raises `ControlError` where the answer is no."""
        return self._json("GET", path, query=query)

    def post(self, path: str, body: Any = None, **query: str | int | None) -> Any:
        """Make something, or have something done."""
        return self._json("POST", path, body=body, query=query)

    def put(self, path: str, body: Any) -> Any:
        """Replace something."""
        return self._json("PUT", path, body=body)

    def patch(self, path: str, body: Any) -> Any:
        """Change a part of something."""
        return self._json("PATCH", path, body=body)

    def delete(self, path: str) -> None:
        """Delete something."""
        self._json("DELETE", path)

    def all(self, path: str, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """Ask for every page of a list, and go through its entities."""
        page = self.get(path, pageSize=_PAGE, **query)
        while True:
            yield from page.get("entities", ())
            if not (following := page.get("nextUri")):
                return
            parts = urllib.parse.urlsplit(following)  # a link, but never to elsewhere
            page = self.get(f"{parts.path}?{parts.query}" if parts.query else parts.path)

    def stream(self, path: str, **query: str | int | None) -> Iterator[dict[str, Any]]:
        """Listen to server-sent events, until the other side ends them; each one's data is JSON."""
        request = self._request("GET", path, query=query)
        request.add_header("Accept", "text/event-stream")
        data: list[str] = []
        with self._open(request, timeout_s=None) as answer, self._unbroken():
            for raw in answer:
                line = raw.decode().rstrip("\r\n")
                if line.startswith("data:"):
                    data.append(line[5:].removeprefix(" "))
                elif not line and data:
                    told, data = "\n".join(data), []
                    yield json.loads(told)

    # How it is asked ----------------------------------------------------------------------

    def _json(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str | int | None] | None = None,
    ) -> Any:
        for attempt in range(2):
            request = self._request(method, path, body=body, query=query)
            try:
                with self._open(request, timeout_s=self._timeout_s) as answer, self._unbroken():
                    content = answer.read()
            except ControlError as error:
                if error.status != 401 or attempt:
                    raise
                self._token = None  # it may have expired: log in once more
                continue
            return _parsed(content, where=path) if content else None
        return None  # pragma: no cover - the loop returns or raises

    def _request(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        query: Mapping[str, str | int | None] | None = None,
    ) -> urllib.request.Request:
        wanted = {name: value for name, value in (query or {}).items() if value is not None}
        uri = f"{self.base}{path}" + (f"?{urllib.parse.urlencode(wanted)}" if wanted else "")
        content = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(uri, data=content, method=method)  # noqa: S310 - checked
        request.add_header("Authorization", f"Bearer {self._logged_in()}")
        request.add_header("Accept", "application/json")
        if content is not None:
            request.add_header("Content-Type", "application/json")
        return request

    def _logged_in(self) -> str:
        """Return the token, of a login where there was none yet."""
        if self._token is None:
            request = urllib.request.Request(  # noqa: S310 - the scheme was checked
                f"{self._login}/oauth/token", data=b"grant_type=client_credentials", method="POST"
            )
            request.add_header("Authorization", f"Basic {self._basic}")
            request.add_header("Content-Type", "application/x-www-form-urlencoded")
            try:
                with self._open(request, timeout_s=self._timeout_s) as answer, self._unbroken():
                    token = _parsed(answer.read(), where="/oauth/token")
            except ControlError as error:
                if error.status in (400, 401):
                    raise ControlError(
                        f"{self._login} does not let this client in: check the client's id and "
                        "secret against [[clients]] of the Monitor's configuration",
                        status=error.status,
                    ) from None
                raise
            try:
                self._token = str(token["access_token"])
            except (TypeError, KeyError):
                raise ControlError(
                    f"{self._login} issued no token: is that a Monitor's control interface?"
                ) from None
        return self._token

    def _open(
        self, request: urllib.request.Request, *, timeout_s: float | None
    ) -> http.client.HTTPResponse:
        try:
            answer: http.client.HTTPResponse = self._opener.open(request, timeout=timeout_s)
        except urllib.error.HTTPError as error:
            with error:
                raise _refusal(error, request) from None
        except urllib.error.URLError as error:
            raise ControlError(
                f"{self.base} does not answer ({_reason(error.reason)}): is the Monitor running, "
                "and is that its address?"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from None
        return answer

    @contextlib.contextmanager
    def _unbroken(self) -> Iterator[None]:
        """Read an answer to its end, or raise the error that says it has none."""
        try:
            yield
        except (OSError, http.client.HTTPException) as error:
            raise self._broken(error) from None

    def _broken(self, error: Exception) -> ControlError:
        return ControlError(f"{self.base} broke off: {_reason(error)}")


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *args: Any, **kwargs: Any) -> None:
        return None


def _checked(base: str, *, allow_http: bool) -> str:
    parts = urllib.parse.urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise ConfigurationError(f"{base}: an address like https://monitor.example.com is needed")
    if parts.username or parts.password:
        raise ConfigurationError("the address of a control interface holds no user or password")
    if parts.scheme == "http" and not allow_http and not is_loopback(parts.hostname):
        raise ConfigurationError(
            f"{base}: http:// would carry the client's secret unencrypted beyond this machine; "
            "use https://"
        )
    return base.rstrip("/")


def _parsed(content: bytes, *, where: str) -> Any:
    try:
        return json.loads(content)
    except ValueError:
        raise ControlError(f"{where} answered no JSON: is that a control interface?") from None


def _refusal(error: urllib.error.HTTPError, request: urllib.request.Request) -> ControlError:
    """Make an error of the platform's error body."""
    try:
        body = json.loads(error.read())
        message, code = str(body["message"]), str(body.get("code", ""))
    except (ValueError, TypeError, KeyError, OSError):
        message, code = http.client.responses.get(error.code, "an error"), ""
    return ControlError(
        f"{request.get_method()} {urllib.parse.urlsplit(request.full_url).path}: "
        f"HTTP {error.code}: {message}",
        status=error.code,
        code=code,
    )


def _reason(reason: object) -> str:
    told = getattr(reason, "strerror", None) or getattr(reason, "reason", None) or reason
    return str(told) or type(reason).__name__
