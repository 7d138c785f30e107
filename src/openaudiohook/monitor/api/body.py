"""How the body of a request is read: from the bytes, strictly, into the shape a route names.

The framework would read JSON into plain values first, which loses the text of what is passed on
unaltered, and then convert generously. Here `"3"` is no number, and whatever cannot be read is
answered 400 with the place where it went wrong.
"""

from __future__ import annotations

from collections.abc import Generator
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from litestar.dto import AbstractDTO
from litestar.openapi.spec import OpenAPIType, Schema
from litestar.plugins import OpenAPISchemaPlugin

from openaudiohook.monitor.api.errors import ApiError, Detail

if TYPE_CHECKING:
    from litestar._openapi.schema_generation import SchemaCreator
    from litestar.dto.data_structures import DTOFieldDefinition
    from litestar.openapi.spec import Reference
    from litestar.typing import FieldDefinition

__all__ = ["Json", "PlainTypes", "read_json"]

T = TypeVar("T")

_SCHEMAS: Final[dict[Any, Schema]] = {
    msgspec.Raw: Schema(type=OpenAPIType.OBJECT),
    Decimal: Schema(type=OpenAPIType.NUMBER),
}


def read_json(body: bytes, shape: type[T]) -> T:
    """Read a request's body.

    Raises:
        ApiError: 400; it is no JSON, or not of that shape.
    """
    try:
        return msgspec.json.decode(body, type=shape)
    except msgspec.ValidationError as error:
        text, _, place = str(error).partition(" - at `$")
        field = place.rstrip("`").lstrip(".")
        raise ApiError(
            400,
            "bad.request",
            f"{field}: {text}" if field else text,
            details=[Detail(error_code="invalid.value", field_name=field)] if field else (),
        ) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ApiError(400, "bad.request", "The body is not JSON.") from None
    except RecursionError:
        raise ApiError(400, "bad.request", "The body is nested too deeply.") from None


class Json(AbstractDTO[T]):
    """Has a route's `data` read by `read_json`."""

    def decode_bytes(self, value: bytes) -> Any:
        """Read it as what the route asks for."""
        return read_json(value, self.model_type)

    @classmethod
    def create_for_field_definition(
        cls, field_definition: FieldDefinition, handler_id: str, backend_cls: Any = None
    ) -> None:
        """Make nothing: there is no model between the bytes and the shape."""

    @classmethod
    def create_openapi_schema(
        cls, field_definition: FieldDefinition, handler_id: str, schema_creator: SchemaCreator
    ) -> Reference | Schema:
        """Describe the shape itself."""
        return schema_creator.for_field_definition(field_definition)

    @classmethod
    def generate_field_definitions(
        cls, model_type: type[Any]
    ) -> Generator[DTOFieldDefinition, None, None]:
        """There are none: the shape reads itself."""
        yield from ()

    @classmethod
    def detect_nested_field(cls, field_definition: FieldDefinition) -> bool:
        """Nothing is looked into."""
        return False


class PlainTypes(OpenAPISchemaPlugin):
    """What the document says of types that the framework does not know, or words otherwise."""

    def is_plugin_supported_field(self, field_definition: FieldDefinition) -> bool:
        """Whether it is one of them."""
        return field_definition.annotation in _SCHEMAS

    def to_openapi_schema(
        self, field_definition: FieldDefinition, schema_creator: SchemaCreator
    ) -> Schema:
        """Return what the document says."""
        return _SCHEMAS[field_definition.annotation]
