"""The routes put together, and the document that describes them."""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec
from litestar import Litestar, Response, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.openapi import OpenAPIConfig
from litestar.openapi.spec import Components, OAuthFlow, OAuthFlows, SecurityScheme
from litestar.types import ControllerRouterHandler

from openaudiohook._version import __version__
from openaudiohook.monitor.api import calls, conversations, integrations, queues, reports
from openaudiohook.monitor.api.access import SECURITY_SCHEME, caller_of
from openaudiohook.monitor.api.body import PlainTypes
from openaudiohook.monitor.api.errors import HANDLERS
from openaudiohook.monitor.api.login import DOCUMENT_PATH, TOKEN_PATH, health, issue_token
from openaudiohook.monitor.api.tokens import Tokens
from openaudiohook.monitor.declared import SCOPES
from openaudiohook.monitor.platform import Platform

__all__ = ["MAX_BODY_BYTES", "build_app", "document"]

MAX_BODY_BYTES: Final = 512 * 1024
"""The longest body: 60,000 bytes of `advanced`, however they are escaped, and what is around."""


_WITH_NUMBERS: Final = msgspec.json.Encoder(decimal_format="number")


@get(DOCUMENT_PATH, include_in_schema=False)
async def get_document() -> Response[bytes]:
    """Return the OpenAPI document."""
    return Response(msgspec.json.encode(document()), media_type="application/json")


_ROUTES: Final[tuple[ControllerRouterHandler, ...]] = (
    issue_token,
    health,
    integrations.ROUTER,
    queues.ROUTER,
    conversations.ROUTER,
    calls.ROUTER,
    *reports.ROUTERS,
)


def build_app(platform: Platform, tokens: Tokens) -> Litestar:
    """Return the ASGI application for a platform.

    Args:
        platform: what everything is asked of.
        tokens: who may ask.
    """
    return _litestar(
        state=State({"platform": platform, "tokens": tokens, "subscriptions": set()}),
        openapi_config=None,
    )


@cache
def document() -> dict[str, Any]:
    """Return the OpenAPI document: the same one for every platform."""
    config = OpenAPIConfig(
        title="openaudiohook Monitor",
        version=__version__,
        description=(
            "Configure integrations, queues and calls of a Monitor. Independent, not affiliated "
            "with or endorsed by Genesys."
        ),
        use_handler_docstrings=True,
        operation_id_creator=lambda handler, method, path: handler.handler_name,
        components=Components(
            security_schemes={
                SECURITY_SCHEME: SecurityScheme(
                    type="oauth2",
                    flows=OAuthFlows(
                        client_credentials=OAuthFlow(token_url=TOKEN_PATH, scopes=dict(SCOPES))
                    ),
                )
            }
        ),
    )
    made = _litestar(state=State(), openapi_config=config).openapi_schema.to_schema()
    plain: dict[str, Any] = msgspec.json.decode(_WITH_NUMBERS.encode(made))
    return plain


def _litestar(*, state: State, openapi_config: OpenAPIConfig | None) -> Litestar:
    return Litestar(
        # The framework would serve the document itself, and pages beside it.
        route_handlers=[*_ROUTES, *([get_document] if openapi_config is None else ())],
        dependencies={
            "platform": Provide(_platform_of, sync_to_thread=False),
            "caller": Provide(caller_of, sync_to_thread=False),
        },
        exception_handlers=HANDLERS,
        state=state,
        openapi_config=openapi_config,
        plugins=[PlainTypes()],
        request_max_body_size=MAX_BODY_BYTES,
        return_dto=None,
        logging_config=None,
        debug=False,
    )


def _platform_of(state: State) -> Platform:
    platform: Platform = state.platform
    return platform
