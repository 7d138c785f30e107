"""Pages of a list, as the platform cuts and links them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Final, TypeVar
from urllib.parse import urlencode

import msgspec
from litestar.params import QueryParameter

__all__ = ["DEFAULT_PAGE_SIZE", "Listing", "PageNumber", "PageSize", "page_of"]

DEFAULT_PAGE_SIZE: Final = 25
_MOST: Final = 500

PageSize = Annotated[
    int, QueryParameter(name="pageSize", ge=1, le=_MOST, description="How many on a page.")
]
PageNumber = Annotated[
    int, QueryParameter(name="pageNumber", ge=1, le=1_000_000, description="Which page, from 1.")
]


class Listing(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """A page of a list; whatever is listed adds `entities`.

    Attributes:
        page_number: counted from 1.
        total: how many there are on all pages.
    """

    page_size: int
    page_number: int
    total: int
    page_count: int
    first_uri: str
    last_uri: str
    self_uri: str
    next_uri: str | None = None
    previous_uri: str | None = None


Page = TypeVar("Page", bound=Listing)
Kept = TypeVar("Kept")


def page_of(
    listing: Callable[..., Page],
    kept: Sequence[Kept],
    shape: Callable[[Kept], Any],
    *,
    path: str,
    size: int = DEFAULT_PAGE_SIZE,
    number: int = 1,
) -> Page:
    """Return one page of what there is; one beyond the last is empty.

    Args:
        listing: the kind of page.
        kept: everything there is, in order.
        shape: gives one of them the shape it has on the wire.
        path: of the list.
        size: how many on a page.
        number: which page, from 1.
    """
    pages = max(1, -(-len(kept) // size))

    def uri(which: int) -> str:
        return f"{path}?{urlencode({'pageSize': size, 'pageNumber': which})}"

    return listing(
        entities=tuple(shape(each) for each in kept[(number - 1) * size : number * size]),
        page_size=size,
        page_number=number,
        total=len(kept),
        page_count=pages,
        first_uri=uri(1),
        last_uri=uri(pages),
        self_uri=uri(number),
        next_uri=uri(number + 1) if number < pages else None,
        previous_uri=uri(min(number - 1, pages)) if number > 1 else None,
    )
